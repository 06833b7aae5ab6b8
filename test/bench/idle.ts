/** What an agent costs that has nothing to do: processor time of all threads of both processes, and memory. */
import { readdirSync, readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import type { Agent } from "../support/cluster/agent.ts"
import { now } from "../support/cluster/waiting.ts"
import { type Section, verdictLine, withCluster } from "./section.ts"

const settleTime = 10_000
const duration = 60_000
const processorGoal = 1
const memoryGoal = 110

export const idle: Section = {
  name: "idle",
  title: `3 nodes, industrial, one service, nothing happens for ${duration / 1000} s: processor and memory of an agent`,
  measure: async (bench) => {
    const sites = [{ name: "site", nodes: ["a1", "a2", "a3"] }]
    await withCluster(
      bench,
      { sites, profile: "industrial", hasWitness: false, trace: false },
      async (cluster) => {
        await sleep(settleTime)
        const from = now()
        const before = cluster.agents.map(runTimes)
        await sleep(duration)
        const elapsed = now() - from
        const owner = cluster.ledger.last()?.node
        let [worstProcessor, worstMemory] = [0, 0]
        for (const [index, agent] of cluster.agents.entries()) {
          const after = runTimes(agent)
          const shares = (["realtime", "control"] as const).map((part) => {
            return (100 * (after[part] - (before[index]?.[part] ?? 0))) / elapsed
          })
          const [realtime = 0, control = 0] = shares
          const memory = [agent.pid, agent.controlPid ?? 0].map(memoryOf)
          const [realtimeMemory = 0, controlMemory = 0] = memory
          worstProcessor = Math.max(worstProcessor, realtime + control)
          worstMemory = Math.max(worstMemory, realtimeMemory + controlMemory)
          bench.say(
            `  ${agent.name}${agent.name === owner ? " (active)" : "         "}  ` +
              `CPU ${(realtime + control).toFixed(2)} % of a core (real-time ${realtime.toFixed(2)}, control ${control.toFixed(2)})  ` +
              `PSS ${(realtimeMemory + controlMemory).toFixed(1)} MiB (real-time ${realtimeMemory.toFixed(1)}, control ${controlMemory.toFixed(1)})`,
          )
        }
        bench.say(
          verdictLine(
            `processor at most ${processorGoal} %: ${worstProcessor.toFixed(2)} %`,
            worstProcessor <= processorGoal,
          ),
        )
        bench.say(
          verdictLine(
            `memory at most ${memoryGoal} MB: ${worstMemory.toFixed(1)} MiB`,
            worstMemory <= memoryGoal,
          ),
        )
      },
    )
  },
}

/** Milliseconds on a processor since the start of each process. */
function runTimes(agent: Agent): { readonly realtime: number; readonly control: number } {
  return { realtime: runTime(agent.pid), control: runTime(agent.controlPid ?? 0) }
}

/** Of all threads that are there, by the scheduler's own account. */
function runTime(pid: number): number {
  const nanoseconds = readdirSync(`/proc/${pid}/task`).map((thread) => {
    return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0])
  })
  return nanoseconds.reduce((sum, each) => sum + each, 0) / 1e6
}

/** MiB, proportional set size: pages that n processes share count for an n-th. */
function memoryOf(pid: number): number {
  const [, kilobytes = "0"] =
    /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8")) ?? []
  return Number(kilobytes) / 1024
}
