/** What is measured of a ring: what it costs while nothing happens, and how long it is until all others know that a node died. */
import { setTimeout as sleep } from "node:timers/promises"
import { waitFor } from "../../support/cluster/waiting.ts"
import { type Statistics, statisticsOf } from "../statistics.ts"
import type { RingNetwork } from "./ring-network.ts"
import { isWhole, memoryOf, neighboursOf, type RingSystem, runTimeOf } from "./ring-system.ts"

export interface Pace {
  /** Kills. */
  readonly repeats: number
  /** Milliseconds before the cost is measured, for it, and between two kills. */
  readonly settle: number
  readonly steady: number
  readonly rest: number
  /** Kills are spread evenly over this. */
  readonly cycle: number
}

export interface Cost {
  /** Per cent of one core, a node: on average, and the dearest. */
  readonly processor: number
  readonly processorMost: number
  readonly memory: number
  /** A second, sent by a node on average. */
  readonly packets: number
  readonly bytes: number
}

export interface Detection {
  /** From the kill to the first and the last survivor's view without the dead node. */
  readonly first: Statistics
  readonly last: Statistics
  /** To the order to start the service elsewhere, and to its end. */
  readonly ordered: Statistics | undefined
  readonly running: Statistics | undefined
  /** Views without a node that lived, after a kill. */
  readonly collateral: number
}

export interface Measured {
  readonly formation: number
  readonly cost: Cost
  readonly detection: Detection
}

const formationLimit = 150_000
const detectionLimit = 60_000
/** Fractions of the golden ratio fall evenly into every interval. */
const goldenRatio = 0.618_033_988_75

export async function measureRing(system: RingSystem, network: RingNetwork, pace: Pace): Promise<Measured> {
  const from = Date.now()
  await system.start()
  await whole(system)
  const formation = Date.now() - from
  await sleep(pace.settle)
  const cost = await costOf(system, network, pace.steady)
  return { formation, cost, detection: await detect(system, pace) }
}

export function whole(system: RingSystem, limit = formationLimit): Promise<true> {
  const look = (): true | undefined => isWhole(system) || undefined
  return waitFor(
    { what: "one ring of all nodes", limit, interval: 250, instead: () => ringsOf(system) },
    look,
  )
}

function ringsOf(system: RingSystem): string {
  return system.nodes.map((node) => `${node}: ${system.views(node).at(-1)?.members.length ?? 0}`).join(", ")
}

async function costOf(system: RingSystem, network: RingNetwork, duration: number): Promise<Cost> {
  const { nodes } = system
  const runTimes = (): readonly number[] =>
    nodes.map((node) => sum(Object.values(system.processes(node)).map(runTimeOf)))
  const [timesBefore, sentBefore, from] = [runTimes(), network.sent(), performance.now()]
  await sleep(duration)
  const [times, sent, elapsed] = [runTimes(), network.sent(), performance.now() - from]
  const shares = times.map((time, index) => (100 * (time - (timesBefore[index] ?? 0))) / elapsed)
  const memories = nodes.map((node) => sum(Object.values(system.processes(node)).map(memoryOf)))
  const rate = (kind: "packets" | "bytes"): number => {
    const total = nodes.map((node) => (sent.get(node)?.[kind] ?? 0) - (sentBefore.get(node)?.[kind] ?? 0))
    return (1000 * sum(total)) / elapsed / nodes.length
  }
  return {
    processor: sum(shares) / nodes.length,
    processorMost: Math.max(...shares),
    memory: sum(memories) / nodes.length,
    packets: rate("packets"),
    bytes: rate("bytes"),
  }
}

async function detect(system: RingSystem, { repeats, rest, cycle }: Pace): Promise<Detection> {
  const found = { first: [], last: [], ordered: [], running: [] } as Record<string, number[]>
  let collateral = 0
  for (let repeat = 0; repeat < repeats; repeat++) {
    await sleep(rest + ((repeat * goldenRatio) % 1) * cycle)
    // The representative every second time: its death is noticed last.
    const victim = system.owner?.() ?? system.nodes[repeat % 2] ?? ""
    const survivors = system.nodes.filter((node) => node !== victim)
    const neighbours = neighboursOf(system, victim)
    const from = Date.now()
    system.kill(victim)
    const what = `all others without ${victim}`
    const seen = await waitFor(
      { what, limit: detectionLimit, interval: 100, instead: () => ringsOf(system) },
      () => {
        const views = neighbours.map((node) => viewWithout(system, node, victim, from))
        const known = views.filter((at) => at !== undefined)
        return known.length === neighbours.length && isWhole(system, survivors) ? known : undefined
      },
    )
    found.first?.push(Math.min(...seen) - from)
    found.last?.push(Math.max(...seen) - from)
    if (system.successions !== undefined) {
      const next = await waitFor(
        { what: "the service elsewhere", limit: detectionLimit, interval: 100 },
        () => system.successions?.(from, victim),
      )
      found.ordered?.push(next.ordered - from)
      found.running?.push(next.running - from)
    }
    const least = neighbours.length
    for (const node of neighbours)
      collateral += system
        .views(node)
        .filter(({ at, members }) => at >= from && members.length < least).length
    if (repeat === repeats - 1) break
    system.startOne(victim)
    await whole(system)
  }
  const statistics = (kind: string): Statistics | undefined => {
    const values = found[kind] ?? []
    return values.length === 0 ? undefined : statisticsOf(values)
  }
  const [first, last] = [statistics("first"), statistics("last")]
  if (first === undefined || last === undefined) throw new Error("nothing was killed")
  return { first, last, ordered: statistics("ordered"), running: statistics("running"), collateral }
}

function viewWithout(system: RingSystem, node: string, victim: string, from: number): number | undefined {
  const number = system.nodes.indexOf(victim) + 1
  return system.views(node).find(({ at, members }) => at >= from && !members.includes(number))?.at
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
