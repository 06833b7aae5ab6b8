/**
 * Reading and writing fixed binary layouts: big-endian integers, printable ASCII, byte strings. The reader never
 * throws: the first fault sticks, every later read gives a harmless zero, and `finish` tells. The writer asserts,
 * because what it is given is ours. Written by hand, byte by byte: less than half a microsecond a frame where generic
 * codecs need 4 - 7 (measured), and no byte on the wire that this repository does not name. No DataView: making one moves
 * a short array out of the heap, which costs more than what is read through it.
 */
import { assert } from "./assert.ts"
import { err, ok, type Result } from "./result.ts"

/**
 * Why bytes are not what they should be. Arises from input only; nothing has changed, the caller drops the input and
 * counts it. `at` is the offset of the field in question.
 */
export interface ParseFault {
  readonly kind:
    | "truncated"
    | "trailing-bytes"
    | "unknown-kind"
    /** A number, a count or a length beyond its bound. */
    | "out-of-range"
    | "not-ascii"
    /** An entry twice in a list that is a set. */
    | "duplicate"
  readonly at: number
}

const pow32 = 0x1_0000_0000
export const u16Max = 0xffff
export const u32Max = 0xffff_ffff
/** Numbers that rise for years: a trillion steps and more, still exact in a double. */
export const u48Max = 0xffff_ffff_ffff

/** Printable ASCII: no control characters, so that a log line or a shell shows what was sent. */
const isPrintable = (code: number): boolean => code >= 0x20 && code <= 0x7e

export class ByteReader {
  readonly #bytes: Uint8Array
  readonly #end: number
  #at = 0
  #fault: ParseFault | undefined

  /** `end`: where what is to be read ends, if not with `bytes`. */
  constructor(bytes: Uint8Array, end = bytes.length) {
    this.#bytes = bytes
    this.#end = Math.min(end, bytes.length)
  }

  /** Offset of the next byte. */
  get at(): number {
    return this.#at
  }

  get failed(): boolean {
    return this.#fault !== undefined
  }

  u8(): number {
    return this.#number(1)
  }

  u16(): number {
    return this.#number(2)
  }

  u32(): number {
    return this.#number(4)
  }

  i32(): number {
    return this.#number(4) | 0
  }

  u48(): number {
    return this.#number(6)
  }

  /** A copy: the caller may reuse the buffer it was read from. */
  bytes(length: number): Uint8Array {
    const at = this.#take(length)
    return at === undefined ? new Uint8Array(0) : this.#bytes.slice(at, at + length)
  }

  ascii(length: number): string {
    const at = this.#take(length)
    if (at === undefined) return ""
    const codes: number[] = []
    for (let i = at; i < at + length; i += 1) {
      const code = this.#bytes[i] ?? 0
      if (!isPrintable(code)) {
        this.refuse("not-ascii")
        return ""
      }
      codes.push(code)
    }
    return String.fromCharCode(...codes)
  }

