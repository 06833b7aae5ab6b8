/**
 * `<runtime dir>/<service>.lease`: until when a service may act, for programs that end themselves (SPEC H5). First
 * line: the deadline on CLOCK_MONOTONIC in nanoseconds, decimal, "0": not at all. Second line: the activation epoch.
 *
 * The content is absolute, so a write that comes late grants nothing: it names an end that may already be past.
 * Replaced by rename, never in place. One write a service is under way, of those asked for meanwhile the newest is
 * written next. Renewals come in pairs, one a pass of the token, some milliseconds apart: one that presses nobody waits
 * for the second of its pair, which halves the cost.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs"
import { rename, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { elapsed, type Instant, instant, type ServiceName } from "../../protocol/units.ts"
import { monotonicNow, nanosecondsOf } from "./clock.ts"

export interface Lease {
  readonly epoch: string
  /** `undefined`: it may not act. */
  readonly deadline: Instant | undefined
}

export function leaseFilePath(directory: string, service: ServiceName): string {
  return join(directory, `${service}.lease`)
}

/**
 * Ends what a former agent, or a former boot with its other monotonic clock, may have left. Before anything else
 * runs, and blocking.
 */
export function closeLeases(directory: string, services: readonly ServiceName[]): void {
  for (const service of services) {
    const path = leaseFilePath(directory, service)
    writeFileSync(`${path}.new`, leaseText({ epoch: "0", deadline: undefined }), { mode: 0o644 })
    renameSync(`${path}.new`, path)
  }
}

/** What the file now says; `undefined`: missing or unreadable, which means that the service may not act. */
export function readLease(directory: string, service: ServiceName): Lease | undefined {
  let text: string
  try {
    text = readFileSync(leaseFilePath(directory, service), "utf8")
  } catch {
    return undefined
  }
  const [deadline = "", epoch] = text.split("\n")
  if (!/^\d+$/.test(deadline) || epoch === undefined) return undefined
  return { epoch, deadline: deadline === "0" ? undefined : instant(Number(deadline) / 1e6) }
}

/** Longer than two passes of a site of ten lie apart, shorter than any lease by far. */
const settleTime = 5
/** With less than this left in the file a renewal waits for nothing. */
const pressing = 50

export class LeaseFiles {
  readonly #directory: string
  readonly #failed: (service: ServiceName, reason: string) => void
  readonly #waiting = new Map<ServiceName, Lease>()
  readonly #busy = new Set<ServiceName>()
  readonly #settling = new Map<ServiceName, NodeJS.Timeout>()
  readonly #written = new Map<ServiceName, Lease>()

  /** `failed`: the file still holds an older, earlier end; the next renewal tries again. */
  constructor(directory: string, failed: (service: ServiceName, reason: string) => void) {
    this.#directory = directory
    this.#failed = failed
  }

  write(service: ServiceName, lease: Lease): void {
    this.#waiting.set(service, lease)
    if (this.#isPressing(service, lease)) void this.#run(service)
    else this.#settling.set(service, this.#settling.get(service) ?? this.#runLater(service))
  }

  /** A right that begins, ends or has little left is written at once. */
  #isPressing(service: ServiceName, lease: Lease): boolean {
    const written = this.#written.get(service)
    if (written?.deadline === undefined || lease.deadline === undefined) return true
    return written.epoch !== lease.epoch || elapsed(monotonicNow(), written.deadline) < pressing
  }

  #runLater(service: ServiceName): NodeJS.Timeout {
    return setTimeout(() => {
      this.#settling.delete(service)
      void this.#run(service)
    }, settleTime)
  }

  async #run(service: ServiceName): Promise<void> {
    if (this.#busy.has(service)) return
    this.#busy.add(service)
    const path = leaseFilePath(this.#directory, service)
    for (let lease = this.#waiting.get(service); lease !== undefined; lease = this.#waiting.get(service)) {
      this.#waiting.delete(service)
      try {
        await writeFile(`${path}.new`, leaseText(lease), { mode: 0o644 })
        await rename(`${path}.new`, path)
        this.#written.set(service, lease)
      } catch (cause) {
        this.#failed(service, cause instanceof Error ? cause.message : String(cause))
      }
    }
    this.#busy.delete(service)
  }
}

function leaseText(lease: Lease): string {
  const deadline = lease.deadline === undefined ? 0n : nanosecondsOf(lease.deadline)
  return `${deadline}\n${lease.epoch}\n`
}
