/**
 * Processes that a demo, bench or end-to-end test starts. Each is the leader of its own process group, so that Ctrl-C
 * in a terminal reaches only the one who started them all, and ending one ends what it has started in turn.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, openSync, readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"

export interface ChildOptions {
  /** For people: stands in messages. */
  readonly name: string
  readonly program: readonly string[]
  /** Standard output and error are appended here. */
  readonly logFile: string
  /** A channel for `process.send` between the two. */
  readonly ipc?: boolean
  readonly environment?: Readonly<Record<string, string>>
}

/** Everything started and not known to be ended: whatever happens, `endAll` leaves none behind. */
const running = new Set<Child>()

export class Child {
  readonly name: string
  readonly logFile: string
  readonly pid: number
  /** Resolves once it is gone. */
  readonly ended: Promise<void>
  readonly process: ChildProcess
  #fate = "runs"

  constructor({ name, program, logFile, ipc, environment }: ChildOptions) {
    const [executable = "", ...parameters] = program
    const log = openSync(logFile, "a")
    this.name = name
    this.logFile = logFile
    this.process = spawn(executable, parameters, {
      detached: true,
      stdio: ["ignore", log, log, ...(ipc === true ? ["ipc" as const] : [])],
      env: { ...withoutProxy(), ...environment },
    })
    closeSync(log)
    if (this.process.pid === undefined) throw new Error(`${name}: ${executable} cannot be started`)
    this.pid = this.process.pid
    this.ended = new Promise((resolve) => {
      this.process.once("exit", (status, signal) => {
        this.#fate = signal === null ? `ended with status ${status}` : `was ended by ${signal}`
        running.delete(this)
        resolve()
      })
    })
    running.add(this)
  }

  get isRunning(): boolean {
    return this.#fate === "runs"
  }

  /** In words: that it runs, or how it ended. */
  get fate(): string {
    return this.#fate
  }

  /** To the process itself. */
  signal(signal: NodeJS.Signals): void {
    if (this.isRunning) this.process.kill(signal)
  }

  /** To the process and everything in its group. */
  signalGroup(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.pid, signal)
    } catch {
      // The whole group is gone already.
    }
  }

  /** Ends it at once, with all that it has started. */
  async kill(): Promise<void> {
    this.signalGroup("SIGKILL")
    await this.ended
  }

  /** Asks it to end, and ends it after `patience` milliseconds. */
  async stop(patience: number): Promise<void> {
    this.signal("SIGTERM")
    await Promise.race([this.ended, sleep(patience, undefined, { ref: false })])
    await this.kill()
  }

  /** The last lines of what it has printed. */
  lastWords(lines = 12): string {
    return readFileSync(this.logFile, "utf8").trimEnd().split("\n").slice(-lines).join("\n")
  }
}

/** Everything is on this machine: a proxy would only stand in the way. */
function withoutProxy(): NodeJS.ProcessEnv {
  return { ...process.env, NO_PROXY: "127.0.0.1,localhost", no_proxy: "127.0.0.1,localhost" }
}

/** Ends every process that is still there. Returns at once; for signal handlers and the very end. */
export function endAll(): void {
  for (const child of running) child.signalGroup("SIGKILL")
}

/** Runs a program to its end; resolves with what it printed on standard output, or rejects with what went wrong. */
export async function run(program: readonly string[], acceptable: readonly number[] = [0]): Promise<string> {
  const [executable = "", ...parameters] = program
  const child = spawn(executable, parameters, {
    stdio: ["ignore", "pipe", "pipe"],
    env: withoutProxy(),
  })
  let output = ""
  let errors = ""
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString()
  })
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk.toString()
  })
  const status = await new Promise<number>((resolve, reject) => {
    child.on("error", reject)
    child.on("close", (code) => resolve(code ?? -1))
  })
  if (acceptable.includes(status)) return output.trim()
  throw new Error(
    `${parameters.slice(1, 4).join(" ")} ended with status ${status}: ${errors.trim() || output}`,
  )
}
