/**
 * The token's layout (the table is in `frames.ts`) and the bounds of its four lists. Each list has its own share of
 * the datagram, so that a burst of messages delays messages and never the rights, and the other way round.
 */
import { assert } from "./assert.ts"
import { type ByteReader, type ByteWriter, fromHex8, toHex8, u32Max } from "./bytes.ts"
import {
  frameLimits,
  type HealthSlot,
  type OrderedMessage,
  type RightEntry,
  type TokenFrame,
  type WatchEntry,
} from "./frame.ts"
import {
  limit,
  readList,
  readName,
  readNode,
  readRing,
  readText,
  writeList,
  writeName,
  writeNode,
  writeRing,
  writeText,
} from "./frame-fields.ts"
import { type Millis, millis } from "./units.ts"

/** Bounds and entry sizes of the four lists of a token. */
export const tokenLists = {
  messages: limit<OrderedMessage>(
    frameLimits.messages,
    frameLimits.messageBytes,
    (e) => 10 + e.payload.length,
  ),
  rights: limit<RightEntry>(frameLimits.rights, frameLimits.rightBytes, (e) => 13 + e.right.length),
  watches: limit<WatchEntry>(frameLimits.watches, frameLimits.watchBytes, (e) => 19 + e.name.length),
  health: limit<HealthSlot>(frameLimits.health, frameLimits.healthBytes, (e) => 3 + e.bytes.length),
} as const

export function writeToken(writer: ByteWriter, token: TokenFrame): void {
  writeRing(writer, token.ring)
  writer.u48(token.number)
  writer.u48(token.seq)
  writer.u48(token.aru)
  writer.u16(token.aruBy)
  writeList(writer, token.messages, tokenLists.messages, writeMessage)
  writeList(writer, token.rights, tokenLists.rights, writeRight)
  writeList(writer, token.watches, tokenLists.watches, writeWatch)
  writeList(writer, token.health, tokenLists.health, writeHealth)
}

export function readToken(reader: ByteReader): TokenFrame {
  return {
    kind: "token",
    ring: readRing(reader),
    number: reader.u48(),
    seq: reader.u48(),
    aru: reader.u48(),
    aruBy: reader.u16(),
    messages: readList(reader, tokenLists.messages, readMessage),
    rights: readList(reader, tokenLists.rights, readRight),
    watches: readList(reader, tokenLists.watches, readWatch),
    health: readList(reader, tokenLists.health, readHealth),
  }
}

function writeMessage(writer: ByteWriter, message: OrderedMessage): void {
  writer.u48(message.seq)
  writeNode(writer, message.origin)
  writeText(writer, message.payload, frameLimits.payloadBytes)
}

function readMessage(reader: ByteReader): OrderedMessage {
  return { seq: reader.u48(), origin: readNode(reader), payload: readText(reader, frameLimits.payloadBytes) }
}

function writeRight(writer: ByteWriter, entry: RightEntry): void {
  writeNode(writer, entry.owner)
  writeName(writer, entry.right)
  writer.u48(entry.epoch)
  writer.u32(remainingUnits(entry.remaining))
}

function readRight(reader: ByteReader): RightEntry {
  return {
    owner: readNode(reader),
    right: readName(reader),
    epoch: reader.u48(),
    remaining: millis(reader.u32() / unitsPerMilli),
  }
}

const unitsPerMilli = 16

function remainingUnits(remaining: Millis): number {
  assert(remaining >= 0, "a right that is over is removed, not told")
  return Math.min(Math.floor(remaining * unitsPerMilli), u32Max)
}

function writeWatch(writer: ByteWriter, entry: WatchEntry): void {
  writeNode(writer, entry.owner)
  writeName(writer, entry.name)
  writer.u32(fromHex8(entry.witness))
  writer.u48(entry.epoch)
  writer.u48(entry.seq)
}

function readWatch(reader: ByteReader): WatchEntry {
  return {
    owner: readNode(reader),
    name: readName(reader),
    witness: toHex8(reader.u32()),
    epoch: reader.u48(),
    seq: reader.u48(),
  }
}

function writeHealth(writer: ByteWriter, slot: HealthSlot): void {
  writeNode(writer, slot.owner)
  writer.u8(slot.bytes.length)
  writer.bytes(slot.bytes)
}

function readHealth(reader: ByteReader): HealthSlot {
  return { owner: readNode(reader), bytes: reader.bytes(reader.u8()) }
}
