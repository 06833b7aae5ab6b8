/**
 * Hooks: programs of the operator's that are run when something changes (SPEC H18). One at a time, in the order of the changes, each
 * with a time limit; what waits is bounded. They are told, and asked nothing: no right waits for them.
 */
import { spawn } from "node:child_process"
import type { NodeStatus } from "../../../core/status.ts"
import type { Log } from "../log-writer.ts"
import { endGroup } from "../processes.ts"
import { hookProblem } from "./hook-program.ts"
import { type Transition, transitionsBetween } from "./transitions.ts"

export interface HooksOptions {
  readonly programs: readonly string[]
  /** QUORUMBEAT_CLUSTER, _SITE, _NODE. */
  readonly environment: Readonly<Record<string, string>>
  readonly log: Log
  /** `undefined`: 10 s. */
  readonly timeLimit?: number
}

/** Two of the largest clusters forming anew; then the oldest are dropped: the newest say how things are. */
const waitingMax = 256
const timeLimit = 10_000
/** What waits when the agent ends is still told, for so long. */
const closingLimit = 5_000
/** Enough of what a program that failed printed to say why. */
const printedMax = 1_000

export class Hooks {
  readonly #options: HooksOptions
  readonly #waiting: Transition[] = []
  #seen: NodeStatus | undefined
  #running: Promise<void> | undefined
  #group: number | undefined
  #isClosed = false

  constructor(options: HooksOptions) {
    this.#options = options
  }

  /** Each new picture of the node. */
  see(status: NodeStatus): void {
    if (this.#options.programs.length === 0 || this.#isClosed) return
    this.#waiting.push(...transitionsBetween(this.#seen, status))
    this.#seen = status
    const tooMany = this.#waiting.length - waitingMax
    if (tooMany > 0) {
      this.#waiting.splice(0, tooMany)
      this.#options.log("error", "hooks-dropped", { count: tooMany })
    }
    this.#running ??= this.#runAll().finally(() => {
      this.#running = undefined
    })
  }

  /** What waits is told, for a while; then nothing is begun any more, and what runs is ended. */
  async close(limit = closingLimit): Promise<void> {
    const timer = setTimeout(() => this.#end(), limit)
    await this.#running
    clearTimeout(timer)
    this.#isClosed = true
  }

  #end(): void {
    this.#isClosed = true
    this.#waiting.length = 0
    if (this.#group !== undefined) void endGroup(this.#group)
  }

  async #runAll(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      for (const program of this.#options.programs) {
        if (this.#isClosed) return
        const problem = hookProblem(program) ?? (await this.#run(program, next))
        if (problem === undefined) continue
        const { what, subject, to } = next
        this.#options.log("error", "hook-failed", { program, what, subject, to, reason: problem })
      }
    }
  }

  /** Why it failed; `undefined`: it succeeded. */
  async #run(program: string, transition: Transition): Promise<string | undefined> {
    const child = spawn(program, [], {
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...this.#options.environment, ...variablesOf(transition) },
    })
    this.#group = child.pid
    let printed = ""
    const note = (chunk: Buffer): void => {
      printed = (printed + chunk.toString("utf8")).slice(0, printedMax)
    }
    child.stdout.on("data", note)
    child.stderr.on("data", note)
    const limit = this.#options.timeLimit ?? timeLimit
    let timer: NodeJS.Timeout | undefined
    let isLate = false
    const ended = await new Promise<string | undefined>((resolve) => {
      child.on("error", (cause) => resolve(cause.message))
      child.on("exit", (status, signal) => {
        resolve(status === 0 ? undefined : `exit status ${status ?? signal}`)
      })
      timer = setTimeout(() => {
        isLate = true
        // Also one that outlives SIGKILL, because it waits in the kernel, must not hold up the others.
        if (child.pid !== undefined) void endGroup(child.pid).then(() => resolve(undefined))
      }, limit)
    })
    clearTimeout(timer)
    // What it may have started and left holds the pipes: they are not waited for.
    child.stdout.destroy()
    child.stderr.destroy()
    this.#group = undefined
    const reason = isLate ? `ended after its limit of ${limit} ms` : ended
    if (reason === undefined || this.#isClosed) return undefined
    const words = printed.trim().replace(/\s*\n\s*/g, "; ")
    return words === "" ? reason : `${reason}: ${words}`
  }
}

function variablesOf({ what, subject, from, to, more }: Transition): Readonly<Record<string, string>> {
  const named = Object.entries(more).map(([name, value]) => [`QUORUMBEAT_${name}`, value])
  return {
    QUORUMBEAT_CHANGE: what,
    QUORUMBEAT_SUBJECT: subject,
    QUORUMBEAT_FROM: from,
    QUORUMBEAT_TO: to,
    ...Object.fromEntries(named),
  }
}
