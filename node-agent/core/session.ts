/**
 * Sealed sessions between pairs of nodes (SPEC K): who a datagram is from, that it is of the present start of both, and
 * that it comes once. A session belongs to two incarnations and two nonces, each drawn at its node's start; its keys
 * are derived from them and a ring key, one for each direction, and the counter of its frames is the AES-GCM nonce.
 *
 * The sequence when A has just started and B has not:
 *   1. A sends a hello with its nonce; it has none of B to echo. B notes whom it heard. Nothing is proved: this could
 *      be a recording from any time the ring key was valid.
 *   2. B answers with a hello that echoes A's nonce. Only B, now, can have made it: A takes up the session.
 *   3. A answers with a hello that echoes B's nonce, or just sends a frame. Either proves A to B, which takes up the
 *      session in place of the one with A's former self.
 * A hello says whether its sender has proved whom it echoes, so that the exchange ends. Whatever is not proved fresh
 * changes one thing only: which nonce our next hello echoes.
 *
 *   peer          hello, no proof          hello echoing us          frame that opens
 *   unheard       heard                    proven                    (no keys: no-session)
 *   heard         heard, the latest        proven                    proven
 *   proven        same start: stays        same start: stays         stays
 *                 higher start: + heard    higher start: replaced    heard's: replaced
 *                 lower start: stale       lower start: stale        lower start: stale
 *
 * Hellos are sealed under a key derived for the direction alone, which outlives restarts. Their AES-GCM nonce is 12
 * bytes of this start's chance combined with the hello's counter, in the clear: it repeats neither within a start nor,
 * but for a probability of 2^-36 in 16,000 starts of 2^32 hellos each, between two starts. Counters and windows are
 * never set back while this process lives, also not when a key is replaced or a peer leaves and returns.
 */
import { assert } from "../../protocol/assert.ts"
import { joinBytes, sameBytes } from "../../protocol/bytes.ts"
import {
  type DatagramHeader,
  encodeHeader,
  headerBytes,
  parseHeader,
  sealTagBytes,
} from "../../protocol/datagram.ts"
import type { DropReason, Frame } from "../../protocol/frame.ts"
import { decodeFrame, encodeFrame } from "../../protocol/frames.ts"
import { type Incarnation, incarnation, type NodeId } from "../../protocol/units.ts"
import { commonVersion, silentRange, type VersionRange } from "../../protocol/version.ts"
import type { Cryptography } from "./cryptography.ts"
import { encodeHello, type Hello, helloBodyBytes, parseHello, sessionNonceBytes } from "./hello.ts"
import { isRemembered, rememberFrame, takeCopy } from "./recent-frames.ts"
import { isReplayed, markSeen } from "./replay-window.ts"
import {
  configuredPeer,
  helloKeys,
  hellosKept,
  type KeyRing,
  newSession,
  type Peer,
  type Session,
  type Sessions,
  sessionKeys,
  unheardPeer,
} from "./session-state.ts"

export type { KeyRing, Sessions } from "./session-state.ts"

export interface SessionOptions {
  /** Name of the cluster: part of every key. */
  readonly cluster: string
  readonly clusterTag: Uint8Array
  readonly self: NodeId
  readonly incarnation: Incarnation
  /** 16 bytes from a cryptographic generator, drawn anew at each start: all sealing of this start rests on them. */
  readonly nonce: Uint8Array
  readonly keyRing: KeyRing
  readonly peers: readonly NodeId[]
  readonly cryptography: Cryptography
  readonly versions: VersionRange
}

export type Received =
  | {
      readonly kind: "frame"
      readonly from: NodeId
      readonly incarnation: Incarnation
      /** Of the sender's frames to this node: a higher one was sent later. */
      readonly counter: number
      /** This frame was the proof of a start not known before. */
      readonly newIncarnation: boolean
      readonly frame: Frame
    }
  | {
      readonly kind: "hello-accepted"
      readonly from: NodeId
      readonly incarnation: Incarnation
      /** We can seal to the start of the peer that sent this hello. */
      readonly established: boolean
      /** The sender has no session with us yet: answer with `helloFor`, now. */
      readonly replyWanted: boolean
      /** This hello was the proof of a start not known before. */
      readonly newIncarnation: boolean
    }
  /** A frame that was taken before, over a link that it had not come over yet: the link works. */
  | { readonly kind: "copy"; readonly from: NodeId }
  /** A copy of a hello, or one that a later hello has overtaken on another link. It says nothing new, nor about the link. */
  | { readonly kind: "old-hello" }
  | { readonly kind: "dropped"; readonly reason: DropReason }

