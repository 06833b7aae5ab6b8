/**
 * Frames <-> bytes: one fixed layout a kind, big-endian, no padding, nothing optional (SPEC F). The same frame always
 * gives the same bytes. Any bytes give a frame or a `FrameError`, never an exception; bytes left over are an error.
 *
 *   u8 kind, then:
 *   1 token          ring, number u48, seq u48, aru u48, aruBy u16 (0: nobody), then four lists
 *       messages     n u8 x ( seq u48, origin u16, length u16, payload )
 *       rights       n u8 x ( owner u16, name, epoch u48, remaining u32 )
 *       watches      n u8 x ( owner u16, name, witness u32, epoch u48, seq u48 )
 *       health       n u8 x ( owner u16, length u8, bytes )
 *   2 token-ack      ring, number u48
 *   3 token-wanted   ring
 *   4 probe          id u32                       5 probe-ack   id u32
 *   6 join           sequence u48, owner u8 (0, 1),
 *                    hears n u8 x ( node u16, incarnation u32 ), accuses n u8 x u16, proposal n u8 x u16
 *   7 commit         ring, committed u8, members n u8 x ( node u16, incarnation u32 )
 *   8 commit-ack     ring, committed u8
 *   9 site           length u16, text
 *  10 join with the configuration: as join, then version u32, checksum u32,
 *                    confirmed u8 (0 no, 1 yes, 2 its record is lost)
 *   11 link-probe    id u32, link u8, sent u48, state u8 (0 up, 1 suspect, 2 down), loss u32, jitter u16
 *   12 link-answer   the same
 *   13 standing      reaches n u8 x u16, ring n u8 x u16
 *   14 evidence      round u16, echoes n u8 x ( node u16, round u16 ), relayed n u8 x ( by u16, of u16 )
 *
 *   ring             sequence u48, representative u16, incarnation u32
 *   jitter           sixteenths of a millisecond, up to 4.1 s
 *   name             length u8 (1 and up), printable ASCII; so are payloads and texts
 *   remaining        sixteenths of a millisecond, rounded DOWN and capped at 2^32 - 1 (74 hours): a right never grows
 *                    on its way, and being a binary fraction it does not shrink further when it is passed on
 */
import { assert, never } from "./assert.ts"
import { ByteReader, ByteWriter, fromHex8, type ParseFault, toHex8, u16Max, u32Max } from "./bytes.ts"
import {
  type Accusation,
  bodyBytesMax,
  type CommitFrame,
  type Echo,
  type EvidenceFrame,
  type Frame,
  frameLimits,
  type JoinFrame,
  type LinkProbeFrame,
  linksMax,
  lossMax,
  type PeerIncarnation,
} from "./frame.ts"
import {
  limit,
  readIncarnation,
  readList,
  readNode,
  readRing,
  readText,
  writeIncarnation,
  writeList,
  writeNode,
  writeRing,
  writeText,
} from "./frame-fields.ts"
import { err, type Result } from "./result.ts"
import { readToken, writeToken } from "./token-frame.ts"
import { millis, type NodeId } from "./units.ts"

export type FrameError = ParseFault

/** At most `bodyBytesMax` bytes. Asserts every bound of `frameLimits`: what exceeds one is our own mistake. */
export function encodeFrame(frame: Frame): Uint8Array {
  const writer = new ByteWriter(bodyBytesMax)
  const marked = frame.kind === "join" && frame.configuration !== undefined
  writer.u8(marked ? markedJoin : kinds.indexOf(frame.kind) + 1)
  writeFields(writer, frame)
  return writer.finish()
}

export function decodeFrame(bytes: Uint8Array): Result<Frame, FrameError> {
  if (bytes.length === 0) return err({ kind: "truncated", at: 0 })
  if (bytes.length > bodyBytesMax) return err({ kind: "out-of-range", at: bodyBytesMax })
  const reader = new ByteReader(bytes)
  const code = reader.u8()
  if (code === markedJoin) return reader.finish(readMarkedJoin(reader))
  const kind = kinds[code - 1]
  if (kind === undefined) return err({ kind: "unknown-kind", at: 0 })
  return reader.finish(readFields(reader, kind))
}

