/** The small clusters that are explored, in the state from which exploration begins: formed, with the service active. */
import { serviceName } from "../../protocol/units.ts"
import { service } from "../support/config-builder.ts"
import { configOf, type LayoutName } from "../support/layouts.ts"
import type { Bounds } from "./explore.ts"
import { createModel, type Model, Quantum, quantum } from "./model.ts"

/** The smallest that agree with SPEC T, where every timer may be late by a quantum and clocks are off by a tenth. */
const timings = {
  rho_ppm: 100_000,
  heartbeat_ms: 4 * quantum,
  retransmit_ms: 2 * quantum,
  misses: 2,
  pass_ms: 1,
  lateness_ms: 60,
  lease_ms: 470,
  gather_wait_ms: 160,
  voice_ttl_ms: 1050,
  mandate_ttl_ms: 1450,
  renewal_ms: 300,
  summary_interval_ms: 300,
  wan_heartbeat_ms: 200,
  wan_silent_ms: 600,
  claim_stagger_ms: 300,
}

/** A lease of three heartbeats: two views may come and go before the debt of the first is over. */
const longLease = { ...timings, lease_ms: 1200, voice_ttl_ms: 2000, mandate_ttl_ms: 2400 }

/** In milliseconds, beyond a quantum: a successor that does not wait for it is seen. */
export const margin = 120

const ledger = service("ledger", { proof: "self-lease", self_lease_margin_ms: margin })

interface Cluster {
  readonly layout: LayoutName
  readonly timings: Readonly<Record<string, number>>
  /** Ways that may be cut together. */
  readonly cuts: Bounds["cuts"]
  /** What may happen to processes and ways; all but `swing` unless told. */
  readonly kinds?: Bounds["kinds"]
  /** Cut before exploration begins, for as long as it takes to settle. */
  readonly begin?: readonly string[]
  /** Less than this shows nothing. */
  readonly least?: { readonly disturbances: number; readonly depth: number }
}

const bothWays = (a: string, ...others: readonly string[]): readonly string[] =>
  others.flatMap((b) => [`${a}>${b}`, `${b}>${a}`])

const ofThree = [bothWays("1", "2", "3"), bothWays("3", "1", "2"), ["1>2"]]

/** Two rings of one, and the way to the witness goes to the one or to the other. */
const apart = bothWays("1", "2")
const halves = [
  [...apart, ...bothWays("1", "w")],
  [...apart, ...bothWays("2", "w")],
] as const

export const clusters = {
  "two nodes and witness": {
    layout: "1x2",
    timings,
    cuts: [bothWays("1", "2"), ["1>2"], bothWays("1", "w"), ["w>1"]],
  },
  "three nodes": { layout: "1x3", timings, cuts: ofThree },
  "three nodes, long lease": { layout: "1x3", timings: longLease, cuts: ofThree },
  "two sites of one and witness": {
    layout: "2x1",
    timings,
    cuts: [bothWays("1", "2"), bothWays("1", "w"), ["w>1"], bothWays("1", "2", "w")],
  },
  "two halves and witness": {
    layout: "1x2",
    timings,
    cuts: halves,
    kinds: ["swing"],
    begin: halves[0],
    // There, and back: twice the voice is waited out.
    least: { disturbances: 2, depth: 100 },
  },
} as const satisfies Readonly<Record<string, Cluster>>

export type ClusterName = keyof typeof clusters

/** What may go wrong there. */
export function faultsOf(name: ClusterName): Pick<Bounds, "cuts" | "kinds"> {
  const { cuts, kinds = standard.kinds }: Cluster = clusters[name]
  return { cuts, kinds }
}

/** What was asked for, and no less than shows something there. */
export function boundsOf(name: ClusterName, { budget, depth, ...bounds }: Asked): Asked {
  const { least = { disturbances: 0, depth: 0 } }: Cluster = clusters[name]
  const disturbances = Math.max(budget.disturbances, least.disturbances)
  return { ...bounds, depth: Math.max(depth, least.depth), budget: { ...budget, disturbances } }
}

type Asked = Pick<Bounds, "depth" | "budget" | "statesMax">

export const clusterNames = Object.keys(clusters) as readonly ClusterName[]

/** Every combination of clocks that are as slow and as fast as rho allows; first the owner's slow and the others' fast. */
export function rateVectors(name: ClusterName): readonly (readonly number[])[] {
  const { nodes, timings: t } = configOf(clusters[name].layout, { timings: clusters[name].timings })
  return Array.from({ length: 2 ** nodes.length }, (_, bits) =>
    nodes.map((_node, index) => 1 + (((bits & (1 << index)) !== 0) === (index === 0) ? t.rho : -t.rho)),
  ).toSorted((a, b) => spread(b) - spread(a))
}

function spread([first = 1, ...others]: readonly number[]): number {
  return Math.min(...others) - first
}

/** What both heads of the program start from. */
export const standard = {
  delays: [1, 3],
  stands: [3, 12],
  kinds: ["crash", "start", "stand", "cut", "heal"],
  statesMax: 5_000_000,
} as const

export function formed(name: ClusterName, rates: readonly number[]): Model {
  const config = configOf(clusters[name].layout, { timings: clusters[name].timings, service: [ledger] })
  let next = new Quantum(createModel(config, rates))
  for (const { id } of config.nodes) next.disturb({ kind: "start", node: id })
  next.run(new Map())
  for (let count = 0; count < 400; count++) {
    if (isFormed(next.model) && count > 60) return begun(name, next.model)
    next = new Quantum(next.model)
    next.run(new Map())
  }
  throw new Error(`${name} does not form`)
}

/** Until what was cut has had its effect: longer than any TTL'. */
const settling = 60

function begun(name: ClusterName, model: Model): Model {
  const { begin }: Cluster = clusters[name]
  if (begin === undefined) return model
  let next = new Quantum(model)
  next.disturb({ kind: "cut", ways: begin })
  for (let count = 0; count < settling; count++) {
    next.run(new Map())
    next = new Quantum(next.model)
  }
  next.run(new Map())
  return next.model
}

function isFormed({ machines, now, config }: Model): boolean {
  const service = serviceName("ledger")
  const acts = machines.filter(({ leases, running }) => {
    const lease = leases.get(service)
    return lease !== undefined && lease.until > now && running.get(service) === lease.epoch
  })
  return (
    acts.length === 1 &&
    machines.every(({ node, site }) => {
      const members = config.nodes.filter((each) => each.site === site).length
      return node?.membership.kind === "operational" && node.view?.members.length === members
    })
  )
}
