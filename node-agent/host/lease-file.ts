/**
 * `<runtime dir>/<service>.lease`: until when a service may act, for programs that end themselves (SPEC H5). First
 * line: the deadline on CLOCK_MONOTONIC in nanoseconds, decimal, "0": not at all. Second line: the activation epoch.
 *
 * The content is absolute, so a write that comes late grants nothing: it names an end that may already be past.
 * Replaced by rename, never in place. Renewals come in pairs, one a pass of the token, and the first of a pair moves the
 * end by as little as the passes lie apart: what gains next to nothing is not written, which halves the cost.
 *
 * Where the directory is in memory, as /run is, a write is four system calls that wait for nothing, and is done at once.
 * Elsewhere a file system may wait for its journal, so it is done off the loop: one write a service is under way, of
 * those asked for meanwhile the newest is written next.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, statfsSync, writeFileSync } from "node:fs"
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

/** Others may not list it, and reach what they know the name of: each file says who may read it. */
export function createRuntimeDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o711 })
}

/**
 * Ends what a former agent, or a former boot with its other monotonic clock, may have left. Before anything else
 * runs, and blocking.
 */
export function closeLeases(directory: string, services: readonly ServiceName[]): void {
  for (const service of services) {
    replaceNow(leaseFilePath(directory, service), { epoch: "0", deadline: undefined })
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

/** A renewal that moves the end by less is left to the next. Two passes of a site of ten lie closer together. */
const gainMin = 20
/** With less than this left in the file every renewal is written. */
const pressing = 50

export class LeaseFiles {
  readonly #directory: string
  readonly #isInMemory: boolean
  readonly #failed: (service: ServiceName, reason: string) => void
  /** What a file says, or will when the write under way is done. */
  readonly #written = new Map<ServiceName, Lease>()
  readonly #waiting = new Map<ServiceName, Lease>()
  readonly #busy = new Set<ServiceName>()

  /** `failed`: the file still holds an older, earlier end, and the next renewal tries again; one to be closed is taken away. */
  constructor(directory: string, failed: (service: ServiceName, reason: string) => void) {
    this.#directory = directory
    this.#isInMemory = isInMemory(directory)
    this.#failed = failed
  }

  write(service: ServiceName, lease: Lease): void {
    if (!this.#isWorthWriting(service, lease)) return
    this.#written.set(service, lease)
    if (this.#isInMemory) this.#writeNow(service, lease)
    else {
      this.#waiting.set(service, lease)
      void this.#writeWaiting(service)
    }
  }

  #isWorthWriting(service: ServiceName, lease: Lease): boolean {
    const written = this.#written.get(service)
    if (written?.deadline === undefined || lease.deadline === undefined) return true
    if (written.epoch !== lease.epoch || lease.deadline < written.deadline) return true
    const gain = elapsed(written.deadline, lease.deadline)
    return gain >= gainMin || elapsed(monotonicNow(), written.deadline) < pressing
  }

  #writeNow(service: ServiceName, lease: Lease): void {
    try {
      replaceNow(leaseFilePath(this.#directory, service), lease)
    } catch (cause) {
      this.#missed(service, lease, cause)
    }
  }

  async #writeWaiting(service: ServiceName): Promise<void> {
    if (this.#busy.has(service)) return
    this.#busy.add(service)
    const path = leaseFilePath(this.#directory, service)
    for (let lease = this.#waiting.get(service); lease !== undefined; lease = this.#waiting.get(service)) {
      this.#waiting.delete(service)
      try {
        await replace(path, lease)
      } catch (cause) {
        this.#missed(service, lease, cause)
      }
    }
    this.#busy.delete(service)
  }

  #missed(service: ServiceName, lease: Lease, cause: unknown): void {
    this.#written.delete(service)
    if (lease.deadline === undefined) removeQuietly(leaseFilePath(this.#directory, service))
    this.#failed(service, cause instanceof Error ? cause.message : String(cause))
  }
}

/** `f_type` of tmpfs and ramfs, from statfs(2). */
const memoryFileSystems: readonly number[] = [0x01021994, 0x858458f6]

function isInMemory(directory: string): boolean {
  return memoryFileSystems.includes(statfsSync(directory).type)
}

/** A full disk takes no new content, and lets a file go: one that is not there allows nothing. */
function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // What could not be written was told; the end in the file comes by itself.
  }
}

function replaceNow(path: string, lease: Lease): void {
  writeFileSync(`${path}.new`, leaseText(lease), leaseOptions)
  renameSync(`${path}.new`, path)
}

async function replace(path: string, lease: Lease): Promise<void> {
  await writeFile(`${path}.new`, leaseText(lease), leaseOptions)
  await rename(`${path}.new`, path)
}

/** Any user's service may read how long it may act. With its encoding said, Node writes a file by one call of its own. */
const leaseOptions = { mode: 0o644, encoding: "utf8" } as const

function leaseText(lease: Lease): string {
  const deadline = lease.deadline === undefined ? 0n : nanosecondsOf(lease.deadline)
  return `${deadline}\n${lease.epoch}\n`
}
