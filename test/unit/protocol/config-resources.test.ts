/** SPEC C: what each kind of resource is told. */
import { describe, expect, test } from "vitest"
import { accepted, errorsOf, parse, twoSites, withValue } from "../../support/config-builder.ts"

const resources = ["service", 0, "resource"] as const

describe("[C2] a resource", () => {
  test("of an OCF agent has its name and parameters", () => {
    const table = {
      kind: "ocf",
      name: "db",
      agent: "ocf:heartbeat:pgsql",
      parameters: { pgdata: "/db", tmpdir: "" },
    }
    const config = accepted(parse(withValue(twoSites(), resources, [table])))
    expect(config.services[0]?.resources[0]).toMatchObject({
      kind: "ocf",
      agent: "ocf:heartbeat:pgsql",
      parameters: { pgdata: "/db", tmpdir: "" },
    })
  })

  test("of systemd has a unit", () => {
    const table = { kind: "systemd", name: "web", unit: "nginx@blue.service" }
    const config = accepted(parse(withValue(twoSites(), resources, [table])))
    expect(config.services[0]?.resources[0]).toMatchObject({ kind: "systemd", unit: "nginx@blue.service" })
  })

  test.each([
    [{ kind: "ocf", name: "x", agent: "heartbeat:IPaddr2" }, "agent"],
    [{ kind: "ocf", name: "x", agent: "ocf:../../etc:passwd" }, "agent"],
    [{ kind: "ocf", name: "x", agent: "ocf:heartbeat:../x" }, "agent"],
    [{ kind: "ocf", name: "x", agent: "ocf:heartbeat:Dummy", parameters: { "a b": "1" } }, "parameters"],
    [{ kind: "ocf", name: "x", agent: "ocf:heartbeat:Dummy", parameters: { a: 1 } }, "parameters"],
    [{ kind: "ocf", name: "x", agent: "ocf:heartbeat:Dummy", unit: "a.service" }, "unit"],
    [{ kind: "systemd", name: "x", unit: "nginx" }, "unit"],
    [{ kind: "systemd", name: "x", unit: "/etc/x.service" }, "unit"],
    [{ kind: "systemd", name: "x", unit: "a b.service" }, "unit"],
    [{ kind: "systemd", name: "x" }, "unit"],
  ])("%j is refused at its key", (table, key) => {
    const errors = errorsOf(parse(withValue(twoSites(), resources, [table])))
    expect(errors.map(({ path }) => path)).toContainEqual(expect.arrayContaining([...resources, 0, key]))
  })
})

describe("[C2] a fence device", () => {
  const device = { name: "ipmi", agent: "fence_ipmilan", nodes: ["n1", "n2"], plugs: { n2: "4" } }

  test("has defaults, and its nodes with their plugs", () => {
    const config = accepted(parse(withValue(twoSites(), ["fence"], [device])))
    expect(config.fences).toMatchObject([
      {
        name: "ipmi",
        agent: "fence_ipmilan",
        nodes: [
          { node: 1, plug: undefined },
          { node: 2, plug: "4" },
        ],
        level: 1,
        action: "off",
        delay: 0,
        timeout: 60_000,
      },
    ])
  })

  test("changes the checksum; none at all leaves it as it was before there could be any", () => {
    const without = accepted(parse(twoSites())).checksum
    expect(accepted(parse({ ...twoSites(), fence: [] })).checksum).toBe(without)
    expect(accepted(parse({ ...twoSites(), fence: [device] })).checksum).not.toBe(without)
  })

  test.each([
    [{ agent: "stonith_ipmi" }, "agent"],
    [{ agent: "/usr/sbin/fence_ipmilan" }, "agent"],
    [{ nodes: ["n9"] }, "nodes"],
    [{ nodes: ["n1", "n1"] }, "nodes"],
    [{ plugs: { n3: "1" } }, "plugs"],
    [{ level: 10 }, "level"],
    [{ action: "cycle" }, "action"],
    [{ parameters: { ip: "a\nb" } }, "parameters"],
    [{ secrets_file: "ipmi.secrets" }, "secrets_file"],
    [{ password: "x" }, "password"],
  ])("%j is refused at its key", (change, key) => {
    const errors = errorsOf(parse(withValue(twoSites(), ["fence"], [{ ...device, ...change }])))
    expect(errors.map(({ path }) => path)).toContainEqual(expect.arrayContaining(["fence", 0, key]))
  })

  test("of a name that another has is refused", () => {
    const errors = errorsOf(parse(withValue(twoSites(), ["fence"], [device, device])))
    expect(errors[0]?.path).toEqual(["fence", 1, "name"])
  })
})
