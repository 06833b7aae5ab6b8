/**
 * What a node knows of each of its links (SPEC LN): one path to one peer, both directions. Mutable, and assigned by
 * `links.ts` and `link-quality.ts` only: counters change with every datagram and must not be copied and fall behind.
 */
import type { NodeConfig } from "../../protocol/cluster.ts"
import type { LinkReport } from "../../protocol/frame.ts"
import { type Incarnation, type Instant, type Millis, millis, type NodeId } from "../../protocol/units.ts"

/** From well to ill. `quiet`: suspect for want of frames, too short to speak of; `alarming`: suspect beyond a critical threshold. */
export type LinkLevel = "up" | "quiet" | "suspect" | "alarming" | "down"

export const linkLevels: readonly LinkLevel[] = ["up", "quiet", "suspect", "alarming", "down"]

export interface Link {
  /** Sealed frames sent over it to this peer since this node started. */
  sent: number
  /** Genuine frames that came over it, copies included, since the peer started. */
  received: number
  heard: Instant | undefined
  /** Looks in a row at which nothing had come since the look before. */
  silent: number
  receivedAtLook: number
  /** The probe under way. */
  probe: { readonly id: number; readonly at: Instant } | undefined
  /** The latest round trips, and what they come to; undefined: not measured yet. */
  samples: readonly Millis[]
  rtt: Millis | undefined
  jitter: Millis
  /** What the peer had sent and this node had received when that was last compared; `undefined`: not yet. */
  compared: { readonly sent: number; readonly received: number } | undefined
  /** Frames of the peer that should have come, and those that did not, over the latest thousands. */
  expected: number
  lost: number
  /** What the peer makes of the frames that this node sends over it. */
  told: LinkReport | undefined
  /** By what came in alone: this is what the peer is told. */
  incoming: LinkLevel
  /** Both directions, damped: improvements count when they have lasted. */
  level: LinkLevel
  reason: string
  /** The level that people were last told of. */
  reported: LinkLevel
  /** Looks in a row that found it better than `level`. */
  better: number
  /** How often it came up only to go down again: the longer it has to prove itself. */
  relapses: number
  /** Since when `level` is what it is. */
  since: Instant
}

export interface PeerLinks {
  /** The start of the peer that the counters belong to. */
  incarnation: Incarnation | undefined
  /** Since when that start is heard; `undefined`: it has been in a view with this node, or was never heard. */
  newSince: Instant | undefined
  heard: Instant | undefined
  readonly links: readonly Link[]
}

export interface Links {
  readonly peers: Map<NodeId, PeerLinks>
  /** Looks come with the ring's beat; a step after `nextLook` looks, a timer of its own comes later. */
  nextLook: Instant
  looks: number
  /** Highest token number handled at the last look: silence counts only while the token goes round. */
  handled: number
  /** Whose turn it is to be probed: off the token's way, and on it. */
  turnOff: number
  turnOn: number
  nextId: number
}

export function createLinks(self: NodeConfig, others: readonly NodeConfig[], now: Instant): Links {
  const links = {
    peers: new Map(),
    nextLook: now,
    looks: 0,
    handled: 0,
    turnOff: 0,
    turnOn: 0,
    nextId: 1,
  }
  configureLinks(links, self, others, now)
  return links
}

/** The peers of another configuration: who stays keeps what was measured. */
export function configureLinks(
  { peers }: Links,
  self: NodeConfig,
  others: readonly NodeConfig[],
  now: Instant,
): void {
  for (const id of peers.keys()) if (!others.some((peer) => peer.id === id)) peers.delete(id)
  for (const peer of others) {
    if (peers.has(peer.id)) continue
    const links = peer.site === self.site ? Math.min(peer.links.length, self.links.length) : 1
    peers.set(peer.id, {
      incarnation: undefined,
      newSince: undefined,
      heard: undefined,
      links: Array.from({ length: links }, () => createLink(now)),
    })
  }
}

/** Nothing is known of it; it counts as up for events, so that only what goes wrong is told. */
function createLink(now: Instant): Link {
  return {
    sent: 0,
    received: 0,
    heard: undefined,
    silent: 0,
    receivedAtLook: 0,
    probe: undefined,
    samples: [],
    rtt: undefined,
    jitter: millis(0),
    compared: undefined,
    expected: 0,
    lost: 0,
    told: undefined,
    incoming: "up",
    level: "up",
    reason: "",
    reported: "up",
    better: 0,
    relapses: 0,
    since: now,
  }
}
