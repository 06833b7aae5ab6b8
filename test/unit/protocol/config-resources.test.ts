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