/** A kind's code on the wire is its place here, from 1. */
const kinds: readonly (Frame["kind"] | undefined)[] = [
  "token",
  "token-ack",
  "token-wanted",
  "probe",
  "probe-ack",
  "join",
  "commit",
  "commit-ack",
  "site",
  undefined,
  "link-probe",
  "link-answer",
  "standing",
  "evidence",
]

const markedJoin = 10

function readMarkedJoin(reader: ByteReader): JoinFrame {
  const join = readJoin(reader)
  const version = reader.within(reader.u32(), 1, u32Max)
  const checksum = toHex8(reader.u32())
  const confirmed = reader.within(reader.u8(), 0, 2)
  const mark = { version, checksum, confirmed: confirmed === 1 }
  return { ...join, configuration: confirmed === 2 ? { ...mark, forgot: true } : mark }
}

function writeFields(writer: ByteWriter, frame: Frame): void {
  switch (frame.kind) {
    case "token":
      writeToken(writer, frame)
      break
    case "token-ack":
      writeRing(writer, frame.ring)
      writer.u48(frame.number)
      break
    case "token-wanted":
      writeRing(writer, frame.ring)
      break
    case "probe":
    case "probe-ack":
      writer.u32(frame.id)
      break
    case "link-probe":
    case "link-answer":
      writeLinkProbe(writer, frame)
      break
    case "standing":
      writeNodes(writer, frame.reaches)
      writeNodes(writer, frame.ring)
      break
    case "evidence":
      writeEvidence(writer, frame)
      break
    case "join":
      writeJoin(writer, frame)
      break
    case "commit":
      writeCommit(writer, frame)
      break
    case "commit-ack":
      assert(frame.committed <= frameLimits.members, "no more commit than there can be members")
      writeRing(writer, frame.ring)
      writer.u8(frame.committed)
      break
    case "site":
      writeText(writer, frame.text, frameLimits.textBytes)
      break
    default:
      never(frame)
  }
}

function readFields(reader: ByteReader, kind: Frame["kind"]): Frame {
  switch (kind) {
    case "token":
      return readToken(reader)
    case "token-ack":
      return { kind, ring: readRing(reader), number: reader.u48() }
    case "token-wanted":
      return { kind, ring: readRing(reader) }
    case "probe":
    case "probe-ack":
      return { kind, id: reader.u32() }
    case "link-probe":
    case "link-answer":
      return readLinkProbe(reader, kind)
    case "standing":
      return { kind, reaches: readNodes(reader), ring: readNodes(reader) }
    case "evidence":
      return readEvidence(reader)
    case "join":
      return readJoin(reader)
    case "commit":
      return readCommit(reader)
    case "commit-ack":
      return { kind, ring: readRing(reader), committed: reader.within(reader.u8(), 0, frameLimits.members) }
    case "site":
      return { kind, text: readText(reader, frameLimits.textBytes) }
    default:
      return never(kind)
  }
}

// --- links ---

const linkStates = ["up", "suspect", "down"] as const
const jitterUnits = 16

function writeLinkProbe(writer: ByteWriter, frame: LinkProbeFrame): void {
  assert(frame.link < linksMax, "a node has a bounded number of links")
  const { state, loss, jitter } = frame.report
  writer.u32(frame.id)
  writer.u8(frame.link)
  writer.u48(frame.sent)
  writer.u8(linkStates.indexOf(state))
  writer.u32(Math.min(Math.max(Math.round(loss), 0), lossMax))
  writer.u16(Math.min(Math.round(jitter * jitterUnits), u16Max))
}

function readLinkProbe(reader: ByteReader, kind: LinkProbeFrame["kind"]): LinkProbeFrame {
  const id = reader.u32()
  const link = reader.within(reader.u8(), 0, linksMax - 1)
  const sent = reader.u48()
  const state = linkStates[reader.within(reader.u8(), 0, linkStates.length - 1)] ?? "down"
  const loss = reader.within(reader.u32(), 0, lossMax)
  return { kind, id, link, sent, report: { state, loss, jitter: millis(reader.u16() / jitterUnits) } }
}