  /** Whether the next bytes are these. */
  matches(expected: Uint8Array): boolean {
    const at = this.#take(expected.length)
    if (at === undefined) return false
    for (let i = 0; i < expected.length; i += 1) if (this.#bytes[at + i] !== expected[i]) return false
    return true
  }

  /** `value`, or 0 and a fault if it lies outside `min`..`max`. */
  within(value: number, min: number, max: number): number {
    if (value >= min && value <= max) return value
    this.refuse("out-of-range")
    return 0
  }

  /** Notes a fault that only the caller can see; the first one stays. */
  refuse(kind: ParseFault["kind"]): void {
    this.#fault ??= { kind, at: this.#at }
  }

  /** `value`, if everything read was sound and nothing is left over. */
  finish<T>(value: T): Result<T, ParseFault> {
    if (this.#at < this.#end) this.refuse("trailing-bytes")
    return this.#fault === undefined ? ok(value) : err(this.#fault)
  }

  #number(length: number): number {
    const at = this.#take(length)
    if (at === undefined) return 0
    let value = 0
    for (let i = at; i < at + length; i += 1) value = value * 0x100 + (this.#bytes[i] ?? 0)
    return value
  }

  #take(length: number): number | undefined {
    if (this.#fault !== undefined) return undefined
    const start = this.#at
    if (length > this.#end - start) {
      this.refuse("truncated")
      return undefined
    }
    this.#at = start + length
    return start
  }
}

/** Most of what is written is short: the rest of the capacity is taken when it is needed. */
const firstBytes = 256

/** The memory of the writer that finished last, for the next one: allocating it would cost more than the writing. */
let spare: Uint8Array | undefined

export class ByteWriter {
  #capacity: number
  #bytes: Uint8Array
  #at = 0

  /** `capacity`: the most that will ever be written; more is a broken invariant. */
  constructor(capacity: number) {
    this.#capacity = capacity
    this.#bytes = spare ?? new Uint8Array(firstBytes)
    spare = undefined
  }

  get length(): number {
    return this.#at
  }

  u8(value: number): void {
    assertInteger(value, 0, 0xff)
    const start = this.#advance(1)
    this.#bytes[start] = value
  }

  u16(value: number): void {
    assertInteger(value, 0, u16Max)
    const start = this.#advance(2)
    this.#bytes[start] = value >>> 8
    this.#bytes[start + 1] = value
  }

  u32(value: number): void {
    assertInteger(value, 0, u32Max)
    this.#word(value)
  }

  i32(value: number): void {
    assertInteger(value, -0x8000_0000, 0x7fff_ffff)
    this.#word(value)
  }

  u48(value: number): void {
    assertInteger(value, 0, u48Max)
    this.u16(Math.floor(value / pow32))
    this.#word(value % pow32)
  }

  bytes(value: Uint8Array): void {
    const start = this.#advance(value.length)
    this.#bytes.set(value, start)
  }

  ascii(text: string): void {
    const start = this.#advance(text.length)
    for (let i = 0; i < text.length; i += 1) {
      const code = text.charCodeAt(i)
      assert(isPrintable(code), "texts on the wire are printable ASCII")
      this.#bytes[start + i] = code
    }
  }

  /** What was written, as its own copy. Nothing can be written after it: the memory is the next writer's. */
  finish(): Uint8Array {
    assert(this.#capacity >= this.#at, "a writer finishes once")
    const written = this.#bytes.slice(0, this.#at)
    spare = this.#bytes
    this.#bytes = written
    this.#capacity = -1
    return written
  }

  #word(value: number): void {
    const start = this.#advance(4)
    this.#bytes[start] = value >>> 24
    this.#bytes[start + 1] = value >>> 16
    this.#bytes[start + 2] = value >>> 8
    this.#bytes[start + 3] = value
  }

  #advance(length: number): number {
    const start = this.#at
    assert(length <= this.#capacity - start, "what is written fits the capacity")
    this.#at = start + length
    if (this.#at > this.#bytes.length) this.#growTo(this.#at)
    return start
  }

  #growTo(length: number): void {
    const grown = new Uint8Array(Math.max(length, 2 * this.#bytes.length))
    grown.set(this.#bytes)
    this.#bytes = grown
  }
}

export function assertInteger(value: number, min: number, max: number): void {
  assert(Number.isInteger(value), "numbers on the wire are whole")
  assert(value >= min && value <= max, "numbers on the wire stay inside their field")
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return false
  return true
}

export function joinBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const joined = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}

const hexDigits = "0123456789abcdef"

export function toHex(bytes: Uint8Array): string {
  let text = ""
  for (const byte of bytes) text += `${hexDigits.charAt(byte >> 4)}${hexDigits.charAt(byte & 15)}`
  return text
}

/** Exactly eight lower-case hex digits as a number; asserts the form. */
export function fromHex8(text: string): number {
  assert(/^[0-9a-f]{8}$/.test(text), "a short identifier is eight lower-case hex digits")
  return Number.parseInt(text, 16)
}

export function toHex8(value: number): string {
  return value.toString(16).padStart(8, "0")
}
