/**
 * The clear header of every datagram between nodes: who, to whom, under which key, which start of both, which number.
 * It is not secret but it is sealed: the body's seal covers it, so a changed bit anywhere is found out (SPEC K).
 *
 *   offset  bytes
 *        0      2  magic "QB"
 *        2      1  version: 1
 *        3      1  kind: 1 hello, 2 sealed
 *        4      4  cluster tag: 32 bits of FNV-1a of the cluster's name; sorts out, proves nothing
 *        8      1  key id: which ring key the body's key is derived from
 *        9      3  zero
 *       12      2  sender
 *       14      2  receiver
 *       16      4  sender's incarnation
 *       20      4  receiver's incarnation as the sender knows it; 0 in a hello: not known
 *       24      8  counter, from 1: of this sender's hellos to this receiver, or of the session's frames
 *       32         hello: nonce (12), sealed body. sealed: sealed frame; its nonce is the counter
 */
import { assert } from "./assert.ts"
import { assertInteger, ByteReader, ByteWriter, u32Max } from "./bytes.ts"
import { type DropReason, datagramBytesMax } from "./frame.ts"
import { err, ok, type Result } from "./result.ts"
import { type Incarnation, incarnation, type NodeId, nodeId } from "./units.ts"

export const headerBytes = 32
/** AES-GCM's tag, at the end of every sealed body. */
export const sealTagBytes = 16
const clusterTagBytes = 4

export interface DatagramHeader {
  readonly kind: "hello" | "sealed"
  readonly keyId: number
  readonly sender: NodeId
  readonly receiver: NodeId
  readonly senderIncarnation: Incarnation
  /** 0 in a hello whose sender has not heard from the receiver. */
  readonly receiverIncarnation: Incarnation
  /** From 1. */
  readonly counter: number
}

export function encodeHeader(header: DatagramHeader, clusterTag: Uint8Array): Uint8Array {
  assert(clusterTag.length === clusterTagBytes, "a cluster tag has four bytes")
  assert(header.sender >= 1, "node ids start at 1: sender")
  assert(header.receiver >= 1, "node ids start at 1: receiver")
  assert(header.senderIncarnation >= 1, "a node that speaks has started at least once")
  assertInteger(header.counter, 1, Number.MAX_SAFE_INTEGER)
  const writer = new ByteWriter(headerBytes)
  writer.u16(magic)
  writer.u8(version)
  writer.u8(header.kind === "hello" ? 1 : 2)
  writer.bytes(clusterTag)
  writer.u8(header.keyId)
  writer.bytes(zeros)
  writer.u16(header.sender)
  writer.u16(header.receiver)
  writer.u32(header.senderIncarnation)
  writer.u32(header.receiverIncarnation)
  writer.u32(Math.floor(header.counter / (u32Max + 1)))
  writer.u32(header.counter % (u32Max + 1))
  return writer.finish()
}

/**
 * Reads the header of a received datagram and checks what needs no key and no peer, cheapest first. No state changes;
 * the caller counts the reason and drops the datagram.
 */
export function parseHeader(bytes: Uint8Array, clusterTag: Uint8Array): Result<DatagramHeader, DropReason> {
  assert(clusterTag.length === clusterTagBytes, "a cluster tag has four bytes")
  if (bytes.length > datagramBytesMax) return err("too-long")
  if (bytes.length < shortest) return err("too-short")
  const reader = new ByteReader(bytes, headerBytes)
  if (reader.u16() !== magic) return err("not-ours")
  if (reader.u8() !== version) return err("version")
  const kind = reader.u8()
  if (!reader.matches(clusterTag)) return err("wrong-cluster")
  const keyId = reader.u8()
  if (!reader.matches(zeros)) return err("malformed")
  const header = reader.finish<DatagramHeader>({
    kind: reader.within(kind, 1, 2) === 1 ? "hello" : "sealed",
    keyId,
    sender: nodeId(reader.within(reader.u16(), 1, 0xffff)),
    receiver: nodeId(reader.within(reader.u16(), 1, 0xffff)),
    senderIncarnation: incarnation(reader.within(reader.u32(), 1, u32Max)),
    receiverIncarnation: incarnation(reader.u32()),
    counter: reader.within(reader.u32() * (u32Max + 1) + reader.u32(), 1, Number.MAX_SAFE_INTEGER),
  })
  return header.kind === "ok" ? ok(header.value) : err("malformed")
}

/** Tells clusters apart that share a network by mistake; keys keep them apart in earnest, since they contain the name. */
export function clusterTagOf(name: string): Uint8Array {
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i += 1) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  const writer = new ByteWriter(clusterTagBytes)
  writer.u32(hash >>> 0)
  return writer.finish()
}

/** "QB". */
const magic = 0x5142
const version = 1
const zeros = new Uint8Array(3)
/** A header, a tag, and at least the kind of a frame between them. */
const shortest = headerBytes + 1 + sealTagBytes
