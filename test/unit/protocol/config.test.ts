/** SPEC C: what a configuration is completed to, and when two files have the same checksum. */
import { describe, expect, test } from "vitest"
import { canonicalJson } from "../../../protocol/canonical.ts"
import type { ConfigPath } from "../../../protocol/config.ts"
import {
  accepted,
  key,
  node,
  oneSite,
  type Plain,
  parse,
  service,
  twoSites,
  withValue,
} from "../../support/config-builder.ts"

const checksum = (plain: unknown) => accepted(parse(plain)).checksum

/** `twoSites()` with every default written out, in another order. */
function twoSitesInFull(): Plain {
  const command = (verb: string) => ["/usr/bin/ledgerctl", verb]
  const full = (id: number, site: string) => ({
    public_key: key(id),
    wan: `198.51.100.${id}:5407`,
    links: [`10.0.0.${id}:5405`],
    votes: 1,
    site,
    name: `n${id}`,
    id,
  })
  return {
    version: 1,
    profile: "industrial",
    cluster: "plant-7",
    timings: {
      summary_interval_ms: 2000,
      claim_stagger_ms: 2000,
      wan_silent_ms: 5000,
      wan_heartbeat_ms: 1000,
      renewal_ms: 2000,
      mandate_ttl_ms: 10_000,
      voice_ttl_ms: 10_000,
      gather_wait_ms: 100,
      rho_ppm: 1000,
      lateness_ms: 30,
      pass_ms: 10,
      lease_ms: 400,
      misses: 3,
      retransmit_ms: 50,
      heartbeat_ms: 200,
    },
    service: [
      {
        name: "ledger",
        ticket: "main",
        nodes: ["n1", "n2", "n3", "n4"],
        mode: "automatic",
        proof: "operator",
        resource: [
          {
            environment: {},
            monitor_interval_ms: 10_000,
            monitor_timeout_ms: 5000,
            stop_timeout_ms: 20_000,
            start_timeout_ms: 20_000,
            monitor: command("monitor"),
            stop: command("stop"),
            start: command("start"),
            name: "ledgerd",
            kind: "command",
          },
        ],
      },
    ],
    ticket: [{ sites: ["north", "south"], name: "main" }],
    node: [full(4, "south"), full(2, "north"), full(3, "south"), full(1, "north")],
    site: [
      { policy: "split", name: "south" },
      { policy: "split", name: "north" },
    ],
    witness: { public_key: key(1000), url: "https://WITNESS.example.net/" },
  }
}

