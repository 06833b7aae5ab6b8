/** Appends trace lines to a file, in batches, with a bound on what waits: a slow disk costs lines, which are counted. */
import { createWriteStream, type WriteStream } from "node:fs"

const waitingBytesMax = 4 * 1024 * 1024

export class TraceFile {
  readonly #stream: WriteStream
  #dropped = 0
  #broken = false

  constructor(path: string, failed: (reason: string) => void) {
    this.#stream = createWriteStream(path, { flags: "a", mode: 0o600 })
    this.#stream.on("error", (cause) => {
      this.#broken = true
      failed(cause.message)
    })
  }

  append(line: string): void {
    if (this.#broken || this.#stream.writableLength > waitingBytesMax) {
      this.#dropped += 1
      return
    }
    if (this.#dropped > 0) {
      this.#stream.write(`${JSON.stringify({ dropped: this.#dropped })}\n`)
      this.#dropped = 0
    }
    this.#stream.write(`${line}\n`)
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#stream.on("close", resolve)
      this.#stream.end()
      if (this.#broken || this.#stream.closed) resolve()
    })
  }
}
