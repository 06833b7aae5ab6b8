/** `sizes`, `corosync` and `virtual`: how a ring fares as it grows. One line a size. */
import { World } from "../../../node-agent/simulation/world.ts"
import type { ProfileName } from "../../../protocol/cluster.ts"
import { profiles } from "../../../protocol/profiles.ts"
import type { Workplace } from "../../support/cluster/workplace.ts"
import { accepted, oneSite, parse, service } from "../../support/config-builder.ts"
import { selfLease } from "../../support/layouts.ts"
import { type Statistics, statisticsOf } from "../statistics.ts"
import { CorosyncRing, defaults, oneSecond, tuned } from "./corosync.ts"
import { type Measured, measureRing, type Pace } from "./measure.ts"
import { onNetwork } from "./on-network.ts"
import { QuorumbeatRing } from "./quorumbeat.ts"
import { RingNetwork } from "./ring-network.ts"
import type { RingSystem } from "./ring-system.ts"

export interface Bench {
  readonly workplace: Workplace
  readonly sizes: readonly number[]
  readonly profiles: readonly ProfileName[]
  readonly repeats: number
  readonly minutes: number
  readonly seconds: number
  /** Hostile datagrams a second. */
  readonly rate: number
  readonly say: (line: string) => void
  /** Says so, and what fails makes the run fail in the end. */
  readonly fail: (what: string, cause: unknown) => void
}

let networks = 0

/** Measures one system at one size. */
function measured(
  bench: Bench,
  what: string,
  count: number,
  pace: Pace,
  prepare: (network: RingNetwork) => Promise<RingSystem> | RingSystem,
): Promise<Measured | undefined> {
  networks += 1
  const network = new RingNetwork(`br${networks}`, 10 + networks, count)
  return onNetwork(bench, `${what}, ${count} nodes`, network, prepare, (system) =>
    measureRing(system, network, pace),
  )
}

/** What a configuration of so many nodes at a site must say besides its profile (SPEC T17). */
export function timingsFor(profile: ProfileName, count: number): Readonly<Record<string, number>> {
  return profile === "energy" && count > 15 ? { pass_ms: 10, lease_ms: 190 } : {}
}

export async function quorumbeatSizes(bench: Bench): Promise<void> {
  for (const profile of bench.profiles) {
    heading(bench, `Quorumbeat ${profile}, real processes`)
    let smallest: Measured | undefined
    for (const count of bench.sizes) {
      const { heartbeat } = profiles[profile]
      const pace = { repeats: bench.repeats, settle: 10_000, steady: 8_000, rest: 1_200, cycle: heartbeat }
      const plan = { profile, timings: timingsFor(profile, count) }
      const found = await measured(bench, profile, count, pace, (network) =>
        QuorumbeatRing.prepare(bench.workplace, network, plan),
      )
      if (found === undefined) continue
      smallest ??= found
      line(bench, count, found, smallest)
    }
  }
}

/** Kills where timings are not tuned: its time-outs grow with the ring, with 30 nodes a kill takes most of a minute. */
const slowRepeats = (count: number): number => (count > 8 ? 1 : 3)

export async function corosyncSizes(bench: Bench): Promise<void> {
  for (const planOf of [() => defaults, () => oneSecond, tuned]) {
    heading(bench, planOf(bench.sizes[0] ?? 3).title.replace(/token (60|100)$/, "tuned"))
    let smallest: Measured | undefined
    for (const count of bench.sizes) {
      const plan = planOf(count)
      const repeats = planOf === tuned ? bench.repeats : Math.min(bench.repeats, slowRepeats(count))
      const pace = { repeats, settle: 5_000, steady: 10_000, rest: 1_500, cycle: 1_000 }
      const found = await measured(
        bench,
        plan.title,
        count,
        pace,
        (network) => new CorosyncRing(bench.workplace, network, plan),
      )
      if (found === undefined) continue
      smallest ??= found
      line(bench, count, found, smallest)
    }
  }
}

