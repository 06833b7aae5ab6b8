/** kill -9 of the active node's control process only: nothing may move, and the writes go on. */
import { setTimeout as sleep } from "node:timers/promises"
import { now, waitFor } from "../support/cluster/waiting.ts"
import { type Section, verdictLine, withCluster } from "./section.ts"
import { formatStatistics, statisticsOf } from "./statistics.ts"

const times = 10
const restartLimit = 10_000

export const controlKill: Section = {
  name: "control",
  title: "3 nodes, industrial: kill -9 of the active node's control process",
  measure: async (bench) => {
    const sites = [{ name: "site", nodes: ["a1", "a2", "a3"] }]
    await withCluster(
      bench,
      { sites, profile: "industrial", hasWitness: false, trace: false },
      async (cluster) => {
        const gaps: number[] = []
        let moved = 0
        for (let time = 0; time < times; time++) {
          const before = await cluster.active(restartLimit)
          const agent = cluster.agent(before.node)
          const pid = agent.controlPid
          if (pid === undefined) throw new Error(`${agent.name} has no control process`)
          const killed = now()
          process.kill(pid, "SIGKILL")
          await sleep(3_000)
          await waitFor({ what: "another control process", limit: restartLimit }, async () => {
            const answer = await agent.status()
            return (agent.controlPid !== pid && answer !== undefined) || undefined
          })
          const after = await cluster.active(restartLimit)
          if (after.node !== before.node || after.epoch !== before.epoch) moved += 1
          gaps.push(cluster.ledger.longestGap(killed, now()))
        }
        bench.say(`  longest pause in the writes  ${formatStatistics(statisticsOf(gaps))}`)
        bench.say(verdictLine(`nothing moved: ${times - moved} of ${times}`, moved === 0))
      },
    )
  },
}
