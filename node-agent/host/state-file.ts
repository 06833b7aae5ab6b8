/**
 * The durable record (SPEC D): written whole, atomically and off the loop. A second line carries the digest of the
 * first, so that a torn or altered file is told from a true one; the reader never guesses, it says what it found.
 *
 * One write runs at a time; of those asked for meanwhile only the newest is written, since each record replaces the
 * one before. A write that fails is said to have failed and tried again until one succeeds.
 */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { open, rename } from "node:fs/promises"
import { join } from "node:path"
import type { NodeId } from "../../protocol/units.ts"
import type { DurableState } from "../core/durable.ts"

export const stateFileName = "state.json"
/** Retries double from the first delay to the last. */
const retryDelayMin = 200
const retryDelayMax = 5_000

export type StateLoad =
  | { readonly kind: "ok"; readonly state: DurableState }
  /** Never written, or lost: the node starts with amnesia. */
  | { readonly kind: "missing" }
  /** Torn or altered: amnesia too, and worth an alarm. */
  | { readonly kind: "torn"; readonly reason: string }
  /** A sound record of somebody else: a mistake of installation; the agent must not start. */
  | { readonly kind: "foreign"; readonly cluster: string; readonly node: number }
  /** There but not to be read (permissions, disk): nothing is known about its content; the agent must not start. */
  | { readonly kind: "unreadable"; readonly reason: string }

export function loadState(directory: string, cluster: string, node: NodeId): StateLoad {
  let text: string
  try {
    text = readFileSync(join(directory, stateFileName), "utf8")
  } catch (cause) {
    if (isMissing(cause)) return { kind: "missing" }
    return { kind: "unreadable", reason: reasonOf(cause) }
  }
  return readState(text, cluster, node)
}

/** Exactly two lines, the record and its digest, or it is torn. */
function readState(text: string, cluster: string, node: NodeId): StateLoad {
  const [record, checksum, rest] = text.split("\n")
  if (record === undefined || checksum === undefined || rest !== "") {
    return { kind: "torn", reason: "not two whole lines" }
  }
  if (checksum !== digestLine(record)) return { kind: "torn", reason: "the digest does not match" }
  const state = parseRecord(record)
  if (state === undefined) return { kind: "torn", reason: "not a record" }
  if (state.format !== 1) return { kind: "unreadable", reason: `format ${String(state.format)} is not known` }
  if (state.cluster !== cluster || state.node !== node) {
    return { kind: "foreign", cluster: state.cluster, node: state.node }
  }
  return { kind: "ok", state }
}

export function encodeState(state: DurableState): string {
  const record = JSON.stringify(state)
  return `${record}\n${digestLine(record)}\n`
}

/** Replaces the record: content on the disk before the name, the name before this returns. */
export async function replaceState(directory: string, state: DurableState): Promise<void> {
  const path = join(directory, stateFileName)
  const temporary = `${path}.new`
  const file = await open(temporary, "w", 0o600)
  try {
    await file.writeFile(encodeState(state))
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, path)
  const folder = await open(directory, "r")
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

export interface StateWriterOptions {
  readonly directory: string
  /** This write, and every earlier one, is on the disk. */
  readonly persisted: (write: number) => void
  /** It is not on the disk; it, or a newer one, will be tried again. */
  readonly failed: (write: number, reason: string) => void
}

export class StateWriter {
  readonly #options: StateWriterOptions
  #waiting: { readonly write: number; readonly state: DurableState } | undefined
  #busy = false
  #delay = retryDelayMin
  #retry: NodeJS.Timeout | undefined

  constructor(options: StateWriterOptions) {
    this.#options = options
  }

  write(write: number, state: DurableState): void {
    this.#waiting = { write, state }
    if (this.#busy || this.#retry !== undefined) return
    void this.#run()
  }

  async #run(): Promise<void> {
    this.#busy = true
    for (let next = this.#take(); next !== undefined; next = this.#take()) {
      try {
        await replaceState(this.#options.directory, next.state)
        this.#delay = retryDelayMin
        this.#options.persisted(next.write)
      } catch (cause) {
        this.#waiting ??= next
        this.#retryLater()
        this.#options.failed(next.write, reasonOf(cause))
        break
      }
    }
    this.#busy = false
  }

  #take(): { readonly write: number; readonly state: DurableState } | undefined {
    const next = this.#waiting
    this.#waiting = undefined
    return next
  }

  #retryLater(): void {
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      void this.#run()
    }, this.#delay)
    this.#delay = Math.min(this.#delay * 2, retryDelayMax)
  }
}

/** The digest has matched, so this is what an agent once wrote; no more is checked than that it can be read. */
function parseRecord(record: string): DurableState | undefined {
  try {
    return JSON.parse(record)
  } catch {
    return undefined
  }
}

function digestLine(record: string): string {
  return `sha256 ${createHash("sha256").update(record).digest("hex")}`
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && cause.code === "ENOENT"
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
