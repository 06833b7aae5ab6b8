/**
 * What a node remembers of its sealed sessions (`session.ts`), and the keys that belong to them. Bounded by the
 * configured peers: two starts a peer, two ring keys a start.
 */
import { toHex } from "../../protocol/bytes.ts"
import type { Incarnation, NodeId } from "../../protocol/units.ts"
import { silentRange, type VersionRange } from "../../protocol/version.ts"
import type { Cryptography, SealingKey } from "./cryptography.ts"
import { createRecentFrames, type RecentFrames } from "./recent-frames.ts"
import { createReplayWindow, type ReplayWindow } from "./replay-window.ts"

/** Which ring keys are valid: two while a rotation is under way (SPEC K). */
export interface KeyRing {
  /** Seals what we send. One of `accepted`. */
  readonly active: number
  readonly accepted: readonly number[]
}

/** Mutable, and assigned by `session.ts` only: counters and windows must not be copied and fall behind. */
export interface Sessions {
  readonly cluster: string
  readonly clusterTag: Uint8Array
  readonly self: NodeId
  readonly incarnation: Incarnation
  readonly nonce: Uint8Array
  readonly versions: VersionRange
  readonly cryptography: Cryptography
  keyRing: KeyRing
  readonly peers: Map<NodeId, Peer>
}

export interface Peer {
  readonly id: NodeId
  /** A peer that left the configuration stays here, unheard: its counters go on if it returns. */
  configured: boolean
  /** Of all our hellos to it since we started: tells copies on several links from new ones. */
  hellosSent: number
  /** By ring key id, as derived. */
  helloKeys: Map<number, DirectionKeys>
  /** The start of the peer that has shown that it hears us. Frames go to it and come from it. */
  proven: Session | undefined
  /** A higher start that was heard and has proved nothing: the latest one. */
  heard: Session | undefined
}

export interface Session {
  readonly incarnation: Incarnation
  readonly nonce: Uint8Array
  /** The highest counter of a hello of this start. */
  hellosSeen: number
  framesSent: number
  readonly framesSeen: ReplayWindow
  /** What this start of the peer speaks, as the hello that said most told it. */
  versions: VersionRange
  readonly recent: RecentFrames
  readonly recentHellos: RecentFrames
  /** By ring key id, as derived. */
  keys: Map<number, DirectionKeys>
}

interface DirectionKeys {
  readonly send: SealingKey
  readonly receive: SealingKey
}

const framesKept = 64
/** A few go out in a row at most: one of each form, and an answer. */
export const hellosKept = 4

export function unheardPeer(id: NodeId): Peer {
  return { id, configured: true, hellosSent: 0, helloKeys: new Map(), proven: undefined, heard: undefined }
}

export function newSession(value: Incarnation, nonce: Uint8Array): Session {
  return {
    incarnation: value,
    nonce,
    hellosSeen: 0,
    framesSent: 0,
    framesSeen: createReplayWindow(),
    versions: silentRange,
    recent: createRecentFrames(framesKept),
    recentHellos: createRecentFrames(hellosKept),
    keys: new Map(),
  }
}

/** What is remembered, without the keys and what makes them: they are derived again when they are needed. */
export function withoutKeys(sessions: Sessions): Omit<Sessions, "cryptography"> {
  const { cryptography: _, ...rest } = sessions
  const bare = (session: Session | undefined) =>
    session === undefined ? undefined : { ...session, keys: new Map() }
  const peers = [...sessions.peers].map(([id, peer]): [NodeId, Peer] => [
    id,
    { ...peer, helloKeys: new Map(), proven: bare(peer.proven), heard: bare(peer.heard) },
  ])
  return { ...rest, peers: new Map(peers) }
}

export function configuredPeer(sessions: Sessions, id: NodeId): Peer | undefined {
  const peer = sessions.peers.get(id)
  return peer?.configured === true ? peer : undefined
}

export function helloKeys(sessions: Sessions, peer: Peer, keyId: number): DirectionKeys | undefined {
  const known = peer.helloKeys.get(keyId)
  return known ?? derived(sessions, peer.helloKeys, keyId, "hello", `${sessions.self}`, `${peer.id}`)
}

export function sessionKeys(
  sessions: Sessions,
  peer: Peer,
  session: Session,
  keyId: number,
): DirectionKeys | undefined {
  const known = session.keys.get(keyId)
  if (known !== undefined) return known
  const us = `${sessions.self}.${sessions.incarnation}.${toHex(sessions.nonce)}`
  const them = `${peer.id}.${session.incarnation}.${toHex(session.nonce)}`
  return derived(sessions, session.keys, keyId, "session", us, them)
}

/** Into `cache`: a key names its purpose, both ends in the order of the direction, and last the cluster. */
function derived(
  sessions: Sessions,
  cache: Map<number, DirectionKeys>,
  keyId: number,
  purpose: "hello" | "session",
  us: string,
  them: string,
): DirectionKeys | undefined {
  const { cryptography, cluster } = sessions
  const send = cryptography.deriveKey(keyId, `quorumbeat 1|${purpose}|${us}|${them}|${cluster}`)
  const receive = cryptography.deriveKey(keyId, `quorumbeat 1|${purpose}|${them}|${us}|${cluster}`)
  if (send === undefined || receive === undefined) return undefined
  const keys = { send, receive }
  cache.set(keyId, keys)
  return keys
}
