/**
 * What the tables of a cluster configuration contain, read one by one: a draft has each field, or `undefined` where it
 * was wrong (an error is noted then) or absent without a default. What must hold BETWEEN tables is `config-checks.ts`.
 */
import type { ProfileName, SplitPolicy, TakeoverProof, UdpAddress } from "./cluster.ts"
import { bounds } from "./config-bounds.ts"
import { type FenceDraft, fenceKeys, readFence } from "./config-fences.ts"
import {
  address,
  clusterName,
  integer,
  listenAddress,
  oneOf,
  plainName,
  publicKey,
  watchdogDevice,
  witnessUrl,
} from "./config-leaves.ts"
import { type PlacementDraft, placementKeys, readPlacement } from "./config-placement.ts"
import { has, list, openTable, optional, required, type Table, tables } from "./config-reader.ts"
import { type ResourceDraft, readResources } from "./config-resources.ts"
import { lossMax } from "./frame.ts"
import { clockLimit, defaults, linkThresholds } from "./profiles.ts"
import { timingKeys } from "./timings.ts"

export interface Draft {
  readonly table: Table
  readonly name: string | undefined
  readonly version: number | undefined
  readonly profile: ProfileName | undefined
  readonly timings: TimingsDraft
  readonly links: LinksDraft | undefined
  readonly clock: ClockDraft | undefined
  readonly witness: WitnessDraft | undefined
  readonly sites: readonly SiteDraft[]
  readonly nodes: readonly NodeDraft[]
  readonly tickets: readonly TicketDraft[]
  readonly services: readonly ServiceDraft[]
  readonly fences: readonly FenceDraft[]
}

export interface TimingsDraft {
  readonly table: Table
  /** What the file overrides, by key. */
  readonly written: ReadonlyMap<string, number>
  /** Keys with a value that could not be used. */
  readonly unusable: ReadonlySet<string>
}

export interface LinksDraft {
  readonly table: Table
  readonly jitter: number | undefined
  readonly jitterCritical: number | undefined
  readonly lossPpm: number | undefined
  readonly rtt: number | undefined
}

export interface ClockDraft {
  readonly limit: number | undefined
}

export interface WitnessDraft {
  readonly table: Table
  readonly url: string | undefined
  readonly publicKey: string | undefined
}

export interface SiteDraft {
  readonly table: Table
  readonly name: string | undefined
  readonly policy: SplitPolicy | undefined
  readonly tieBreaker: string | undefined
  readonly witnessUrl: string | undefined
}

export interface NodeDraft {
  readonly table: Table
  readonly id: number | undefined
  readonly name: string | undefined
  readonly site: string | undefined
  readonly votes: number | undefined
  readonly links: readonly (UdpAddress | undefined)[] | undefined
  readonly wan: UdpAddress | undefined
  readonly wanBind: UdpAddress | undefined
  readonly publicKey: string | undefined
  readonly watchdog: WatchdogDraft | undefined
}

export interface WatchdogDraft {
  readonly table: Table
  readonly device: string | undefined
  readonly timeoutSeconds: number | undefined
}

export interface TicketDraft {
  readonly table: Table
  readonly name: string | undefined
  readonly sites: readonly (string | undefined)[] | undefined
}

export interface ServiceDraft {
  readonly table: Table
  readonly name: string | undefined
  readonly ticket: string | undefined
  readonly nodes: readonly (string | undefined)[] | undefined
  readonly mode: "automatic" | "manual" | undefined
  readonly proof: TakeoverProof["kind"] | undefined
  readonly margin: number | undefined
  readonly placement: PlacementDraft
  readonly resources: readonly ResourceDraft[]
}

/** The keys of the file's top level, for `openTable`. */
export const topKeys = [
  "cluster",
  "version",
  "profile",
  "timings",
  "links",
  "clock",
  "witness",
  "site",
  "node",
  "ticket",
  "service",
  "fence",
] as const

export function readDraft(table: Table): Draft {
  const many = (key: string, keys: readonly string[], min: number, max: number) =>
    tables(table, key, keys, { min, max, noun: `[[${key}]] tables` })
  return {
    table,
    name: required(table, "cluster", clusterName),
    version: required(table, "version", integer(1, bounds.version)),
    profile: optional(table, "profile", oneOf("industrial", "energy", "relaxed"), defaults.profile),
    timings: readTimings(table),
    links: readLinks(table),
    clock: readClock(table),
    witness: readWitness(table),
    sites: many("site", siteKeys, 1, bounds.sites).map(readSite),
    nodes: many("node", nodeKeys, 1, bounds.nodes).map(readNode),
    tickets: many("ticket", ticketKeys, 0, bounds.tickets).map(readTicket),
    services: many("service", serviceKeys, 0, bounds.services).map(readService),
    fences: many("fence", fenceKeys, 0, bounds.fences).map(readFence),
  }
}

function readTimings(top: Table): TimingsDraft {
  const keys = timingKeys.map((each) => each.key)
  const found = has(top, "timings") ? top.fields.timings : {}
  const opened = openTable(found, ["timings"], keys, top.errors)
  const table = opened ?? { path: ["timings"], fields: {}, errors: top.errors }
  const written = new Map<string, number>()
  const unusable = new Set<string>()
  for (const { key, min, max } of timingKeys.filter((each) => has(table, each.key))) {
    const value = required(table, key, integer(min, max))
    if (value === undefined) unusable.add(key)
    else written.set(key, value)
  }
  return { table, written, unusable }
}

