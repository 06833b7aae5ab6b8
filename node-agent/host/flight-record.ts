/** Reads what the flight recorder kept: any bytes give a record or an error. */
import { deserialize } from "node:v8"
import { err, ok, type Result } from "../../protocol/result.ts"
import { type Instant, instant, nodeId } from "../../protocol/units.ts"
import type { NodeEffect } from "../core/effects.ts"
import type { LinkId, NodeEvent } from "../core/events.ts"
import type { NodeState } from "../core/state.ts"
import {
  keptHeaderBytes,
  type RecordHeading,
  recordMagic,
  refusedLength,
  wanLink,
} from "./flight-recorder.ts"

export interface FlightRecord {
  readonly heading: RecordHeading
  readonly segments: readonly RecordSegment[]
}

export interface RecordSegment {
  /** At its beginning; its sessions have neither keys nor cryptography. Each call gives a state of its own. */
  readonly state: () => NodeState
  readonly steps: readonly RecordStep[]
}

export interface RecordStep {
  readonly at: Instant
  readonly event: NodeEvent
  /** What opening the event's datagram gave, try by try. */
  readonly opened: readonly (Uint8Array | undefined)[]
  /** What was sealed for sending, in the clear. */
  readonly sealed: readonly Uint8Array[]
  /** Of a datagram only the header is kept; the rest is zero. */
  readonly effects: readonly NodeEffect[]
}

export function parseFlightRecord(bytes: Buffer): Result<FlightRecord, string> {
  if (!bytes.subarray(0, recordMagic.length).equals(Buffer.from(recordMagic)))
    return err("not a flight record")
  const end = bytes.indexOf(10, recordMagic.length)
  if (end === -1) return err("cut off in its heading")
  try {
    const heading: RecordHeading = JSON.parse(bytes.toString("utf8", recordMagic.length, end))
    const segments: RecordSegment[] = []
    const reader = new Reader(bytes.subarray(end + 1))
    while (!reader.atEnd) {
      const state = reader.block()
      const steps = new Reader(reader.block())
      const read: RecordStep[] = []
      while (!steps.atEnd) read.push(readStep(new Reader(steps.block())))
      deserialize(state)
      segments.push({ state: () => deserialize(state), steps: read })
    }
    return ok({ heading, segments })
  } catch (cause) {
    return err(`damaged, or of another version: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}

function readStep(reader: Reader): RecordStep {
  const at = instant(reader.double())
  const event = reader.byte() === 1 ? received(reader) : (reader.json() as NodeEvent)
  const opened = reader.bodies()
  const sealed = reader.bodies().map((body) => body ?? new Uint8Array())
  const effects = Array.from({ length: reader.short() }, () =>
    reader.byte() === 1 ? sent(reader) : (reader.json() as NodeEffect),
  )
  return { at, event, opened, sealed, effects }
}

function received(reader: Reader): NodeEvent {
  return { kind: "datagram-received", ...reader.datagram() }
}

function sent(reader: Reader): NodeEffect {
  const to = nodeId(reader.short())
  return { kind: "send", to, ...reader.datagram() }
}

class Reader {
  readonly #bytes: Buffer
  #offset = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get atEnd(): boolean {
    return this.#offset === this.#bytes.length
  }

  byte(): number {
    return this.#bytes.readUInt8(this.#moved(1))
  }

  short(): number {
    return this.#bytes.readUInt16LE(this.#moved(2))
  }

  double(): number {
    return this.#bytes.readDoubleLE(this.#moved(8))
  }

  block(): Buffer {
    const length = this.#bytes.readUInt32LE(this.#moved(4))
    return this.#take(length)
  }

  json(): unknown {
    return JSON.parse(this.block().toString("utf8"))
  }

  bodies(): readonly (Uint8Array | undefined)[] {
    return Array.from({ length: this.short() }, () => {
      const length = this.short()
      return length === refusedLength ? undefined : new Uint8Array(this.#take(length))
    })
  }

  datagram(): { readonly link: LinkId; readonly bytes: Uint8Array } {
    const link = this.byte()
    const bytes = new Uint8Array(this.short())
    bytes.set(this.#take(Math.min(bytes.length, keptHeaderBytes)))
    return { link: link === wanLink ? "wan" : link, bytes }
  }

  #take(length: number): Buffer {
    const start = this.#moved(length)
    return this.#bytes.subarray(start, start + length)
  }

  #moved(length: number): number {
    const start = this.#offset
    if (start + length > this.#bytes.length) throw new Error("it ends too early")
    this.#offset += length
    return start
  }
}
