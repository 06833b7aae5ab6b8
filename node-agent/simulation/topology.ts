/**
 * A cluster drawn by chance: one to three sites of one to seven nodes, with and without witness, both policies,
 * tie-breakers, tickets, links, services and profiles. What the configuration's own checks refuse is drawn again.
 */
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { draw, type Random } from "../core/random.ts"
import { readTables, type Tables } from "./documents.ts"

const attemptsMax = 100

/** `more`: services beside the usual ones, so that a memo takes several messages. */
export function drawTopology(
  random: Random,
  more = 0,
): { readonly config: ClusterConfig; readonly tables: Tables } {
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const tables = drawTables(random, more)
    const config = readTables(tables)
    if (config !== undefined) return { config, tables }
  }
  throw new Error("no valid configuration drawn")
}

/** In a few words, for people. */
export function describeTopology(config: ClusterConfig): string {
  const sites = config.sites.map(({ name, policy, tieBreaker }) => {
    const count = config.nodes.filter((node) => node.site === name).length
    const more = [
      policy === "split" ? "" : " last-man-standing",
      tieBreaker === undefined ? "" : " tie-breaker",
    ]
    return `${count}${more.join("")}`
  })
  const links = config.nodes[0]?.links.length ?? 1
  const services = config.services.map(({ proof, ticket }) => `${proof.kind}@${ticket}`)
  const witness = config.witness === undefined ? "no witness" : "witness"
  return `${sites.join(" + ")} nodes, ${witness}, ${config.profile}, ${links} links, ${services.join(", ")}`
}

const furtherNames = ["orders", "reports", "metering"]
const serviceNames = ["ledger", "billing", ...furtherNames]
const siteNames = ["north", "south", "west"]

function drawTables(random: Random, more: number): Tables {
  const pick = <T>(from: readonly [T, ...T[]]): T => from[Math.floor(draw(random) * from.length)] ?? from[0]
  const sites = siteNames.slice(0, pick([1, 1, 1, 2, 2, 2, 2, 3]))
  const witness = draw(random) < 0.75
  const links = pick([1, 1, 2])
  const node: Tables[] = []
  const site: Tables[] = []
  for (const name of sites) {
    // Small sites are where votes are tight; large ones are rare for their price.
    const count = sites.length === 1 ? pick([2, 2, 3, 3, 4, 5, 7]) : pick([1, 1, 2, 2, 2, 3, 4])
    const first = node.length + 1
    for (let id = first; id < first + count; id++) node.push(nodeTable(id, name, links, sites.length > 1))
    const lastMan = witness && draw(random) < 0.2
    const tieBreaker = !witness && count % 2 === 0 && draw(random) < 0.7
    site.push({
      name,
      ...(lastMan ? { policy: "last-man-standing" } : {}),
      ...(tieBreaker ? { tie_breaker: `n${first}` } : {}),
    })
  }
  const two = sites.length > 1 && draw(random) < 0.3
  const tickets = two
    ? [
        { name: "a", sites },
        { name: "b", sites: sites.toReversed() },
      ]
    : []
  const proof = drawProof(random, pick)
  return {
    cluster: "simulated",
    version: 1,
    profile: pick(["industrial", "industrial", "energy", "relaxed"]),
    site,
    node,
    ...(witness ? { witness: { url: "https://witness.example.net", public_key: key(1000) } } : {}),
    ...(two ? { ticket: tickets } : {}),
    service: [
      serviceTable("ledger", { ...proof, ...(two ? { ticket: "a" } : {}) }),
      ...(two ? [serviceTable("billing", { ...proof, ticket: "b" })] : []),
      ...furtherNames
        .slice(0, more)
        .map((name) => serviceTable(name, { ...proof, ...(two ? { ticket: "a" } : {}) })),
    ],
  }
}

function drawProof(random: Random, pick: <T>(from: readonly [T, ...T[]]) => T): Tables {
  const drawn = draw(random)
  if (drawn < 0.1) return { proof: "operator" }
  const margin = pick([20, 20, 500])
  return drawn < 0.8 ? { proof: "self-lease", self_lease_margin_ms: margin } : { proof: "gate" }
}

export function nodeTable(id: number, site: string, links: number, wide: boolean) {
  return {
    id,
    name: `n${id}`,
    site,
    links: Array.from({ length: links }, (_, link) => `10.${link}.0.${id}`),
    public_key: key(id),
    ...(wide ? { wan: `198.51.100.${id}` } : {}),
  }
}

/** What a gate is the proof of has an address of its own. */
function serviceTable(name: string, more: Tables): Tables {
  const command = (verb: string) => ["/usr/bin/ledgerctl", verb]
  const program = {
    kind: "command",
    name,
    start: command("start"),
    stop: command("stop"),
    monitor: command("monitor"),
  }
  const host = 1 + serviceNames.indexOf(name)
  const address = { kind: "ip", name: "address", address: `203.0.113.${host}/24`, device: "eth0" }
  return { name, resource: more.proof === "gate" ? [program, address] : [program], ...more }
}

/** A valid public key, another one for each number. */
const key = (n: number): string => `${String(n).padStart(42, "k")}A`