// --- membership ---

function writeJoin(writer: ByteWriter, join: JoinFrame): void {
  writer.u48(join.sequence)
  writer.u8(join.owner ? 1 : 0)
  writePeers(writer, join.hears)
  writeNodes(writer, join.accuses)
  writeNodes(writer, join.proposal)
  const { configuration } = join
  if (configuration === undefined) return
  writer.u32(configuration.version)
  writer.u32(fromHex8(configuration.checksum))
  writer.u8(configuration.confirmed ? 1 : configuration.forgot === true ? 2 : 0)
}

function readJoin(reader: ByteReader): JoinFrame {
  const sequence = reader.u48()
  const owner = reader.within(reader.u8(), 0, 1) === 1
  return {
    kind: "join",
    sequence,
    hears: readPeers(reader),
    accuses: readNodes(reader),
    proposal: readNodes(reader),
    owner,
  }
}

function writeCommit(writer: ByteWriter, commit: CommitFrame): void {
  assert(commit.committed <= commit.members.length, "no more commit than there are members")
  writeRing(writer, commit.ring)
  writer.u8(commit.committed)
  writePeers(writer, commit.members)
}

function readCommit(reader: ByteReader): CommitFrame {
  const ring = readRing(reader)
  const committed = reader.u8()
  const members = readPeers(reader)
  return { kind: "commit", ring, members, committed: reader.within(committed, 0, members.length) }
}

function writeEvidence(writer: ByteWriter, evidence: EvidenceFrame): void {
  writer.u16(evidence.round)
  writeList(writer, evidence.echoes, echoList, (_, { node, round }) => {
    writeNode(writer, node)
    writer.u16(round)
  })
  writeList(writer, evidence.relayed, accusationList, (_, { by, of }) => {
    writeNode(writer, by)
    writeNode(writer, of)
  })
}

function readEvidence(reader: ByteReader): EvidenceFrame {
  return {
    kind: "evidence",
    round: reader.u16(),
    echoes: readList(reader, echoList, () => ({ node: readNode(reader), round: reader.u16() })),
    relayed: readList(reader, accusationList, () => ({ by: readNode(reader), of: readNode(reader) })),
  }
}

const echoList = limit<Echo>(frameLimits.members, frameLimits.members * 4, () => 4)
const accusationList = limit<Accusation>(frameLimits.members, frameLimits.members * 4, () => 4)
const peerList = limit<PeerIncarnation>(frameLimits.members, frameLimits.members * 6, () => 6)
const nodeList = limit<NodeId>(frameLimits.members, frameLimits.members * 2, () => 2)

function writePeers(writer: ByteWriter, peers: readonly PeerIncarnation[]): void {
  assert(distinct(peers.map((peer) => peer.node)), "a node is named once")
  writeList(writer, peers, peerList, (_, peer) => {
    writeNode(writer, peer.node)
    writeIncarnation(writer, peer.incarnation)
  })
}

function readPeers(reader: ByteReader): readonly PeerIncarnation[] {
  const peers = readList(reader, peerList, () => ({
    node: readNode(reader),
    incarnation: readIncarnation(reader),
  }))
  if (!reader.failed && !distinct(peers.map((peer) => peer.node))) reader.refuse("duplicate")
  return peers
}

function writeNodes(writer: ByteWriter, nodes: readonly NodeId[]): void {
  assert(distinct(nodes), "a node is named once")
  writeList(writer, nodes, nodeList, writeNode)
}

function readNodes(reader: ByteReader): readonly NodeId[] {
  const nodes = readList(reader, nodeList, readNode)
  if (!reader.failed && !distinct(nodes)) reader.refuse("duplicate")
  return nodes
}

function distinct(nodes: readonly NodeId[]): boolean {
  return new Set(nodes).size === nodes.length
}