const helloNonceBytes = 12
/** The length of a hello, by that of its body: 93 for one of version 1, 95 with a range. */
export const helloDatagramBytes = (body: number): number =>
  headerBytes + helloNonceBytes + body + sealTagBytes
/** The old key and the new one. */
const ringKeysMax = 2
/** Peers ever configured while this process lives; changes add one node at a time, by hand. */
const peersMax = 1024

export function createSessions(options: SessionOptions): Sessions {
  assert(options.nonce.length === sessionNonceBytes, "a session nonce has 16 bytes")
  assert(options.incarnation >= 1, "a node that speaks has started at least once")
  const { cluster, clusterTag, self, nonce, cryptography, keyRing } = options
  const sessions: Sessions = {
    cluster,
    clusterTag,
    self,
    nonce,
    cryptography,
    versions: options.versions,
    keyRing,
    incarnation: options.incarnation,
    peers: new Map(),
  }
  replaceKeyRing(sessions, keyRing)
  configurePeers(sessions, options.peers)
  return sessions
}

/** After the host has taken in the new ring keys, in the same turn. Sessions go on: counters stay, keys are derived anew. */
export function replaceKeyRing(sessions: Sessions, keyRing: KeyRing): void {
  assert(keyRing.accepted.length <= ringKeysMax, "a rotation has two ring keys at most")
  assert(keyRing.accepted.includes(keyRing.active), "what we seal with we accept")
  for (const id of keyRing.accepted) {
    assert(
      sessions.cryptography.deriveKey(id, "presence") !== undefined,
      "the host has every accepted ring key",
    )
  }
  sessions.keyRing = keyRing
  for (const peer of sessions.peers.values()) {
    peer.helloKeys = new Map()
    for (const session of [peer.proven, peer.heard]) {
      if (session !== undefined) session.keys = new Map()
    }
  }
}

/** Replaces the set of peers after a change of the configuration. Who stays keeps its session. */
export function configurePeers(sessions: Sessions, ids: readonly NodeId[]): void {
  assert(!ids.includes(sessions.self), "a node is not its own peer")
  for (const peer of sessions.peers.values()) peer.configured = ids.includes(peer.id)
  for (const id of ids) {
    if (!sessions.peers.has(id)) sessions.peers.set(id, unheardPeer(id))
  }
  assert(sessions.peers.size <= peersMax, "a process sees a bounded number of peers")
}

/** The version to speak with a peer; undefined: there is no session with it. */
export function versionWith(sessions: Sessions, id: NodeId): number | undefined {
  const session = configuredPeer(sessions, id)?.proven
  return session === undefined ? undefined : commonVersion(sessions.versions, session.versions)
}

/** Whether the latest start of a peer that was heard, proved or not, has shown that it speaks more than version 1. */
export function knowsVersions(sessions: Sessions, id: NodeId): boolean {
  const peer = configuredPeer(sessions, id)
  const latest = peer?.heard ?? peer?.proven
  return latest !== undefined && latest.versions.max > silentRange.max
}

/** The start of the peer with which we have a session. */
export function peerIncarnation(sessions: Sessions, peer: NodeId): Incarnation | undefined {
  return configuredPeer(sessions, peer)?.proven?.incarnation
}

/**
 * A hello for `peer`: at start, whenever nothing was heard from it for a while, and when one was received that wants a
 * reply. The same bytes may go out on several links; a hello that is sent again is made anew.
 */
export function helloFor(
  sessions: Sessions,
  to: NodeId,
  versions: VersionRange = sessions.versions,
): Uint8Array {
  const peer = configuredPeer(sessions, to)
  assert(peer !== undefined, "hellos go to configured peers")
  const keys = helloKeys(sessions, peer, sessions.keyRing.active)
  assert(keys !== undefined, "the host has the active ring key")
  assert(peer.hellosSent < Number.MAX_SAFE_INTEGER, "a counter never wraps")
  peer.hellosSent += 1
  const echoed = peer.heard ?? peer.proven
  const header = headerFor(sessions, "hello", peer, echoed?.incarnation ?? incarnation(0), peer.hellosSent)
  const standing = peer.heard === undefined ? "proven" : "heard"
  const body = encodeHello({
    nonce: sessions.nonce,
    echo: echoed === undefined ? undefined : { nonce: echoed.nonce, standing },
    versions,
  })
  const nonce = helloNonce(sessions, header)
  return joinBytes(header, nonce, sessions.cryptography.seal(keys.send, nonce, header, body))
}

/** `frame` sealed to the proven start of the peer; `undefined`: no session yet, send a hello. */
export function sealTo(sessions: Sessions, to: NodeId, frame: Frame): Uint8Array | undefined {
  return sealBody(sessions, to, encodeFrame(frame))
}