describe("[C9] completed", () => {
  test("the smallest cluster", () => {
    expect(accepted(parse(oneSite(1)))).toMatchObject({
      name: "plant-7",
      version: 1,
      profile: "industrial",
      sites: [{ name: "north", policy: "split", tieBreaker: undefined, witnessUrl: undefined }],
      nodes: [
        {
          id: 1,
          name: "n1",
          site: "north",
          votes: 1,
          links: [{ host: "10.0.0.1", port: 5405 }],
          wan: undefined,
          wanBind: undefined,
          publicKey: key(1),
        },
      ],
      witness: undefined,
      tickets: [{ name: "main", sites: ["north"] }],
      services: [],
    })
  })

  test("a service: all nodes of its ticket's sites, automatic, proved by the operator, timeouts", () => {
    expect(accepted(parse(twoSites())).services).toEqual([
      {
        name: "ledger",
        ticket: "main",
        nodes: [1, 2, 3, 4],
        mode: "automatic",
        proof: { kind: "operator" },
        resources: [
          {
            kind: "command",
            name: "ledgerd",
            start: ["/usr/bin/ledgerctl", "start"],
            stop: ["/usr/bin/ledgerctl", "stop"],
            monitor: ["/usr/bin/ledgerctl", "monitor"],
            startTimeout: 20_000,
            stopTimeout: 20_000,
            monitorTimeout: 5000,
            monitorInterval: 10_000,
            environment: {},
          },
        ],
      },
    ])
  })

  test("ports count on from 5405 a link; the WAN has 5407", () => {
    const plain = oneSite(0)
    const nodes = [
      node(1, "north", { links: ["10.0.0.1", "10.0.1.1", "10.0.2.1:9000", "10.0.3.1"], wan: "10.9.9.9" }),
    ]
    const [first] = accepted(parse({ ...plain, node: nodes })).nodes
    expect(first?.links.map((link) => link.port)).toEqual([5405, 5406, 9000, 5408])
    expect(first?.wan).toEqual({ host: "10.9.9.9", port: 5407 })
  })

  test("names become identities: tie-breaker, nodes of a service in order of choice", () => {
    const config = accepted(
      parse({ ...oneSite(2, { tie_breaker: "n2" }), service: [service("s", { nodes: ["n2", "n1"] })] }),
    )
    expect(config.sites[0]?.tieBreaker).toBe(2)
    expect(config.services[0]?.nodes).toEqual([2, 1])
  })

  test("a watchdog for each node of a service that counts on it", () => {
    const nodes = [1, 2].map((id) => node(id, "north", { watchdog: { timeout_s: 4 + id } }))
    const plain = { ...oneSite(2), node: nodes, service: [service("s", { proof: "watchdog" })] }
    const config = accepted(parse(plain))
    expect(config.nodes.map(({ watchdog }) => watchdog)).toEqual([
      { device: "/dev/watchdog", timeout: 5_000 },
      { device: "/dev/watchdog", timeout: 6_000 },
    ])
    expect(config.services[0]?.proof).toEqual({ kind: "watchdog" })
    const relaxed = parse({ ...plain, profile: "relaxed" })
    expect(relaxed).toMatchObject({
      kind: "error",
      error: [{ message: "[WD1] timeout_s * 1000 >= 3 * lease_ms: 5000 >= 3 * 2000 is false" }],
    })
  })

  test("a self-lease with its margin, a site's own way to the witness, variables", () => {
    const plain = withValue(twoSites(), ["site", 0, "witness_url"], "https://proxy.example.net/to/witness/")
    const resource = withValue(plain, ["service", 0, "resource", 0, "environment"], {
      LANG: "C",
      __proto__x: "",
    })
    const config = accepted(
      parse(
        withValue(
          withValue(resource, ["service", 0, "proof"], "self-lease"),
          ["service", 0, "self_lease_margin_ms"],
          50,
        ),
      ),
    )
    expect(config.sites[0]?.witnessUrl).toBe("https://proxy.example.net/to/witness")
    expect(config.services[0]?.proof).toEqual({ kind: "self-lease", margin: 50 })
    expect(config.services[0]?.resources[0]).toMatchObject({ environment: { LANG: "C", __proto__x: "" } })
  })

  test("nodes ascend by id; sites, tickets and services by name; tickets keep their order of choice", () => {
    const plain = {
      ...twoSites(),
      ticket: [
        { name: "zeta", sites: ["south", "north"] },
        { name: "alpha", sites: ["north"] },
      ],
      service: [service("b", { ticket: "zeta" }), service("a", { ticket: "alpha" })],
      node: [...(twoSites().node as Plain[])].reverse(),
    }
    const config = accepted(parse(plain))
    expect(config.nodes.map((each) => each.id)).toEqual([1, 2, 3, 4])
    expect(config.sites.map((each) => each.name)).toEqual(["north", "south"])
    expect(config.tickets).toEqual([
      { name: "alpha", sites: ["north"] },
      { name: "zeta", sites: ["south", "north"] },
    ])
    expect(config.services.map((each) => [each.name, each.nodes])).toEqual([
      ["a", [2, 1]],
      ["b", [4, 3, 2, 1]],
    ])
  })

  test("http is good for a witness on the machine itself", () => {
    for (const url of ["http://127.0.0.1:8787", "http://localhost:8787", "http://[::1]:8787"]) {
      expect(accepted(parse(withValue(twoSites(), ["witness", "url"], url))).witness?.url).toBe(url)
    }
  })
})

