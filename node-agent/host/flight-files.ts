/**
 * Where flight records are kept: files of the state directory, which only their owner may read. The newest few; one that is
 * kept by itself comes no sooner than some seconds after the last, which already holds what led to it. The durable record
 * needs its place more than they do: none is written that would leave little.
 */
import { mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { elapsed, type Instant, millis } from "../../protocol/units.ts"
import { monotonicNow, wallNow } from "./clock.ts"
import type { FlightRecorder } from "./flight-recorder.ts"

const filesMax = 8
const pause = millis(10_000)
const suffix = ".flight"
/** Bytes that a record leaves free on its disk. The durable record is some KB, written beside the old one. */
const roomMin = 16 << 20

export class FlightFiles {
  readonly #directory: string
  readonly #recorder: FlightRecorder
  readonly #names: { readonly cluster: string; readonly node: string }
  #last: Instant | undefined

  constructor(
    stateDirectory: string,
    recorder: FlightRecorder,
    names: { readonly cluster: string; readonly node: string },
  ) {
    this.#directory = join(stateDirectory, "blackbox")
    this.#recorder = recorder
    this.#names = names
  }

  /** Because somebody asked. Rejects when it cannot be written. */
  async keep(reason: string): Promise<string> {
    const { path, bytes } = this.#prepare(reason)
    try {
      await writeFile(path, bytes, { mode: 0o600 })
    } catch (cause) {
      rmSync(path, { force: true })
      throw cause
    }
    this.#prune()
    return path
  }

  /** Because something happened; `undefined`: another one was kept just now. */
  async keepAfter(reason: string): Promise<string | undefined> {
    const now = monotonicNow()
    if (this.#last !== undefined && elapsed(this.#last, now) < pause) return undefined
    this.#last = now
    return this.keep(reason)
  }

  /** The process is about to end: nothing can be waited for any more. */
  keepAtOnce(reason: string): string {
    const { path, bytes } = this.#prepare(reason)
    writeFileSync(path, bytes, { mode: 0o600 })
    return path
  }

  #prepare(reason: string): { readonly path: string; readonly bytes: Buffer } {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
    const wall = wallNow()
    const time = new Date(wall).toISOString().replaceAll(":", "-")
    const heading = { ...this.#names, reason, wall, monotonic: monotonicNow() }
    const bytes = this.#recorder.dump(heading)
    const { bavail, bsize } = statfsSync(this.#directory)
    if (bavail * bsize < bytes.length + roomMin)
      throw new Error(`${this.#directory}: less than ${roomMin >> 20} MiB would be left on its disk`)
    return { path: join(this.#directory, `${time}-${reason}${suffix}`), bytes }
  }

  /** Names begin with the time: the oldest come first. */
  #prune(): void {
    const files = readdirSync(this.#directory).filter((name) => name.endsWith(suffix))
    for (const name of files.sort().slice(0, -filesMax)) rmSync(join(this.#directory, name), { force: true })
  }
}