/** As `sealTo`, of a frame that is encoded already. */
export function sealBody(sessions: Sessions, to: NodeId, body: Uint8Array): Uint8Array | undefined {
  const peer = configuredPeer(sessions, to)
  assert(peer !== undefined, "frames go to configured peers")
  const session = peer.proven
  if (session === undefined) return undefined
  const keys = sessionKeys(sessions, peer, session, sessions.keyRing.active)
  assert(keys !== undefined, "the host has the active ring key")
  assert(session.framesSent < Number.MAX_SAFE_INTEGER, "a counter never wraps")
  session.framesSent += 1
  const header = headerFor(sessions, "sealed", peer, session.incarnation, session.framesSent)
  return joinBytes(header, sessions.cryptography.seal(keys.send, frameNonce(header), header, body))
}

/**
 * Any datagram, from whichever link (their number counts from 0). What is dropped has changed nothing, one exception: an authentic frame whose content is malformed has
 * used up its counter, and may have proved its sender.
 */
export function receive(sessions: Sessions, bytes: Uint8Array, link = 0): Received {
  const parsed = parseHeader(bytes, sessions.clusterTag)
  if (parsed.kind === "error") return dropped(parsed.error)
  const header = parsed.value
  if (header.receiver !== sessions.self) return dropped("not-for-us")
  const peer = configuredPeer(sessions, header.sender)
  if (peer === undefined) return dropped("unknown-node")
  if (!sessions.keyRing.accepted.includes(header.keyId)) return dropped("unknown-key")
  if (header.kind === "hello") return receiveHello(sessions, peer, { header, bytes, link })
  return receiveFrame(sessions, peer, header, bytes, link)
}

interface Arrival {
  readonly header: DatagramHeader
  readonly bytes: Uint8Array
  readonly link: number
}

function receiveHello(sessions: Sessions, peer: Peer, arrival: Arrival): Received {
  const { header, bytes } = arrival
  const isRanged = bytes.length > helloDatagramBytes(helloBodyBytes.plain)
  const shortest = isRanged ? helloBodyBytes.ranged : helloBodyBytes.plain
  if (bytes.length < helloDatagramBytes(shortest)) return dropped("too-short")
  if (bytes.length > helloDatagramBytes(longestHello(sessions))) return dropped("too-long")
  if (isFormer(peer, header.senderIncarnation)) return dropped("stale-incarnation")
  const { proven } = peer
  const isPresent = header.senderIncarnation === proven?.incarnation
  if (isPresent && header.counter <= proven.hellosSeen && !isOvertaken(proven, header.counter))
    return helloAgain(proven, arrival)
  const keys = helloKeys(sessions, peer, header.keyId)
  if (keys === undefined) return dropped("unknown-key")
  const nonce = bytes.subarray(headerBytes, headerBytes + helloNonceBytes)
  const sealed = bytes.subarray(headerBytes + helloNonceBytes)
  const body = sessions.cryptography.open(keys.receive, nonce, bytes.subarray(0, headerBytes), sealed)
  if (body === undefined) return dropped("forged")
  const hello = parseHello(body)
  if (hello.kind === "error") return dropped("malformed")
  return acceptHello(sessions, peer, arrival, hello.value)
}

/** Of a hello no newer than the latest: it was not taken yet. */
function isOvertaken({ hellosSeen, recentHellos }: Session, counter: number): boolean {
  return counter > hellosSeen - hellosKept && !isRemembered(recentHellos, counter)
}

function helloAgain({ recentHellos }: Session, { header, bytes, link }: Arrival): Received {
  return takeCopy(recentHellos, header.counter, bytes, link) ? { kind: "old-hello" } : dropped("replayed")
}

/** A node that speaks version 1 alone knows of no longer hello than its own. */
function longestHello({ versions }: Sessions): number {
  return versions.max === silentRange.max ? helloBodyBytes.plain : helloBodyBytes.max
}

