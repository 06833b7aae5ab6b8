/** SPEC C: everything that a configuration is refused for, with its key, what was found and what was expected. */
import { describe, expect, test } from "vitest"
import type { ConfigPath } from "../../../protocol/config.ts"
import {
  errorsOf,
  key,
  node,
  oneSite,
  type Plain,
  parse,
  resource,
  service,
  twoSites,
  withValue,
} from "../../support/config-builder.ts"

/** `twoSites()` with `value` at `path` (`undefined`: removed) has exactly this one error, there or at `at`. */
interface Refusal {
  readonly path: ConfigPath
  readonly value: unknown
  readonly at?: ConfigPath
  readonly message: string
}

const first = ["service", 0, "resource", 0] as const

const unknownKeys: readonly Refusal[] = [
  { path: ["nodes"], value: [], message: "unknown key, did you mean node?" },
  {
    path: ["timings"],
    value: { lease: 400 },
    at: ["timings", "lease"],
    message: "unknown key, did you mean lease_ms?",
  },
  { path: ["witness", "key"], value: "", message: "unknown key, expected one of url, public_key" },
  { path: ["site", 1, "polciy"], value: "split", message: "unknown key, did you mean policy?" },
  { path: ["node", 3, "vote"], value: 1, message: "unknown key, did you mean votes?" },
  {
    path: ["ticket"],
    value: [{ name: "main", sites: ["north"], site: 1 }],
    at: ["ticket", 0, "site"],
    message: "unknown key, did you mean sites?",
  },
  {
    path: ["service", 0, "self_lease_margin"],
    value: 50,
    message: "unknown key, did you mean self_lease_margin_ms?",
  },
  { path: [...first, "start_timeout"], value: 5, message: "unknown key, did you mean start_timeout_ms?" },
]

const references: readonly Refusal[] = [
  {
    path: ["node", 3, "site"],
    value: "soth",
    message: 'found "soth", expected one of north, south; did you mean south?',
  },
  {
    path: ["ticket"],
    value: [{ name: "main", sites: ["north", "east"] }],
    at: ["ticket", 0, "sites", 1],
    message: 'found "east", expected one of north, south',
  },
  { path: ["service", 0, "ticket"], value: "gold", message: 'found "gold", expected one of main' },
  {
    path: ["service", 0, "nodes"],
    value: ["n1", "x7"],
    at: ["service", 0, "nodes", 1],
    message: 'found "x7", expected one of n1, n2, n3, n4; did you mean n1?',
  },
]

const repetitions: readonly Refusal[] = [
  {
    path: ["node", 1, "id"],
    value: 1,
    message: "found 1, which node[0].id has too, expected one that no other node has",
  },
  {
    path: ["node", 1, "name"],
    value: "n1",
    message: 'found "n1", which node[0].name has too, expected one that no other node has',
  },
  {
    path: ["node", 3, "public_key"],
    value: key(2),
    message: `found "${key(2)}", which node[1].public_key has too, expected one that no other node and not the witness has`,
  },
  {
    path: ["node", 0, "public_key"],
    value: key(1000),
    message: `found "${key(1000)}", which witness.public_key has too, expected one that no other node and not the witness has`,
  },
  {
    path: ["node", 1, "links", 0],
    value: "10.0.0.1:5405",
    message:
      'found "10.0.0.1:5405", which node[0].links[0] has too, expected one that no other socket of the site has',
  },
  {
    path: ["node", 3, "wan"],
    value: "198.51.100.1",
    message: 'found "198.51.100.1:5407", which node[0].wan has too, expected one that no other node has',
  },
  {
    path: ["node", 0, "wan"],
    value: "10.0.0.2:5405",
    at: ["node", 1, "links", 0],
    message:
      'found "10.0.0.2:5405", which node[0].wan has too, expected one that no other socket of the site has',
  },
  {
    path: ["ticket"],
    value: [
      { name: "main", sites: ["north"] },
      { name: "main", sites: ["south"] },
    ],
    at: ["ticket", 1, "name"],
    message: 'found "main", which ticket[0].name has too, expected one that no other ticket has',
  },
  {
    path: ["ticket"],
    value: [{ name: "main", sites: ["north", "north"] }],
    at: ["ticket", 0, "sites", 1],
    message: 'found "north", which ticket[0].sites[0] has too, expected one that no other of the list has',
  },
  {
    path: ["service"],
    value: [service("ledger"), service("ledger")],
    at: ["service", 1, "name"],
    message: 'found "ledger", which service[0].name has too, expected one that no other service has',
  },
  {
    path: ["service", 0, "nodes"],
    value: ["n1", "n1"],
    at: ["service", 0, "nodes", 1],
    message: 'found "n1", which service[0].nodes[0] has too, expected one that no other of the list has',
  },
  {
    path: ["service", 0, "resource"],
    value: [resource("a"), resource("a")],
    at: ["service", 0, "resource", 1, "name"],
    message:
      'found "a", which service[0].resource[0].name has too, expected one that no other resource of the service has',
  },
]