const linkKeys = ["jitter_ms", "jitter_critical_ms", "loss_ppm", "rtt_ms"]

function readLinks(top: Table): LinksDraft | undefined {
  if (!has(top, "links")) return undefined
  const table = openTable(top.fields.links, ["links"], linkKeys, top.errors)
  if (table === undefined) return undefined
  const figure = (key: string, max: number, otherwise: number) =>
    optional(table, key, integer(1, max), otherwise)
  return {
    table,
    jitter: figure("jitter_ms", bounds.linkFigure, linkThresholds.jitter),
    jitterCritical: figure("jitter_critical_ms", bounds.linkFigure, linkThresholds.jitterCritical),
    lossPpm: figure("loss_ppm", lossMax, linkThresholds.lossPpm),
    rtt: figure("rtt_ms", bounds.linkFigure, linkThresholds.rtt),
  }
}

function readClock(top: Table): ClockDraft | undefined {
  if (!has(top, "clock")) return undefined
  const table = openTable(top.fields.clock, ["clock"], ["limit_ms"], top.errors)
  if (table === undefined) return undefined
  return { limit: optional(table, "limit_ms", integer(1, bounds.clockLimit), clockLimit) }
}

function readWitness(top: Table): WitnessDraft | undefined {
  if (!has(top, "witness")) return undefined
  const table = openTable(top.fields.witness, ["witness"], ["url", "public_key"], top.errors)
  if (table === undefined) return undefined
  return {
    table,
    url: required(table, "url", witnessUrl),
    publicKey: required(table, "public_key", publicKey),
  }
}

const siteKeys = ["name", "policy", "tie_breaker", "witness_url"]

function readSite(table: Table): SiteDraft {
  return {
    table,
    name: required(table, "name", plainName),
    policy: optional(table, "policy", oneOf("split", "last-man-standing"), defaults.policy),
    tieBreaker: optional(table, "tie_breaker", plainName, undefined),
    witnessUrl: optional(table, "witness_url", witnessUrl, undefined),
  }
}

const nodeKeys = ["id", "name", "site", "votes", "links", "wan", "wan_bind", "public_key", "watchdog"]

function readNode(table: Table): NodeDraft {
  return {
    table,
    id: required(table, "id", integer(1, bounds.nodeId)),
    name: required(table, "name", plainName),
    site: required(table, "site", plainName),
    votes: optional(table, "votes", integer(1, bounds.votes), defaults.votes),
    links: list(table, "links", (index) => address(defaults.firstLinkPort + index), {
      min: 1,
      max: bounds.links,
      noun: "addresses",
    }),
    wan: optional(table, "wan", address(defaults.wanPort), undefined),
    wanBind: optional(table, "wan_bind", listenAddress(defaults.wanPort), undefined),
    publicKey: required(table, "public_key", publicKey),
    watchdog: readWatchdog(table),
  }
}

function readWatchdog(node: Table): WatchdogDraft | undefined {
  if (!has(node, "watchdog")) return undefined
  const path = [...node.path, "watchdog"]
  const table = openTable(node.fields.watchdog, path, ["device", "timeout_s"], node.errors)
  if (table === undefined) return undefined
  return {
    table,
    device: optional(table, "device", watchdogDevice, defaults.watchdogDevice),
    timeoutSeconds: required(table, "timeout_s", integer(2, bounds.watchdogSeconds)),
  }
}

const ticketKeys = ["name", "sites"]

function readTicket(table: Table): TicketDraft {
  return {
    table,
    name: required(table, "name", plainName),
    sites: list(table, "sites", () => plainName, { min: 1, max: bounds.sites, noun: "names of sites" }),
  }
}

const serviceKeys = [
  "name",
  "ticket",
  "nodes",
  "mode",
  "proof",
  "self_lease_margin_ms",
  "resource",
  ...placementKeys,
]

function readService(table: Table): ServiceDraft {
  const resources = readResources(table)
  return {
    table,
    name: required(table, "name", plainName),
    ticket: optional(table, "ticket", plainName, defaults.ticket),
    nodes: has(table, "nodes")
      ? list(table, "nodes", () => plainName, { min: 1, max: bounds.nodes, noun: "names of nodes" })
      : undefined,
    mode: optional(table, "mode", oneOf("automatic", "manual"), defaults.mode),
    proof: optional(table, "proof", oneOf("self-lease", "gate", "watchdog", "operator"), proofOf(resources)),
    margin: optional(table, "self_lease_margin_ms", integer(1, bounds.resourceTimeout), undefined),
    placement: readPlacement(table),
    resources,
  }
}

/** Addresses alone are what the gate is for; nothing is assumed about a program. */
function proofOf(resources: readonly ResourceDraft[]): "gate" | typeof defaults.proof {
  return resources.length > 0 && resources.every(({ config }) => config?.kind === "ip")
    ? "gate"
    : defaults.proof
}
