/**
 * What nodes say to each other, before it is bytes. `frames.ts` gives each kind its fixed binary layout; the core
 * works on these records only. Lists are bounded by `frameLimits`, a whole datagram by `datagramBytesMax`.
 */
import type { Incarnation, Millis, NodeId, RingId } from "./units.ts"

/** No datagram is longer, header and seal included: it fits every path without fragmentation (SPEC K1). */
export const datagramBytesMax = 1200

/** Header (32) and tag (16) taken off: what a sealed body may hold. */
export const bodyBytesMax = datagramBytesMax - 48

/** Ring links of one node. */
export const linksMax = 8

/** Everything: a share in millionths. */
export const lossMax = 1_000_000

/**
 * Bounds of every list. `...Bytes` of the four lists of a token count encoded bytes, each entry's own framing included
 * (`tokenLists` in `token-frame.ts` has the sizes, `fitting` takes what fits). With the token's 37 fixed bytes the four add up
 * to `bodyBytesMax` exactly (SPEC F4): no list can crowd out another, and none needs to ask how full the others are.
 */
export const frameLimits = {
  /** Members of one ring. */
  members: 32,
  /** Ordered messages on one token. */
  messages: 16,
  /** All ordered messages on one token, 10 bytes of framing each; the rest waits for the next visit (flow control). */
  messageBytes: 710,
  /** One ordered message's payload: alone it fills the messages' share. */
  payloadBytes: 700,
  rights: 20,
  /** 13 bytes and the name for each: `voice` and the three votes of two sites and a witness. More are told in turn. */
  rightBytes: 150,
  watches: 20,
  /** 19 bytes and the name for each: a voice and three tickets with short names. More are told in turn. */
  watchBytes: 130,
  health: 32,
  /** All health entries on one token, 3 bytes of framing each: the largest and a small one. More are told in turn. */
  healthBytes: 125,
  /** The name of a right or a lease: `vote:`, a ticket and a voter of 31 characters each. */
  nameBytes: 68,
  /** One site or relay text. */
  textBytes: 1000,
} as const

/**
 * An ordered message rides along with the token until it is back at its origin: by then every member has it.
 * `payload` is printable ASCII (JSON of `core/messages.ts`).
 */
export interface OrderedMessage {
  readonly seq: number
  readonly origin: NodeId
  readonly payload: string
}

/**
 * A right learnt by one member, told to the others as what remains of it (SPEC L8). `right` names it
 * (`voice`, `vote:<ticket>:<voter>`); the owner rewrites or removes its entry at each visit.
 */
export interface RightEntry {
  readonly owner: NodeId
  readonly right: string
  readonly epoch: number
  readonly remaining: Millis
}

/** The tag of a witness lease as its reader last saw it, spread so that all members watch it (SPEC W11). */
export interface WatchEntry {
  readonly owner: NodeId
  readonly name: string
  /** Identifies the witness object: first 8 hex digits of its incarnation id. */
  readonly witness: string
  readonly epoch: number
  readonly seq: number
}

/** What a member tells about itself; opaque to the ring, laid out in `health.ts`. */
export interface HealthSlot {
  readonly owner: NodeId
  readonly bytes: Uint8Array
}

export interface TokenFrame {
  readonly kind: "token"
  readonly ring: RingId
  /** Raised by one at every handling; a member handles only a number greater than any it has handled on this ring. */
  readonly number: number
  /** The last sequence number given to an ordered message on this ring. */
  readonly seq: number
  /** Every member has received, and stored where needed, all messages up to here (Totem's all-received-up-to). */
  readonly aru: number
  /** Who lowered `aru`; 0: nobody. */
  readonly aruBy: number
  readonly messages: readonly OrderedMessage[]
  readonly rights: readonly RightEntry[]
  readonly watches: readonly WatchEntry[]
  readonly health: readonly HealthSlot[]
}

/** The successor's answer to each token it gets, handled before or not. */
export interface TokenAckFrame {
  readonly kind: "token-ack"
  readonly ring: RingId
  readonly number: number
}

/** A member with something to say asks the representative to let the token go at once. */
export interface TokenWantedFrame {
  readonly kind: "token-wanted"
  readonly ring: RingId
}

/** "Are you there?": to the predecessor when the token is overdue, and to nodes off the ring. Answered with the same id. */
export interface ProbeFrame {
  readonly kind: "probe" | "probe-ack"
  readonly id: number
}

