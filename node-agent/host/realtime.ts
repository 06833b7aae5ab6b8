/**
 * Makes the real-time process fit for deadlines: SCHED_FIFO on all its threads, children back at normal priority
 * (`--reset-on-fork`), and a kernel limit that ends a runaway loop. Where FIFO is refused nice -20 is a fair fallback;
 * what was got is reported, never assumed. Memory is not locked: V8 ends itself under `mlockall`.
 *
 * Done through `chrt`, `prlimit` and `renice` of util-linux, once, before the loop starts. The thread pool is woken
 * first: its threads come to life on first use, and one born later would not be covered by `--all-tasks`.
 */
import { spawnSync } from "node:child_process"
import { stat } from "node:fs/promises"

export type Scheduling = "fifo" | "nice" | "plain"

export interface SchedulingReport {
  readonly got: Scheduling
  /** Why not the better one; "" if it is the best. */
  readonly reason: string
}

/** Above normal work and below the kernel's own threads (50 and up are interrupt threads on PREEMPT_RT: equal). */
const fifoPriority = 50
/** Microseconds of FIFO time without a blocking call after which the kernel ends the process (SIGXCPU). */
const runawayMicros = 2_000_000
const poolThreads = 4

export async function applyScheduling(wanted: "auto" | "none"): Promise<SchedulingReport> {
  if (wanted === "none") return { got: "plain", reason: "switched off by --scheduling none" }
  await Promise.all(Array.from({ length: poolThreads }, () => stat("/")))
  const pid = String(process.pid)
  const fifo = run("chrt", ["--fifo", "--reset-on-fork", "--all-tasks", "--pid", String(fifoPriority), pid])
  if (fifo === undefined) {
    const guard = run("prlimit", ["--pid", pid, `--rttime=${runawayMicros}`])
    return { got: "fifo", reason: guard === undefined ? "" : `no runaway guard: ${guard}` }
  }
  const nice = run("renice", ["--priority", "-20", "--pid", pid])
  if (nice === undefined) return { got: "nice", reason: `no SCHED_FIFO: ${fifo}` }
  return { got: "plain", reason: `no SCHED_FIFO: ${fifo}; no nice -20: ${nice}` }
}

/** Why it failed; `undefined`: it did not. */
function run(program: string, parameters: readonly string[]): string | undefined {
  const { status, error, stderr } = spawnSync(program, parameters, { encoding: "utf8", timeout: 5_000 })
  if (status === 0) return undefined
  if (error !== undefined) return error.message
  return stderr.trim().split("\n")[0] || `${program} ended with status ${status}`
}