const reachability: readonly Refusal[] = [
  {
    path: ["node", 1, "wan"],
    value: undefined,
    message: "missing, expected an address where the other sites reach this node, as 198.51.100.7:5407",
  },
  {
    path: ["node", 1, "wan"],
    value: "[2001:db8::2]",
    message: "found [2001:db8::2]:5407, expected IPv4 as node[0].wan: every WAN address is of one family",
  },
  {
    path: ["node", 1, "wan_bind"],
    value: "[::]",
    message: "found [::]:5407, expected IPv4 as node[1].wan: every wan is of one family",
  },
  {
    path: ["node", 1, "wan_bind"],
    value: "0.0.0.0:5405",
    message: "found 0.0.0.0:5405, which takes the port of link 10.0.0.2:5405 too, expected another port",
  },
  {
    path: ["node", 1, "links"],
    value: ["[fd00::2]"],
    at: ["node", 1, "links", 0],
    message:
      "found [fd00::2]:5405, expected IPv4 as node[0].links[0]: every link 1 at this site is of one family",
  },
  {
    path: ["node", 1, "links"],
    value: ["10.0.0.2", "10.0.1.2"],
    message: "found 2, expected 1 as node[0].links of the same site has: link k talks to link k",
  },
]

const meanings: readonly Refusal[] = [
  {
    path: ["service", 0, "proof"],
    value: "self-lease",
    at: ["service", 0, "self_lease_margin_ms"],
    message:
      'missing, expected beside proof = "self-lease": how long after the end of its lease the command is surely gone',
  },
  {
    path: ["service", 0, "self_lease_margin_ms"],
    value: 50,
    message: 'found beside proof = "operator", expected only beside proof = "self-lease"',
  },
  {
    path: ["service", 0, "proof"],
    value: "watchdog",
    message: 'found "watchdog", but of its nodes these declare no watchdog: n1, n2, n3, n4',
  },
  {
    path: ["node", 0, "watchdog"],
    value: { timeout_s: 2, seconds: 2 },
    at: ["node", 0, "watchdog", "seconds"],
    message: "unknown key, expected one of device, timeout_s",
  },
]

describe.each([
  ["[C1] an unknown key, with the nearest known one", unknownKeys],
  ["[C3] what must be unique and is not", repetitions],
  ["[C4] a name that stands for nothing", references],
  ["[C6] a node that others could not reach", reachability],
  ["[C8] a proof that contradicts itself", meanings],
])("%s", (_, refusals) => {
  test.each(refusals)("$path = $value", ({ path, value, at, message }) => {
    expect(errorsOf(parse(withValue(twoSites(), path, value)))).toEqual([{ path: at ?? path, message }])
  })
})

describe("between tables", () => {
  test("[C4] a tie-breaker that is no node", () => {
    expect(errorsOf(parse(oneSite(2, { tie_breaker: "n3" })))).toEqual([
      { path: ["site", 0, "tie_breaker"], message: 'found "n3", expected one of n1, n2; did you mean n1?' },
    ])
  })

  test("[C4] a service's node outside its ticket's sites", () => {
    const plain = {
      ...twoSites(),
      ticket: [{ name: "main", sites: ["south"] }],
      service: [service("ledger", { nodes: ["n1"] })],
    }
    expect(errorsOf(parse(plain))).toEqual([
      { path: ["service", 0, "nodes", 0], message: 'found "n1", expected one of n3, n4; did you mean n3?' },
    ])
  })

  test("[C6] wan_bind needs wan", () => {
    expect(errorsOf(parse(withValue(oneSite(), ["node", 0, "wan_bind"], "0.0.0.0")))).toEqual([
      { path: ["node", 0, "wan_bind"], message: "found without wan, expected both or neither" },
    ])
  })

  test("[C6] two sites may have the same private networks, and translated ports of one address", () => {
    const plain = twoSites()
    const far = (id: number) =>
      node(id, "south", {
        links: [`10.0.0.${id - 2}`],
        wan: `203.0.113.1:${5400 + id}`,
        wan_bind: "10.0.0.100",
      })
    const nodes = [...(plain.node as Plain[]).slice(0, 2), far(3), withValue(far(4), ["wan_bind"], "0.0.0.0")]
    expect(parse({ ...plain, node: nodes }).kind).toBe("ok")
  })

  test("[C6] a node may listen anywhere for the other sites, and on a link's port at another address", () => {
    const bound = (first: string, second: string) =>
      withValue(withValue(twoSites(), ["node", 0, "wan_bind"], first), ["node", 1, "wan_bind"], second)
    expect(errorsOf(parse(bound("0.0.0.0", "0.0.0.0")))).toEqual([])
    expect(errorsOf(parse(bound("10.9.0.1:5405", "10.9.0.2:5405")))).toEqual([])
  })

  test("[C7] a site's own way to the witness needs a witness", () => {
    expect(errorsOf(parse(oneSite(3, { witness_url: "https://proxy.example.net" })))).toEqual([
      {
        path: ["site", 0, "witness_url"],
        message: "found without a [witness] table, expected one beside it",
      },
    ])
  })
})