/** The hello is genuine; when it was made is still open. */
function acceptHello(sessions: Sessions, peer: Peer, arrival: Arrival, hello: Hello): Received {
  const { header, bytes, link } = arrival
  if (commonVersion(sessions.versions, hello.versions) === undefined) return dropped("version")
  const known = sessionOf(peer, header.senderIncarnation)
  const isSameStart = known !== undefined && sameBytes(known.nonce, hello.nonce)
  // One incarnation, two nonces: a node that forgot how often it had started. It must start again, higher.
  if (known !== undefined && known === peer.proven && !isSameStart) return dropped("stale-incarnation")
  const isOld = isSameStart && header.counter <= known.hellosSeen
  if (isOld && !isOvertaken(known, header.counter)) return helloAgain(known, arrival)

  const session = isSameStart ? known : newSession(header.senderIncarnation, hello.nonce)
  rememberFrame(session.recentHellos, header.counter, bytes, link)
  if (isOld) return { kind: "old-hello" }
  session.hellosSeen = header.counter
  if (hello.versions.max > session.versions.max) session.versions = hello.versions
  const isFresh = echoesUs(sessions, hello)
  const isNew = isFresh && session !== peer.proven
  if (isNew) prove(peer, session)
  // The latest heard is echoed: a recording can take this place only until the peer itself is heard again.
  else peer.heard = session === peer.proven ? undefined : session
  return {
    kind: "hello-accepted",
    from: peer.id,
    incarnation: session.incarnation,
    established: session === peer.proven,
    replyWanted: !(isFresh && hello.echo?.standing === "proven") || missedRange(sessions, session, hello),
    newIncarnation: isNew,
  }
}

/** A plain hello from a node that knows of versions: it has not heard yet that this one does too. */
function missedRange({ versions }: Sessions, session: Session, hello: Hello): boolean {
  const plain = silentRange.max
  return hello.versions.max === plain && session.versions.max > plain && versions.max > plain
}

function echoesUs(sessions: Sessions, hello: Hello): boolean {
  return hello.echo !== undefined && sameBytes(hello.echo.nonce, sessions.nonce)
}

function receiveFrame(
  sessions: Sessions,
  peer: Peer,
  header: DatagramHeader,
  bytes: Uint8Array,
  link: number,
): Received {
  if (header.receiverIncarnation !== sessions.incarnation) return dropped("stale-incarnation")
  if (isFormer(peer, header.senderIncarnation)) return dropped("stale-incarnation")
  const session = sessionOf(peer, header.senderIncarnation)
  if (session === undefined) return dropped("no-session")
  if (isReplayed(session.framesSeen, header.counter)) {
    const isCopy = takeCopy(session.recent, header.counter, bytes, link)
    return isCopy ? { kind: "copy", from: peer.id } : dropped("replayed")
  }
  const keys = sessionKeys(sessions, peer, session, header.keyId)
  if (keys === undefined) return dropped("unknown-key")
  const clear = bytes.subarray(0, headerBytes)
  const body = sessions.cryptography.open(keys.receive, frameNonce(clear), clear, bytes.subarray(headerBytes))
  if (body === undefined) return dropped("forged")

  markSeen(session.framesSeen, header.counter)
  rememberFrame(session.recent, header.counter, bytes, link)
  const isNew = session !== peer.proven
  if (isNew) prove(peer, session)
  const frame = decodeFrame(body)
  if (frame.kind === "error") return dropped("malformed")
  return {
    kind: "frame",
    from: peer.id,
    incarnation: session.incarnation,
    counter: header.counter,
    newIncarnation: isNew,
    frame: frame.value,
  }
}

/** Only with proof that this start of the peer knows the nonce of our present one. */
function prove(peer: Peer, session: Session): void {
  assert(!isFormer(peer, session.incarnation), "incarnations only rise")
  assert(session.incarnation !== peer.proven?.incarnation, "one start has one session")
  peer.proven = session
  peer.heard = undefined
}

function isFormer(peer: Peer, value: Incarnation): boolean {
  return peer.proven !== undefined && value < peer.proven.incarnation
}

function sessionOf(peer: Peer, value: Incarnation): Session | undefined {
  if (peer.proven?.incarnation === value) return peer.proven
  return peer.heard?.incarnation === value ? peer.heard : undefined
}

function headerFor(
  sessions: Sessions,
  kind: DatagramHeader["kind"],
  peer: Peer,
  receiverIncarnation: Incarnation,
  counter: number,
): Uint8Array {
  const header: DatagramHeader = {
    kind,
    keyId: sessions.keyRing.active,
    sender: sessions.self,
    receiver: peer.id,
    senderIncarnation: sessions.incarnation,
    receiverIncarnation,
    counter,
  }
  return encodeHeader(header, sessions.clusterTag)
}

/** Four zeros and the header's counter: a session's keys are its own, so no key seals two frames under one nonce. */
function frameNonce(header: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(12)
  for (let i = 24; i < headerBytes; i += 1) nonce[i - 20] = header[i] ?? 0
  return nonce
}

/** The beginning of this start's nonce, with the counter laid over it (as in TLS 1.3). */
function helloNonce(sessions: Sessions, header: Uint8Array): Uint8Array {
  return frameNonce(header).map((byte, i) => byte ^ (sessions.nonce[i] ?? 0))
}

function dropped(reason: DropReason): Received {
  return { kind: "dropped", reason }
}
