/**
 * The fields that several kinds of frame are made of: rings, nodes, incarnations, names, texts and bounded lists.
 * Bounds are asserted when written and refused when read (SPEC F).
 */
import { assert } from "./assert.ts"
import { type ByteReader, type ByteWriter, u16Max, u32Max, u48Max } from "./bytes.ts"
import { frameLimits } from "./frame.ts"
import { type Incarnation, incarnation, type NodeId, nodeId, type RingId } from "./units.ts"

export function writeRing(writer: ByteWriter, ring: RingId): void {
  assert(ring.sequence > 0, "a ring has a sequence above 0")
  writer.u48(ring.sequence)
  writeNode(writer, ring.representative)
  writeIncarnation(writer, ring.incarnation)
}

export function readRing(reader: ByteReader): RingId {
  const sequence = reader.within(reader.u48(), 1, u48Max)
  return { sequence, representative: readNode(reader), incarnation: readIncarnation(reader) }
}

export function writeNode(writer: ByteWriter, node: NodeId): void {
  assert(node > 0, "a node id is above 0")
  writer.u16(node)
}

export function readNode(reader: ByteReader): NodeId {
  return nodeId(reader.within(reader.u16(), 1, u16Max))
}

export function writeIncarnation(writer: ByteWriter, value: Incarnation): void {
  assert(value > 0, "a node that speaks has started at least once")
  writer.u32(value)
}

export function readIncarnation(reader: ByteReader): Incarnation {
  return incarnation(reader.within(reader.u32(), 1, u32Max))
}

export function writeName(writer: ByteWriter, name: string): void {
  assert(
    name.length >= 1 && name.length <= frameLimits.nameBytes,
    "a name on the wire is short and not empty",
  )
  writer.u8(name.length)
  writer.ascii(name)
}

export function readName(reader: ByteReader): string {
  return reader.ascii(reader.within(reader.u8(), 1, frameLimits.nameBytes))
}

export function writeText(writer: ByteWriter, text: string, max: number): void {
  assert(text.length <= max, "a text on the wire keeps its bound")
  writer.u16(text.length)
  writer.ascii(text)
}

export function readText(reader: ByteReader, max: number): string {
  return reader.ascii(reader.within(reader.u16(), 0, max))
}

/** Bounds of a list: entries, their encoded bytes together, and what one entry takes. */
export interface ListLimit<T> {
  readonly count: number
  readonly bytes: number
  readonly size: (entry: T) => number
}

export function limit<T>(count: number, bytes: number, size: (entry: T) => number): ListLimit<T> {
  return { count, bytes, size }
}

/** The longest beginning of `entries` that one token may carry: whoever builds a token takes its lists through this. */
export function fitting<T>(entries: readonly T[], bound: ListLimit<T>): readonly T[] {
  let bytes = 0
  let count = 0
  for (const entry of entries) {
    bytes += bound.size(entry)
    if (count === bound.count || bytes > bound.bytes) break
    count += 1
  }
  return count === entries.length ? entries : entries.slice(0, count)
}

/** `entries` from the `turn`th on, round to the start: with a `turn` that rises by one a visit each is told in time. */
export function inTurn<T>(entries: readonly T[], turn: number): readonly T[] {
  if (entries.length < 2) return entries
  const first = turn % entries.length
  return [...entries.slice(first), ...entries.slice(0, first)]
}

type WriteEntry<T> = (writer: ByteWriter, entry: T) => void

export function writeList<T>(
  writer: ByteWriter,
  entries: readonly T[],
  bound: ListLimit<T>,
  write: WriteEntry<T>,
): void {
  assert(entries.length <= bound.count, "a list on the wire keeps its bound")
  writer.u8(entries.length)
  const start = writer.length
  for (const entry of entries) {
    const before = writer.length
    write(writer, entry)
    assert(writer.length - before === bound.size(entry), "an entry takes the bytes it says it takes")
  }
  assert(writer.length - start <= bound.bytes, "a list on the wire keeps its share of bytes")
}

export function readList<T>(
  reader: ByteReader,
  bound: ListLimit<T>,
  read: (reader: ByteReader) => T,
): readonly T[] {
  const count = reader.within(reader.u8(), 0, bound.count)
  const start = reader.at
  const entries: T[] = []
  for (let i = 0; i < count && !reader.failed; i += 1) entries.push(read(reader))
  if (reader.at - start > bound.bytes) reader.refuse("out-of-range")
  return entries
}
