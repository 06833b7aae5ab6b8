/** Two sites of two nodes and the witness, with the default timings: the holder's site lost, the witness restarted in a split. */
import { setTimeout as sleep } from "node:timers/promises"
import { profiles } from "../../protocol/profiles.ts"
import type { Cluster } from "../support/cluster/cluster.ts"
import { now } from "../support/cluster/waiting.ts"
import { type Bench, formationLimit, type Section, verdictLine, withCluster } from "./section.ts"
import { formatStatistics, statisticsOf } from "./statistics.ts"

const repeats = 3
const ttl = profiles.industrial.mandateTtl
const takeoverGoal = ttl + 3_000
/** A pause as long as a ring lease would mean that a right had lapsed. */
const gapGoal = profiles.industrial.lease

const plan = {
  sites: [
    { name: "north", nodes: ["n1", "n2"] },
    { name: "south", nodes: ["s1", "s2"] },
  ],
  profile: "industrial",
  hasWitness: true,
  trace: false,
} as const

export const siteSections: readonly Section[] = [
  {
    name: "site-loss",
    title: `2 + 2 nodes, TTL ${ttl / 1000} s: kill -9 of the holder's whole site until active at the other`,
    measure: (bench) => withCluster(bench, plan, (cluster) => loseSites(bench, cluster)),
  },
  {
    name: "witness-restart",
    title: `2 + 2 nodes, WAN cut: witness down for ${ttl / 2000} s, longest pause in the holder's writes`,
    measure: (bench) => withCluster(bench, plan, (cluster) => restartWitness(bench, cluster)),
  },
]

async function loseSites({ say }: Bench, cluster: Cluster): Promise<void> {
  const latencies: number[] = []
  for (let repeat = 0; repeat < repeats; repeat++) {
    const before = await cluster.active(formationLimit)
    const lost = cluster.agentsOf(cluster.agent(before.node).node.site)
    const names = lost.map(({ name }) => name)
    const killed = now()
    await Promise.all(lost.map((agent) => agent.kill()))
    const after = await cluster.succession(names, killed, 2 * takeoverGoal)
    latencies.push(after.at - killed)
    for (const agent of lost) agent.start()
    await cluster.healthy(formationLimit)
    await sleep(2_000)
  }
  const statistics = statisticsOf(latencies)
  say(`  total  ${formatStatistics(statistics)}`)
  say(verdictLine(`within the TTL + 3 s: ${Math.round(statistics.max)} ms`, statistics.max <= takeoverGoal))
}

async function restartWitness({ say }: Bench, cluster: Cluster): Promise<void> {
  const gaps: number[] = []
  let moved = 0
  await cluster.network.setWan("cut")
  // All pledges of the other site have ended by then: what the holder has, it has from the witness.
  await sleep(1.2 * ttl)
  for (let repeat = 0; repeat < repeats; repeat++) {
    const before = await cluster.active(formationLimit)
    const from = now()
    await cluster.witness.kill()
    await sleep(ttl / 2)
    await cluster.witness.start()
    await sleep(1.2 * ttl)
    const after = await cluster.active(formationLimit)
    if (after.epoch !== before.epoch) moved += 1
    gaps.push(cluster.ledger.longestGap(from, now()))
  }
  const statistics = statisticsOf(gaps)
  say(`  longest pause  ${formatStatistics(statistics)}`)
  say(
    verdictLine(
      `no gap: ${Math.round(statistics.max)} ms, ${moved} new epochs`,
      statistics.max < gapGoal && moved === 0,
    ),
  )
}