describe("[C10] checksum", () => {
  test("64 hexadecimal digits", () => {
    expect(checksum(oneSite())).toMatch(/^[0-9a-f]{64}$/)
  })

  test("the same for the same cluster in another order, with defaults written out and addresses spelt otherwise", () => {
    expect(checksum(twoSitesInFull())).toBe(checksum(twoSites()))
  })

  test("equal checksums mean equal configurations", () => {
    expect(accepted(parse(twoSitesInFull()))).toEqual(accepted(parse(twoSites())))
  })

  test("over JSON with sorted keys, without what is not configured", () => {
    expect(canonicalJson({ b: [2, 1, { d: null, c: true }], a: undefined, A: "\u00e9\n", ab: 0.001 })).toBe(
      '{"A":"\u00e9\\n","ab":0.001,"b":[2,1,{"c":true,"d":null}]}',
    )
  })

  test("the same for variables in another order", () => {
    const path = ["service", 0, "resource", 0, "environment"]
    const [one, other] = [
      { A: "1", B: "2" },
      { B: "2", A: "1" },
    ].map((value) => withValue(twoSites(), path, value))
    expect(checksum(one)).toBe(checksum(other))
  })

  test("the same for two spellings of an IPv6 address", () => {
    const spelt = (links: readonly string[]) =>
      checksum({ ...oneSite(0), node: [node(1, "north", { links })] })
    expect(spelt(["[FD00:0:0:0::01]"])).toBe(spelt(["[fd00::1]:5405"]))
  })

  const resource = ["service", 0, "resource", 0] as const
  const changes: readonly (readonly [ConfigPath, unknown])[] = [
    [["cluster"], "plant-8"],
    [["version"], 2],
    [["profile"], "energy"],
    [["timings", "heartbeat_ms"], 199],
    [["timings", "retransmit_ms"], 49],
    [["timings", "misses"], 2],
    [["timings", "lease_ms"], 401],
    [["timings", "pass_ms"], 9],
    [["timings", "lateness_ms"], 29],
    [["timings", "rho_ppm"], 999],
    [["timings", "gather_wait_ms"], 101],
    [["timings", "voice_ttl_ms"], 10_001],
    [["timings", "mandate_ttl_ms"], 10_001],
    [["timings", "renewal_ms"], 1999],
    [["timings", "wan_heartbeat_ms"], 999],
    [["timings", "wan_silent_ms"], 4999],
    [["timings", "claim_stagger_ms"], 2001],
    [["timings", "summary_interval_ms"], 1999],
    [["witness"], undefined],
    [["witness", "url"], "https://other.example.net"],
    [["witness", "public_key"], key(1001)],
    [["site", 0, "policy"], "last-man-standing"],
    [["site", 0, "witness_url"], "https://proxy.example.net"],
    [["node", 0, "id"], 5],
    [["node", 0, "site"], "north"],
    [["node", 0, "votes"], 2],
    [["node", 0, "links", 0], "10.0.0.4:5406"],
    [["node", 0, "wan"], "198.51.100.4:5408"],
    [["node", 0, "wan_bind"], "10.0.0.4"],
    [["node", 0, "public_key"], key(5)],
    [
      ["ticket", 0, "sites"],
      ["south", "north"],
    ],
    [["service", 0, "name"], "ledger2"],
    [
      ["service", 0, "nodes"],
      ["n2", "n1", "n3", "n4"],
    ],
    [["service", 0, "mode"], "manual"],
    [["service"], []],
    [[...resource, "name"], "other"],
    [[...resource, "start", 1], "go"],
    [[...resource, "stop"], ["/bin/stop"]],
    [[...resource, "monitor", 0], "/bin/monitor"],
    [[...resource, "start_timeout_ms"], 1],
    [[...resource, "stop_timeout_ms"], 1],
    [[...resource, "monitor_timeout_ms"], 1],
    [[...resource, "monitor_interval_ms"], 1],
    [[...resource, "environment"], { A: "" }],
  ]

  test.each(changes)("another one for another %j", (path, value) => {
    expect(checksum(withValue(twoSitesInFull(), path, value))).not.toBe(checksum(twoSites()))
  })

  test("another one for another proof, margin, tie-breaker or name of a node", () => {
    const two = oneSite(2)
    const proved = (margin: number) =>
      checksum({ ...two, service: [service("s", { proof: "self-lease", self_lease_margin_ms: margin })] })
    const renamed = { ...two, node: [node(1, "north", { name: "x1" }), node(2, "north")] }
    const sums = [
      checksum(two),
      checksum(oneSite(2, { tie_breaker: "n1" })),
      checksum(oneSite(2, { tie_breaker: "n2" })),
      checksum({ ...two, service: [service("s")] }),
      proved(50),
      proved(51),
      checksum(renamed),
    ]
    expect(new Set(sums).size).toBe(sums.length)
  })
})