/**
 * "Does this link carry both ways, and how well?" Goes over one link alone and is answered over the same. With it each
 * side tells what it sent there and what it makes of the other's direction (SPEC LN).
 */
export interface LinkProbeFrame {
  readonly kind: "link-probe" | "link-answer"
  readonly id: number
  /** The link it is sent over, from 0: told apart from where it arrives, should two networks be one. */
  readonly link: number
  /** Frames that the sender has sent to the receiver over this link since it started, this one included. */
  readonly sent: number
  readonly report: LinkReport
}

/** What the sender of it measures of the frames that reach it over one link. */
export interface LinkReport {
  readonly state: LinkState
  /** Share of frames lost, in millionths. */
  readonly loss: number
  readonly jitter: Millis
}

export type LinkState = "up" | "suspect" | "down"

/** Goes to nodes off the ring with each probe and each answer: where its sender stands. */
export interface StandingFrame {
  readonly kind: "standing"
  /** Whom the sender reaches both ways, as far as it knows. */
  readonly reaches: readonly NodeId[]
  /** The members of its ring; empty while it gathers. */
  readonly ring: readonly NodeId[]
}

export interface Accusation {
  readonly by: NodeId
  readonly of: NodeId
}

/** Goes with a join where somebody was accused, so that everybody learns whether the two still hear each other. */
export interface EvidenceFrame {
  readonly kind: "evidence"
  /** Counts how often the sender began to gather: who echoes it has heard this or a later one. */
  readonly round: number
  /** The latest rounds that the sender has heard of. */
  readonly echoes: readonly Echo[]
  /** What it has heard of others' accusations. */
  readonly relayed: readonly Accusation[]
}

export interface Echo {
  readonly node: NodeId
  readonly round: number
}

export interface PeerIncarnation {
  readonly node: NodeId
  readonly incarnation: Incarnation
}

/** Gather: who hears whom, and the set the sender would form a ring with. */
export interface JoinFrame {
  readonly kind: "join"
  /** The highest ring sequence the sender has stored or seen. */
  readonly sequence: number
  /** Peers from which frames of their present incarnation arrive now, the sender included. */
  readonly hears: readonly PeerIncarnation[]
  /** Peers that did not acknowledge `misses` sendings in a row. */
  readonly accuses: readonly NodeId[]
  /** The set the sender would form a ring with, by what it knows now. */
  readonly proposal: readonly NodeId[]
  /** Runs at least one service: a tie between equal sets goes to owners. */
  readonly owner: boolean
  /** The configuration in use; undefined from a node of version 1, and to one. */
  readonly configuration?: ConfigurationMark | undefined
}

/** Names a configuration (SPEC LC6). */
export interface ConfigurationMark {
  readonly version: number
  /** The first 8 hex digits of its checksum. */
  readonly checksum: string
  /** It was ordered by a ring, not only read from the node's own file. */
  readonly confirmed: boolean
  /** The sender has lost its record since: it does not know whether a ring has ordered what its file says. */
  readonly forgot?: boolean
}

/** Goes round the agreed members once, each noting that it committed; back at the representative it starts the ring. */
export interface CommitFrame {
  readonly kind: "commit"
  readonly ring: RingId
  readonly members: readonly PeerIncarnation[]
  /** How many members have committed, in ring order from the representative. */
  readonly committed: number
}

export interface CommitAckFrame {
  readonly kind: "commit-ack"
  readonly ring: RingId
  readonly committed: number
}

/** Site to site: JSON of `core/site-messages.ts`, printable ASCII. */
export interface SiteFrame {
  readonly kind: "site"
  readonly text: string
}

export type Frame =
  | TokenFrame
  | TokenAckFrame
  | TokenWantedFrame
  | ProbeFrame
  | LinkProbeFrame
  | StandingFrame
  | EvidenceFrame
  | JoinFrame
  | CommitFrame
  | CommitAckFrame
  | SiteFrame

/** Why a datagram was dropped; each is counted. Cheap checks come before decryption. */
export type DropReason =
  | "too-short"
  | "too-long"
  | "not-ours"
  | "version"
  | "wrong-cluster"
  | "unknown-node"
  | "not-for-us"
  | "unknown-key"
  | "no-session"
  | "stale-incarnation"
  | "replayed"
  | "forged"
  | "malformed"
