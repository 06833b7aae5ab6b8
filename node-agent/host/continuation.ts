/**
 * Which datagrams can be the next ones of a session: those whose clear header (protocol/datagram.ts) is that of the last
 * frame that was taken, but for a counter that is a little higher. The same question as a filter of the kernel. It proves
 * nothing: the seal does.
 */
import { headerBytes } from "../../protocol/datagram.ts"
import { decide, type FilterProgram, passBetween, passNone, word } from "./socket-filter.ts"

/** Of the clear header: the kind, and the low half of the counter, before which nothing changes within a session. */
const kindAt = 3
const sealed = 2
const counterAt = 28
/** Frames to one peer in two seconds and more. */
const ahead = 256
const counterMax = 0xffff_ffff

export class Continuation {
  /** All zero, which no header is: nothing continues. */
  readonly #last = Buffer.alloc(headerBytes)

  /** After this one. */
  follow(datagram: Uint8Array): void {
    if (datagram[kindAt] === sealed) this.#last.set(datagram.subarray(0, headerBytes))
  }

  includes(datagram: Uint8Array): boolean {
    if (datagram.length < headerBytes) return false
    const header = Buffer.from(datagram.buffer, datagram.byteOffset, headerBytes)
    const counter = header.readUInt32BE(counterAt)
    return (
      counter > this.#counter &&
      counter <= this.#counterMost &&
      header.compare(this.#last, 0, counterAt, 0, counterAt) === 0
    )
  }

  program(): FilterProgram {
    const conditions = Array.from({ length: counterAt / 4 }, (_, index) => {
      return { load: word(4 * index), value: this.#last.readUInt32BE(4 * index) }
    })
    return decide(conditions, passBetween(word(counterAt), this.#counter, this.#counterMost), passNone)
  }

  get #counter(): number {
    return this.#last.readUInt32BE(counterAt)
  }

  get #counterMost(): number {
    return Math.min(this.#counter + ahead, counterMax)
  }
}
