/**
 * One seed, one run: it draws a cluster and what goes wrong in it for a while; then all faults stop, and every service
 * that needs nobody's word must become active within a bound computed from the timings (SPEC P1).
 */
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { millis, type NodeId, stretched } from "../../protocol/units.ts"
import { createRandom, draw, type Random } from "../core/random.ts"
import { Changes } from "./changes.ts"
import { pictureOf } from "./chaos.ts"
import { readDocument } from "./documents.ts"
import { allFaults, type FaultKind, type FaultTable } from "./fault-tables.ts"
import { Faults } from "./faults.ts"
import { describeTopology, drawTopology } from "./topology.ts"
import { World } from "./world.ts"

export interface RunOptions {
  readonly seed: number
  /** How long faults are drawn, in simulated ms. */
  readonly duration: number
  /** Clock rates are off by this many times rho; more than 1 is beyond what anything is promised for. */
  readonly rateFactor?: number
  readonly trace?: (line: string) => void
  /** `violation`: only invariants are of interest, not whether services recover. */
  readonly until?: "recovery" | "violation"
  /** What may go wrong; everything unless told. */
  readonly table?: FaultTable
}

export interface RunResult {
  readonly seed: number
  readonly topology: string
  readonly violations: readonly string[]
  /** Which services were not active within the bound, and where every node stood; undefined: all were. */
  readonly stuck: string | undefined
  /** How long that took, of how long it might, in simulated ms. */
  readonly recovery: number
  readonly bound: number
  /** True time simulated in all, in ms. */
  readonly simulated: number
  readonly steps: number
  readonly faults: ReadonlyMap<FaultKind, number>
  readonly views: number
  /** How often a service was active on another node than before. */
  readonly takeovers: number
  /** Configurations that became active after the first one. */
  readonly changes: number
  /** Commands acknowledged to operators. */
  readonly acknowledged: number
}

export function runSeed(options: RunOptions): RunResult {
  const { seed, duration, rateFactor = 1, trace } = options
  const random = createRandom(Math.imul(seed, 0x9e3779b1) ^ 0x51ed270b)
  const { config, tables } = drawTopology(random, seed % 4 === 3 ? 3 : 0)
  const world = drawWorld(config, seed, random, rateFactor, trace)
  const changes = new Changes(createRandom(Math.imul(seed, 0x85ebca6b) ^ 0x27d4eb2f), tables)
  const faults = new Faults(world, random, options.table ?? allFaults, changes)
  const pace = pick(random, [300, 1000, 4000])
  world.start()
  while (world.now < duration && world.violations.length === 0) {
    world.run(Math.min(duration, 20 + 2 * pace * draw(random)))
    faults.next()
  }
  const bound = Math.max(...changes.offered.map(recoveryBound))
  const recovered =
    options.until === "violation" ? { stuck: undefined, recovery: 0 } : recover(world, faults, bound)
  return {
    seed,
    topology: describeTopology(config),
    violations: world.violations,
    ...recovered,
    bound,
    simulated: world.now,
    steps: world.steps,
    faults: faults.counts,
    views: world.log.filter((line) => line.event === "view-installed").length,
    takeovers: takeoversIn(world),
    changes: world.newest.version - config.version,
    acknowledged: world.acknowledged,
  }
}

function drawWorld(
  config: ClusterConfig,
  seed: number,
  random: Random,
  rateFactor: number,
  trace: RunOptions["trace"],
): World {
  const world = new World(config, {
    seed,
    lanDelay: pick(random, [0.1, 0.3, 1]),
    wanDelay: pick(random, [2, 10, 40]),
    witnessDelay: pick(random, [5, 15, 60]),
    diskDelay: pick(random, [1, 3, 20]),
    serviceDelay: pick(random, [5, 100]),
    netJitter: pick(random, [0.1, 0.5]),
    jitter: pick(random, [0, 0.6]),
    rateError: rateFactor * config.timings.rho,
    healthEvery: 2000,
    readConfiguration: readDocument,
    trace,
  })
  world.witness.window = pick(random, [0, 50])
  // Half the runs have clocks at both ends of what is allowed, where proofs are tight.
  if (draw(random) < 0.5) {
    for (const host of world.hosts.values())
      host.rate = 1 + pick(random, [-1, 1]) * rateFactor * config.timings.rho
  }
  return world
}

function pick<T>(random: Random, from: readonly [T, ...T[]]): T {
  return from[Math.floor(draw(random) * from.length)] ?? from[0]
}

/** Starts of a service on another node than before. */
function takeoversIn(world: World): number {
  const last = new Map<unknown, NodeId>()
  let count = 0
  for (const { event, fields, node } of world.log) {
    if (event !== "service-running") continue
    const before = last.get(fields.service)
    if (before !== undefined && before !== node) count += 1
    last.set(fields.service, node)
  }
  return count
}

/** The longest a node is held off after failed attempts to form a ring with it (SPEC R5). */
const holdOffMax = 60_000
/** Starts that may fail or hang, one after another, before a node is found that can. */
const startLimits = 3 * 3000
/** How often an operator says again what he wants. */
const commandEvery = 3000

/**
 * P1: by then the slowest of everything has happened once after another: a held-off node is let in again, amnesia and a
 * stranger's leases are over, voice and mandate are waited out, claimants have stood back for each other, a margin has passed.
 */
export function recoveryBound({ timings, sites, services, witness }: ClusterConfig): number {
  const { lease, gatherWait, voiceTtl, mandateTtl, renewal, claimStagger, rho } = timings
  const ttl = stretched(millis(Math.max(voiceTtl, mandateTtl)), rho)
  const ring = stretched(lease, rho) + 2 * gatherWait
  const voice = witness === undefined ? 0 : stretched(voiceTtl, rho) + renewal
  const mandate =
    sites.length === 1 ? 0 : stretched(mandateTtl, rho) + sites.length * (4 * renewal + claimStagger)
  const margin = Math.max(...services.map(({ proof }) => (proof.kind === "self-lease" ? proof.margin : 0)))
  return (
    holdOffMax +
    ttl +
    2 * ring +
    voice +
    mandate +
    stretched(mandateTtl, rho) +
    margin +
    startLimits +
    commandEvery
  )
}

function recover(world: World, faults: Faults, bound: number): Pick<RunResult, "stuck" | "recovery"> {
  const from = world.now
  faults.mend()
  const { voiceTtl, rho } = world.config.timings
  const mandateTtl = 1.4 * world.config.timings.mandateTtl
  // A witness that was set back is believed again by an operator who knows that every lease has run out.
  world.run(Math.max(voiceTtl, mandateTtl) * (1 + 3 * rho))
  const wanted = world.config.services
    .filter(({ proof }) => proof.kind !== "operator")
    .map(({ name }) => name)
  const missing = () => wanted.filter((name) => world.active(name).length !== 1)
  while (missing().length > 0 && world.now - from < bound && world.violations.length === 0) {
    for (const [id, host] of world.hosts) {
      if (host.node === undefined) world.start(id)
      world.command(id, { kind: "witness-accept" })
      world.command(id, { kind: "node-online", node: host.id })
      world.command(id, { kind: "maintenance-off", service: undefined })
      for (const service of wanted) {
        world.command(id, { kind: "maintenance-off", service })
        world.command(id, { kind: "service-start", service })
        world.command(id, { kind: "service-cleanup", service })
      }
    }
    world.runUntil(() => missing().length === 0, commandEvery)
  }
  const stuck = missing().length === 0 ? undefined : `${missing().join(", ")} not active: ${pictureOf(world)}`
  return { stuck, recovery: world.now - from }
}
