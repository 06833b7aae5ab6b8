/**
 * One run of a resource's program that changes something (start, stop): no shell, own process group, a time limit
 * for the whole group. Killing the control process does not kill it, so the next one must be able to find it:
 *
 * 1. Before the start `<id>.json` says what is about to run.
 * 2. The child creates `<id>.pid` exclusively, with its own line of /proc/self/stat, and only then becomes the
 *    program. A control process that finds 1 without 2 creates the file itself: then the child, wherever it was
 *    held up, finds it there and ends. Exactly one of the two wins.
 * 3. When the outcome is known both files go. They stay where its processes outlive SIGKILL.
 *
 * The child also looks at its deadline, by /proc/uptime, right before it becomes the program: a control process that
 * was stopped between deciding to start and starting must not start late.
 */
import { spawn } from "node:child_process"
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { elapsed, type Instant, type Millis } from "../../../protocol/units.ts"
import { monotonicNow } from "../clock.ts"
import { endGroup } from "./processes.ts"

export type Outcome =
  | { readonly kind: "exited"; readonly status: number }
  | { readonly kind: "killed"; readonly signal: string }
  | { readonly kind: "timed-out" }
  | { readonly kind: "cancelled" }
  /** The program was never run. */
  | { readonly kind: "not-begun"; readonly reason: string }
  /** Processes of it outlived SIGKILL: it may still act. */
  | { readonly kind: "not-ended" }

export interface OperationRecord {
  readonly id: string
  readonly service: string
  readonly resource: string
  readonly action: "start" | "stop"
  /** The boot it belongs to: pids and start times of another one mean nothing. */
  readonly boot: string
}

export interface OperationOptions {
  readonly record: OperationRecord
  readonly directory: string
  readonly program: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly timeLimit: Millis
  /** The program must not begin after this instant; `undefined`: it always may. */
  readonly deadline: Instant | undefined
  /** Gets standard output and error; a descriptor, because programs that stay must not depend on this process. */
  readonly output: number
}

export interface Operation {
  readonly outcome: Promise<Outcome>
  /** Ends the whole group; the outcome is then `cancelled`. */
  cancel(): void
}

export const operationsDirectory = (runtimeDirectory: string): string => join(runtimeDirectory, "operations")
export const operationVariable = (id: string): string => `QUORUMBEAT_OPERATION=${id}`
export const recordPath = (directory: string, id: string): string => join(directory, `${id}.json`)
export const pidPath = (directory: string, id: string): string => join(directory, `${id}.pid`)
export const bootId = (): string => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()

const revokedStatus = 213
const lateStatus = 214
/** $1: the pid file, $2: the deadline in milliseconds of uptime, or 0. */
const wrapper = `
set -C
read -r stat < /proc/self/stat
printf '%s\\n' "$stat" > "$1" || exit ${revokedStatus}
read -r up idle < /proc/uptime
[ "$2" -eq 0 ] || [ "\${up%.*}\${up#*.}0" -lt "$2" ] || exit ${lateStatus}
shift 2
exec "$@"`

export function startOperation(options: OperationOptions): Operation {
  const { record, directory, program, environment } = options
  const [name] = program
  if (name === undefined) return finished({ kind: "not-begun", reason: "no program configured" })
  const failure = writeRecord(directory, record)
  if (failure !== undefined && record.action === "start")
    return finished({ kind: "not-begun", reason: failure })
  // A stop goes ahead even where nothing can be written down: that disk must not keep a service alive.
  const command = failure === undefined ? wrapped(options) : program
  const child = spawn(command[0] ?? name, command.slice(1), {
    detached: true,
    stdio: ["ignore", options.output, options.output],
    env: { ...process.env, ...environment, QUORUMBEAT_OPERATION: record.id },
  })
  let cancel = (): void => undefined
  const outcome = new Promise<Outcome>((resolve) => {
    let isOver = false
    const conclude = (result: Outcome, endsGroup: boolean): void => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      if (!endsGroup || child.pid === undefined) resolve(result)
      else void endGroup(child.pid).then((isEnded) => resolve(isEnded ? result : { kind: "not-ended" }))
    }
    const timer = setTimeout(() => conclude({ kind: "timed-out" }, true), options.timeLimit)
    cancel = () => conclude({ kind: "cancelled" }, true)
    child.on("error", (cause) => conclude({ kind: "not-begun", reason: cause.message }, false))
    child.on("exit", (status, signal) => {
      const result = outcomeOf(status, signal)
      // What a start leaves in its group is the service; what a failed one leaves is debris.
      conclude(result, record.action === "start" && failureOf(result) !== undefined)
    })
  }).then((result) => {
    // One that did not end is left behind, as if this process had been killed: "stopped" waits for it (SPEC H6).
    if (result.kind !== "not-ended") forgetOperation(directory, record.id)
    return result
  })
  return { outcome, cancel: () => cancel() }
}

/** The outcome in words for the log and the operator; `undefined` if it succeeded. */
export function failureOf(outcome: Outcome): string | undefined {
  switch (outcome.kind) {
    case "exited":
      return outcome.status === 0 ? undefined : `exit status ${outcome.status}`
    case "killed":
      return `killed by ${outcome.signal}`
    case "timed-out":
      return "time limit exceeded"
    case "cancelled":
      return "cancelled"
    case "not-begun":
      return `not begun: ${outcome.reason}`
    case "not-ended":
      return "its processes do not end"
  }
}

export function forgetOperation(directory: string, id: string): void {
  rmSync(recordPath(directory, id), { force: true })
  rmSync(pidPath(directory, id), { force: true })
}

/** `true`: nothing of this operation has run nor ever will. `false`: its child was there first. */
export function revokeOperation(directory: string, id: string): boolean {
  try {
    closeSync(openSync(pidPath(directory, id), "wx", 0o600))
    return true
  } catch {
    return false
  }
}

/** The command line that records its own pid, looks at its deadline and becomes the program. */
function wrapped({ directory, record, deadline, program }: OperationOptions): readonly string[] {
  const latest = String(uptimeDeadline(deadline))
  return ["/bin/sh", "-c", wrapper, "quorumbeat", pidPath(directory, record.id), latest, ...program]
}

/** Why it could not be written; `undefined`: it was. */
function writeRecord(directory: string, record: OperationRecord): string | undefined {
  const path = recordPath(directory, record.id)
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 })
    renameSync(`${path}.new`, path)
    return undefined
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause)
  }
}

/**
 * /proc/uptime counts suspended time and CLOCK_MONOTONIC does not; both are read now, 10 ms of rounding are given up. The
 * uptime is read first: a pause between the two makes the deadline earlier, never later.
 */
export function uptimeDeadline(
  deadline: Instant | undefined,
  clocks = { uptime: readUptime, monotonic: monotonicNow },
): number {
  if (deadline === undefined) return 0
  const uptime = clocks.uptime()
  return Math.max(Math.floor(uptime + elapsed(clocks.monotonic(), deadline) - 10), 1)
}

/** In milliseconds, rounded down to ten. */
function readUptime(): number {
  const [uptime = "0"] = readFileSync("/proc/uptime", "utf8").split(" ")
  return Number(uptime) * 1000
}

function outcomeOf(status: number | null, signal: string | null): Outcome {
  if (status === null) return { kind: "killed", signal: signal ?? "a signal" }
  if (status === revokedStatus) return { kind: "not-begun", reason: "revoked" }
  if (status === lateStatus) return { kind: "not-begun", reason: "the right to start has ended" }
  return { kind: "exited", status }
}

function finished(outcome: Outcome): Operation {
  return { outcome: Promise.resolve(outcome), cancel: () => undefined }
}
