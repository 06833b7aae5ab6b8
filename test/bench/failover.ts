/**
 * kill -9 of the active node's real-time process until the service writes on another node, one machine's CLOCK_MONOTONIC
 * at both ends. Kills are spread evenly over the heartbeat interval; every second victim is the ring's representative,
 * whose death is noticed last. The ledger daemon of the killed node is alive all the time: it is its lease that ends.
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { ProfileName } from "../../protocol/cluster.ts"
import { profiles } from "../../protocol/profiles.ts"
import type { Cluster } from "../support/cluster/cluster.ts"
import { now } from "../support/cluster/waiting.ts"
import { type PhaseTimes, phasesSince } from "./phases.ts"
import { type Bench, formationLimit, type Section, verdictLine, withCluster } from "./section.ts"
import { formatStatistics, statisticsOf } from "./statistics.ts"

const takeoverLimit = 20_000
/** Fractions of the golden ratio fall evenly into every interval. */
const goldenRatio = 0.618_033_988_75

interface Layout {
  readonly name: string
  readonly profile: ProfileName
  readonly nodes: readonly string[]
  readonly hasWitness: boolean
  /** Not to be exceeded at p95, in ms; `undefined`: no figure of its own. */
  readonly goal: number | undefined
}

const layouts: readonly Layout[] = [
  {
    name: "failover-industrial",
    profile: "industrial",
    nodes: ["a1", "a2", "a3"],
    hasWitness: false,
    goal: 500,
  },
  { name: "failover-energy", profile: "energy", nodes: ["a1", "a2", "a3"], hasWitness: false, goal: 250 },
  { name: "failover-two", profile: "industrial", nodes: ["a1", "a2"], hasWitness: true, goal: undefined },
]

export const failoverSections: readonly Section[] = layouts.map((layout) => ({
  name: layout.name,
  title: `${layout.nodes.length} nodes${layout.hasWitness ? " and the witness" : ""}, ${layout.profile}: kill -9 of the active node's real-time process until active elsewhere`,
  measure: (bench) => measure(bench, layout),
}))

async function measure(bench: Bench, layout: Layout): Promise<void> {
  const { profile, nodes, hasWitness, goal } = layout
  const sites = [{ name: "site", nodes }]
  await withCluster(bench, { sites, profile, hasWitness, trace: true }, async (cluster) => {
    const latencies: number[] = []
    const phases: PhaseTimes[] = []
    for (let repeat = 0; repeat < bench.repeats; repeat++) {
      await sleep(1_000 + ((repeat * goldenRatio) % 1) * profiles[profile].heartbeat)
      const { latency, times } = await killOnce(cluster)
      latencies.push(latency)
      phases.push(times)
      const [violation] = cluster.ledger.violations()
      if (violation !== undefined) throw new Error(`TWO OWNERS: ${violation}`)
    }
    report(bench, latencies, phases, goal)
  })
}

async function killOnce(cluster: Cluster): Promise<{ readonly latency: number; readonly times: PhaseTimes }> {
  const owner = (await cluster.active(takeoverLimit)).node
  const victim = cluster.agent(owner)
  const killed = now()
  await victim.killRealtime()
  const after = await cluster.succession([owner], killed, takeoverLimit)
  await sleep(300)
  const heir = cluster.agent(after.node)
  const times = phasesSince(heir.node.traceFile, killed, after.at)
  victim.start()
  await cluster.healthy(formationLimit)
  return { latency: after.at - killed, times }
}

function report(
  { say }: Bench,
  latencies: readonly number[],
  phases: readonly PhaseTimes[],
  goal: number | undefined,
): void {
  const total = statisticsOf(latencies)
  say(`  total                ${formatStatistics(total)}`)
  for (const name of ["gather", "view", "voice", "start", "write"] as const) {
    const values = phases.flatMap((times) => times[name] ?? [])
    if (values.length > 0)
      say(`  until ${phaseNames[name].padEnd(15)}${formatStatistics(statisticsOf(values))}`)
  }
  if (goal !== undefined)
    say(verdictLine(`p95 below ${goal} ms: ${total.p95.toFixed(1)} ms`, total.p95 < goal))
}

const phaseNames = {
  gather: "noticed",
  view: "new view",
  voice: "voice granted",
  start: "start ordered",
  write: "first write",
} as const
