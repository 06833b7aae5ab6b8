/**
 * What a resource's programs print. They write to a file, not to a pipe: a service that outlives this process must not
 * die of its own output. The file is read and emptied whenever a program ends and every second while it may grow.
 */
import { closeSync, fstatSync, ftruncateSync, mkdirSync, openSync, readSync } from "node:fs"
import { join } from "node:path"

/** Characters of one look that are logged; more is cut, and said to be cut. */
const bytesPerDrainMax = 16 * 1024
const drainInterval = 1_000

export class OutputFile {
  /** For children's standard output and error: appends. */
  readonly descriptor: number
  readonly #line: (text: string) => void
  readonly #timer: NodeJS.Timeout

  constructor(directory: string, name: string, line: (text: string) => void) {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    this.descriptor = openSync(join(directory, `${name}.out`), "a+", 0o600)
    this.#line = line
    this.#timer = setInterval(() => this.drain(), drainInterval)
    this.#timer.unref()
  }

  /** What is printed between the reading and the emptying is lost; nothing rests on it. */
  drain(): void {
    const size = fstatSync(this.descriptor).size
    if (size === 0) return
    const bytes = Buffer.alloc(Math.min(size, bytesPerDrainMax))
    const length = readSync(this.descriptor, bytes, 0, bytes.length, 0)
    ftruncateSync(this.descriptor)
    for (const text of bytes.toString("utf8", 0, length).split("\n")) if (text !== "") this.#line(text)
    if (size > length) this.#line(`(${size - length} more bytes not logged)`)
  }

  close(): void {
    clearInterval(this.#timer)
    this.drain()
    closeSync(this.descriptor)
  }
}