export function heading({ say }: Bench, title: string): void {
  say(`\n${title}`)
  say(
    "  nodes   formed   kill to last view (min / median / max)   ratio   start ordered   running   CPU a node (most)   PSS   a node sends           ring sends",
  )
}

export function line(
  { say }: Bench,
  count: number,
  { formation, cost, detection }: Measured,
  smallest: Measured,
): void {
  const ms = (value: number | undefined): string => (value === undefined ? "-" : `${Math.round(value)} ms`)
  const { last, ordered, running, collateral } = detection
  const ratio = (last.median / smallest.detection.last.median).toFixed(2)
  say(
    [
      `  ${String(count).padStart(5)}`,
      `${(formation / 1000).toFixed(1)} s`.padStart(9),
      `${spread(last)}`.padStart(41),
      ratio.padStart(8),
      ms(ordered?.median).padStart(16),
      ms(running?.median).padStart(10),
      `${cost.processor.toFixed(2)} % (${cost.processorMost.toFixed(2)})`.padStart(20),
      `${cost.memory.toFixed(0)} MiB`.padStart(8),
      `${cost.packets.toFixed(1)}/s ${Math.round(cost.bytes)} B/s`.padStart(20),
      `${(cost.packets * count).toFixed(0)}/s`.padStart(9),
      collateral === 0 ? "" : `  ${collateral} views lost a live node`,
    ].join(""),
  )
}

function spread({ count, min, median, max }: Statistics): string {
  return `${Math.round(min)} / ${Math.round(median)} / ${Math.round(max)} ms (${count} kills)`
}

/** The same core in virtual time: what the protocol takes, on nodes that have a processor each and all the time they need. */
export async function virtualSizes(bench: Bench): Promise<void> {
  bench.say(
    "\nVirtual time: the same core, 0.3 ms a datagram, no processor time counted; kill to last view, and running elsewhere",
  )
  for (const profile of bench.profiles) {
    let smallest: number | undefined
    for (const count of bench.sizes) {
      const { detected, running, packets } = virtual(profile, count, bench.repeats)
      smallest ??= detected.median
      const ratio = (detected.median / smallest).toFixed(2)
      bench.say(
        `  ${profile.padEnd(10)} ${String(count).padStart(3)} nodes   ${spread(detected).padStart(36)}   ratio ${ratio}   running ${Math.round(running.median)} ms   ` +
          `${(packets / count).toFixed(1)} packets/s a node, ${packets.toFixed(0)}/s the ring`,
      )
    }
  }
}

function virtual(
  profile: ProfileName,
  count: number,
  repeats: number,
): { readonly detected: Statistics; readonly running: Statistics; readonly packets: number } {
  const plain = {
    ...oneSite(count),
    profile,
    timings: timingsFor(profile, count),
    service: [service("ledger", selfLease)],
  }
  const world = new World(accepted(parse(plain)), { seed: count, netJitter: 0.2, jitter: 0.2 })
  world.start()
  const isOneRing = (): boolean =>
    [...world.hosts.values()].every(({ node }) => node?.view?.members.length === count) &&
    world.active("ledger").length === 1
  world.runUntil(isOneRing, 60_000)
  world.run(10_000)
  const before = world.sent
  world.run(10_000)
  const packets = (world.sent - before) / 10
  const [detected, running]: [number[], number[]] = [[], []]
  for (let repeat = 0; repeat < repeats; repeat++) {
    world.run(2_000 + ((repeat * 0.618) % 1) * profiles[profile].heartbeat)
    const [owner = 0] = world.active("ledger")
    const from = world.now
    world.kill(owner)
    const isElsewhere = (): boolean => world.active("ledger").some((id) => id !== owner)
    world.runUntil(isElsewhere, 10_000)
    running.push(world.now - from)
    world.run(1_000)
    const views = world.log.filter(({ at, event }) => at >= from && event === "view-installed")
    const firsts = new Map(views.toReversed().map(({ node, at }) => [node, at - from]))
    detected.push(Math.max(...firsts.values()))
    world.start(owner)
    world.runUntil(isOneRing, 60_000)
  }
  return { detected: statisticsOf(detected), running: statisticsOf(running), packets }
}
