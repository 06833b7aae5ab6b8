/**
 * What an agent costs that has nothing to do: processor time of all threads of both processes, and memory.
 *
 * Memory is the proportional set size that the agent would have on a machine of its own. Here many Node processes share
 * the pages of one binary, and their proportional sizes as the kernel counts them flatter each of them.
 */
import { readdirSync, readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import type { Agent } from "../support/cluster/agent.ts"
import type { Cluster } from "../support/cluster/cluster.ts"
import { now } from "../support/cluster/waiting.ts"
import { type Bench, type Section, verdictLine, withCluster } from "./section.ts"

/** V8 goes on compiling for a while what is hot at last. */
const settleTime = 45_000
const duration = 60_000
const processorGoal = 1
const memoryGoal = 110

export const idle: Section = {
  name: "idle",
  title: `3 nodes, industrial, one service, nothing happens for ${duration / 1000} s: processor and memory of an agent`,
  measure: (bench) => {
    const sites = [{ name: "site", nodes: ["a1", "a2", "a3"] }]
    const plan = { sites, profile: "industrial", hasWitness: false, trace: false } as const
    return withCluster(bench, plan, (cluster) => measure(bench, cluster))
  },
}

async function measure({ say }: Bench, cluster: Cluster): Promise<void> {
  await sleep(settleTime)
  const from = now()
  const before = cluster.agents.map(runTimesOf)
  await sleep(duration)
  const elapsed = now() - from
  const costs = cluster.agents.map((agent, index) => costOf(agent, before[index], elapsed))
  const owner = cluster.ledger.last()?.node
  for (const { name, realtime, control, memory } of costs) {
    const processor = `CPU ${(realtime + control).toFixed(2)} % of a core (real-time ${realtime.toFixed(2)}, control ${control.toFixed(2)})`
    say(
      `  ${name}${name === owner ? " (active)" : "         "}  ${processor}  memory ${memory.toFixed(1)} MiB`,
    )
  }
  const processor = Math.max(...costs.map(({ realtime, control }) => realtime + control))
  const memory = Math.max(...costs.map((cost) => cost.memory))
  say(
    verdictLine(
      `processor at most ${processorGoal} %: ${processor.toFixed(2)} %`,
      processor <= processorGoal,
    ),
  )
  say(verdictLine(`memory at most ${memoryGoal} MB: ${memory.toFixed(1)} MiB`, memory <= memoryGoal))
}

interface RunTimes {
  /** Milliseconds on a processor since the start of each process. */
  readonly realtime: number
  readonly control: number
}

interface Cost extends RunTimes {
  readonly name: string
  readonly memory: number
}

/** Shares of one core in per cent. */
function costOf(agent: Agent, before: RunTimes | undefined, elapsed: number): Cost {
  const after = runTimesOf(agent)
  const share = (part: keyof RunTimes): number => (100 * (after[part] - (before?.[part] ?? 0))) / elapsed
  return { name: agent.name, realtime: share("realtime"), control: share("control"), memory: memoryOf(agent) }
}

function runTimesOf(agent: Agent): RunTimes {
  return { realtime: runTimeOf(agent.pid), control: runTimeOf(agent.controlPid ?? 0) }
}

/** Of all threads that are there, by the scheduler's own account. */
function runTimeOf(pid: number): number {
  const nanoseconds = readdirSync(`/proc/${pid}/task`).map((thread) => {
    return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0])
  })
  return nanoseconds.reduce((sum, each) => sum + each, 0) / 1e6
}

/** MiB: what each of the two has for itself, and once what they share. */
function memoryOf(agent: Agent): number {
  const [realtime, control] = [rollupOf(agent.pid), rollupOf(agent.controlPid ?? 0)]
  return realtime.own + control.own + Math.max(realtime.shared, control.shared)
}

function rollupOf(pid: number): { readonly own: number; readonly shared: number } {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8")
  const sum = (kind: string): number => {
    const lines = rollup.matchAll(new RegExp(`^${kind}_(?:Clean|Dirty):\\s+(\\d+) kB$`, "gm"))
    return [...lines].reduce((total, [, kilobytes]) => total + Number(kilobytes) / 1024, 0)
  }
  return { own: sum("Private"), shared: sum("Shared") }
}
