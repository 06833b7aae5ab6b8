/**
 * The flight recorder: the last minutes of what happened to this node and what it asked for, in bounded memory, to be
 * kept as a file when a right is lost or when somebody asks. A record can be read, and replayed: the core has no
 * clock and no chance of its own, so the same state and events give the same effects (`flight-replay.ts`).
 *
 * Two segments of memory, used in turn. Each begins with the node's whole state, so that the newer one, or both, can be
 * replayed; then one entry a step. Datagrams are kept by their clear header and, instead of their sealed body, what
 * opening it gave: a record can be read without any key, and holds none.
 */
import { serialize } from "node:v8"
import type { Instant } from "../../protocol/units.ts"
import type { Cryptography } from "../core/cryptography.ts"
import type { NodeEffect } from "../core/effects.ts"
import type { NodeEvent } from "../core/events.ts"
import { withoutKeys } from "../core/session-state.ts"
import type { NodeState } from "../core/state.ts"

/** Together: some minutes of a node with a few peers at the profile `industrial`. */
const segmentBytes = 2 << 20
/** Share of a segment left free at its end: more than one step ever writes. */
const reserveShare = 8
export const recordMagic = "quorumbeat flight record 1\n"
/** Of a datagram, in the clear. */
export const keptHeaderBytes = 32
export const refusedLength = 0xffff
export const wanLink = 0xff

/** What a record begins with, as one line of JSON. */
export interface RecordHeading {
  readonly cluster: string
  readonly node: string
  readonly reason: string
  /** When it was kept, by both clocks. */
  readonly wall: number
  readonly monotonic: number
}

interface Segment {
  state: Buffer | undefined
  readonly steps: Buffer
  length: number
}

export class FlightRecorder {
  readonly #segments: readonly [Segment, Segment]
  #current: Segment
  readonly #opened: (Uint8Array | undefined)[] = []
  readonly #sealed: Uint8Array[] = []

  constructor(bytes = segmentBytes) {
    this.#segments = [emptySegment(bytes), emptySegment(bytes)]
    this.#current = this.#segments[0]
  }

  /** The same functions, listened to. */
  listening(cryptography: Cryptography): Cryptography {
    return {
      deriveKey: (keyId, info) => cryptography.deriveKey(keyId, info),
      seal: (key, nonce, header, body) => {
        this.#sealed.push(body)
        return cryptography.seal(key, nonce, header, body)
      },
      open: (key, nonce, header, sealed) => {
        const body = cryptography.open(key, nonce, header, sealed)
        this.#opened.push(body)
        return body
      },
    }
  }

  /** Before the first step: what happened so far is in the state. */
  begin(node: NodeState): void {
    this.#current.state = snapshotOf(node)
    this.#forget()
  }

  /** After each step, with all its effects done. */
  record(node: NodeState, event: NodeEvent, effects: readonly NodeEffect[], at: Instant): void {
    const segment = this.#current
    const writer = new EntryWriter(segment.steps, segment.length)
    writer.at(at)
    writer.event(event)
    writer.bodies(this.#opened)
    writer.bodies(this.#sealed)
    writer.effects(effects)
    segment.length = writer.end()
    this.#forget()
    if (segment.steps.length - segment.length < segment.steps.length / reserveShare) this.#turn(node)
  }

  #forget(): void {
    this.#opened.length = 0
    this.#sealed.length = 0
  }

  #turn(node: NodeState): void {
    const [first, second] = this.#segments
    const next = this.#current === first ? second : first
    next.length = 0
    next.state = snapshotOf(node)
    this.#current = next
  }

  /** What is remembered, older part first; a copy. */
  dump(heading: RecordHeading): Buffer {
    const [first, second] = this.#segments
    const older = this.#current === first ? second : first
    const parts = [older, this.#current].flatMap(({ state, steps, length }) =>
      state === undefined
        ? []
        : [lengthOf(state.length), state, lengthOf(length), Buffer.from(steps.subarray(0, length))],
    )
    return Buffer.concat([Buffer.from(`${recordMagic}${JSON.stringify(heading)}\n`), ...parts])
  }
}

function emptySegment(bytes: number): Segment {
  return { state: undefined, steps: Buffer.alloc(bytes), length: 0 }
}

/** Everything but keys and functions. */
function snapshotOf(node: NodeState): Buffer {
  return serialize({ ...node, readConfiguration: undefined, sessions: withoutKeys(node.sessions) })
}

function lengthOf(bytes: number): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(bytes)
  return length
}

/** One step: its length, the instant, the event, what was opened and sealed, the effects. */
class EntryWriter {
  readonly #bytes: Buffer
  readonly #start: number
  #offset: number

  constructor(bytes: Buffer, start: number) {
    this.#bytes = bytes
    this.#start = start
    this.#offset = start + 4
  }

  at(instant: Instant): void {
    this.#offset = this.#bytes.writeDoubleLE(instant, this.#offset)
  }

  event(event: NodeEvent): void {
    if (event.kind !== "datagram-received") {
      this.#offset = this.#bytes.writeUInt8(0, this.#offset)
      this.#json(event)
      return
    }
    this.#offset = this.#bytes.writeUInt8(1, this.#offset)
    this.#datagram(event.link, event.bytes)
  }

  bodies(bodies: readonly (Uint8Array | undefined)[]): void {
    this.#offset = this.#bytes.writeUInt16LE(bodies.length, this.#offset)
    for (const body of bodies) {
      this.#offset = this.#bytes.writeUInt16LE(body?.length ?? refusedLength, this.#offset)
      if (body === undefined) continue
      this.#bytes.set(body, this.#offset)
      this.#offset += body.length
    }
  }

  effects(effects: readonly NodeEffect[]): void {
    this.#offset = this.#bytes.writeUInt16LE(effects.length, this.#offset)
    for (const effect of effects) {
      if (effect.kind === "send") {
        this.#offset = this.#bytes.writeUInt8(1, this.#offset)
        this.#offset = this.#bytes.writeUInt16LE(effect.to, this.#offset)
        this.#datagram(effect.link, effect.bytes)
      } else {
        this.#offset = this.#bytes.writeUInt8(0, this.#offset)
        this.#json(effect)
      }
    }
  }

  #datagram(link: number | "wan", bytes: Uint8Array): void {
    this.#offset = this.#bytes.writeUInt8(link === "wan" ? wanLink : link, this.#offset)
    this.#offset = this.#bytes.writeUInt16LE(bytes.length, this.#offset)
    this.#bytes.set(bytes.subarray(0, keptHeaderBytes), this.#offset)
    this.#offset += Math.min(bytes.length, keptHeaderBytes)
  }

  #json(value: object): void {
    const length = this.#bytes.write(JSON.stringify(value), this.#offset + 4)
    this.#offset = this.#bytes.writeUInt32LE(length, this.#offset) + length
  }

  end(): number {
    this.#bytes.writeUInt32LE(this.#offset - this.#start - 4, this.#start)
    return this.#offset
  }
}