describe("[C5] how much there may be", () => {
  const sites = (count: number) => Array.from({ length: count }, (_, index) => ({ name: `site${index}` }))
  const spread = (count: number, perSite: number) =>
    Array.from({ length: count }, (_, index) => {
      const site = `site${Math.floor(index / perSite)}`
      return node(index + 1, site, { links: [`10.0.${index}.1`], wan: `198.51.100.${index}` })
    })
  const plain = (siteCount: number, nodeCount: number, perSite: number, more: Plain = {}) => ({
    ...{ cluster: "big", version: 1, site: sites(siteCount), node: spread(nodeCount, perSite) },
    ...more,
  })

  test("64 nodes, 15 sites and 30 nodes a site are enough, one more is too many", () => {
    expect(parse(plain(3, 64, 30)).kind).toBe("ok")
    expect(errorsOf(parse(plain(3, 65, 30)))).toEqual([
      { path: ["node"], message: "found 65, expected 1 to 64 [[node]] tables" },
    ])
    expect(parse(plain(15, 60, 4)).kind).toBe("ok")
    expect(errorsOf(parse(plain(16, 60, 4)))).toContainEqual({
      path: ["site"],
      message: "found 16, expected 1 to 15 [[site]] tables",
    })
    expect(errorsOf(parse(plain(1, 31, 31)))).toEqual([
      { path: ["site", 0, "name"], message: "found 31, expected 1 to 30 [[node]] tables with this site" },
    ])
  })

  test("a site without nodes is none", () => {
    expect(errorsOf(parse(plain(2, 3, 3)))).toEqual([
      { path: ["site", 1, "name"], message: "found 0, expected 1 to 30 [[node]] tables with this site" },
    ])
  })

  test("no site and no node", () => {
    expect(errorsOf(parse({ cluster: "none", version: 1 }))).toEqual([
      { path: ["site"], message: "missing, expected 1 to 15 [[site]] tables" },
      { path: ["node"], message: "missing, expected 1 to 64 [[node]] tables" },
    ])
  })

  test("16 tickets, 32 services, 16 resources, 8 links, 64 arguments and variables", () => {
    const many = <T>(count: number, make: (index: number) => T) =>
      Array.from({ length: count }, (_, index) => make(index))
    const ticket = (index: number) => ({ name: `t${index}`, sites: ["site0"] })
    const tickets = (count: number) => plain(1, 1, 1, { ticket: many(count, ticket) })
    const services = (count: number) =>
      plain(1, 1, 1, { service: many(count, (index) => service(`s${index}`)) })
    const resources = (count: number) =>
      plain(1, 1, 1, { service: [service("s", { resource: many(count, (index) => resource(`r${index}`)) })] })
    const links = (count: number) => ({
      ...plain(1, 0, 1),
      node: [node(1, "site0", { links: many(count, (index) => `10.0.${index}.1`) })],
    })
    const withResource = (more: Plain) =>
      plain(1, 1, 1, { service: [service("s", { resource: [resource("r", more)] })] })
    const args = (count: number) => withResource({ start: many(count, () => "/bin/true") })
    const variables = (count: number) =>
      withResource({ environment: Object.fromEntries(many(count, (index) => [`V${index}`, ""])) })
    const limits = [
      [tickets, 16],
      [services, 32],
      [resources, 16],
      [links, 8],
      [args, 64],
      [variables, 64],
    ] as const
    for (const [make, max] of limits) {
      expect(parse(make(max)).kind).toBe("ok")
      const errors = errorsOf(parse(make(max + 1)))
      expect(errors).toHaveLength(1)
      expect(errors[0]?.message).toMatch(new RegExp(`^found ${max + 1}.*, expected .*${max}`))
    }
  })
})

describe("[C1] all errors at once", () => {
  test("one of every kind in one file", () => {
    const plain = {
      ...twoSites(),
      version: 0,
      colour: "red",
      timings: { lease_ms: 300, pass_ms: "5" },
      service: [service("ledger", { ticket: "gold", proof: "self-lease", resource: [] })],
    }
    expect(errorsOf(parse(plain)).map(({ path }) => path.join("."))).toEqual([
      "colour",
      "version",
      "timings.pass_ms",
      "service.0.resource",
      "service.0.ticket",
      "service.0.self_lease_margin_ms",
    ])
  })

  test("two unknown keys of one table", () => {
    expect(errorsOf(parse({ ...twoSites(), a: 1, b: 2 })).map(({ path }) => path)).toEqual([["a"], ["b"]])
  })

  test("a wrong value is reported once: what refers to it is not judged", () => {
    const plain = withValue(twoSites(), ["service", 0, "nodes"], ["n1", "n3"])
    expect(errorsOf(parse(withValue(plain, ["node", 0, "votes"], "two")))).toHaveLength(1)
  })

  test.each([undefined, null, 7, "cluster", [], new Map()])("%s is no configuration", (value) => {
    expect(errorsOf(parse(value))).toEqual([
      { path: [], message: expect.stringContaining("expected a table") },
    ])
  })
})
