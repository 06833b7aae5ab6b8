/** Cuts a byte stream into lines of JSON, with a bound on what an unfinished line may hold. */
import { StringDecoder } from "node:string_decoder"

/** The longest line: a witness reply of 256 KB, a status of a big cluster, and room. */
export const lineCharactersMax = 1 << 20

/**
 * Calls `line` with each parsed line. Throws `UnreadableStream` when a line is too long or not JSON: the peer is the
 * same program, so it is broken and its connection must be given up.
 */
export class LineReader<T> {
  readonly #line: (value: T) => void
  readonly #decoder = new StringDecoder("utf8")
  #rest = ""

  constructor(line: (value: T) => void) {
    this.#line = line
  }

  push(chunk: Buffer): void {
    this.#rest += this.#decoder.write(chunk)
    for (let end = this.#rest.indexOf("\n"); end >= 0; end = this.#rest.indexOf("\n")) {
      const text = this.#rest.slice(0, end)
      this.#rest = this.#rest.slice(end + 1)
      this.#line(parse(text))
    }
    if (this.#rest.length > lineCharactersMax) throw new UnreadableStream("line too long")
  }
}

export class UnreadableStream extends Error {
  override readonly name = "UnreadableStream"
}

function parse<T>(text: string): T {
  try {
    return JSON.parse(text)
  } catch {
    throw new UnreadableStream("not a line of JSON")
  }
}
