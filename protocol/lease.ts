/**
 * Leases at the witness: what a node claims and what the witness answers (SPEC W). The arbiter decides on these
 * records, the nodes build and read them; how they are signed and carried is `summaries.ts`.
 */
import {
  type Epoch,
  type Incarnation,
  type Millis,
  type NodeId,
  type RingId,
  type SiteId,
  sameRing,
  type Ticket,
} from "./units.ts"

/** `voice:<site>` or `mandate:<ticket>`. */
export type LeaseName = `voice:${string}` | `mandate:${string}`

export const voiceLease = (site: SiteId): LeaseName => `voice:${site}`
export const mandateLease = (ticket: Ticket): LeaseName => `mandate:${ticket}`

/** A voice is held by a view (its ring and members), a mandate by a site. */
export type LeaseHolder =
  | { readonly kind: "view"; readonly ring: RingId; readonly members: readonly NodeId[] }
  | { readonly kind: "site"; readonly site: SiteId }

export function sameHolder(a: LeaseHolder | undefined, b: LeaseHolder | undefined): boolean {
  if (a?.kind === "view") return b?.kind === "view" && sameRing(a.ring, b.ring)
  return a?.kind === b?.kind && a?.site === (b?.kind === "site" ? b.site : undefined)
}

/** Orders all states of one lease: every grant raises `epoch` and `seq`, every renewal `seq`. */
export interface LeaseTag {
  readonly epoch: Epoch
  readonly seq: number
}

export const sameTag = (a: LeaseTag, b: LeaseTag): boolean => a.epoch === b.epoch && a.seq === b.seq

export const isOlderTag = (a: LeaseTag, than: LeaseTag): boolean =>
  a.epoch < than.epoch || (a.epoch === than.epoch && a.seq < than.seq)

/** What every reply of the witness tells about each lease, so that whoever may ever want it is already watching it. */
export interface LeaseSummary extends LeaseTag {
  readonly name: LeaseName
  /** `undefined`: vacant or released. */
  readonly holder: LeaseHolder | undefined
  /** The entry's own duration: what a claimant waits is counted from this one, never from the claimant's (SPEC W11). */
  readonly ttl: Millis
  /** The highest epoch whose holder released it after proof that all owners had stopped; 0: none. */
  readonly releasedEpoch: Epoch
}

/** Opaque to the witness; at most `memoBytesMax` bytes. `version` rises by one with each write (compare-and-set). */
export interface Memo {
  readonly version: number
  readonly text: string
}

/** 16 KB: pledges, owners and operator settings of one site with as many services as a cluster may have (SPEC VL4). */
export const memoBytesMax = 16_384

/** Proof of waiting (SPEC W11): this node saw `seen` unchanged for `waited` on its own monotonic clock. */
export interface Waited extends LeaseTag {
  readonly waited: Millis
}

/** One claim. Its identity is (node, incarnation, counter) of the document that carries it, and its `name`. */
export type LeaseClaim =
  | {
      readonly kind: "voice"
      readonly name: LeaseName
      readonly ring: RingId
      /** The claiming view; the node that signs is one of them. */
      readonly members: readonly NodeId[]
      readonly votes: number
      /** Runs the site's services now: preferred when rival claims meet (policy, never safety). */
      readonly ownsService: boolean
      readonly ttl: Millis
      /** The tag last seen for this lease; `undefined` if none was ever seen. */
      readonly seen: LeaseTag | undefined
      readonly waited: Waited | undefined
      /** Written if `base` is still the stored version; otherwise the stored memo comes back unchanged. */
      readonly memo: { readonly base: number; readonly text: string } | undefined
    }
  | {
      readonly kind: "mandate"
      readonly name: LeaseName
      readonly site: SiteId
      /** Named by the claimant: above every epoch that a majority of the voters reported. */
      readonly epoch: Epoch
      readonly ttl: Millis
      readonly seen: LeaseTag | undefined
      readonly waited: Waited | undefined
    }
  | {
      /** Gives a lease up. Voice: by a view that reaches the majority alone and has a former member of the holder in it
       * (`members` has the signer, `ring` a greater sequence), or by the holder. Mandate: by the holding site. */
      readonly kind: "release"
      readonly name: LeaseName
      readonly epoch: Epoch
      readonly by:
        | {
            readonly kind: "view"
            readonly ring: RingId
            readonly members: readonly NodeId[]
            readonly majorityAlone: boolean
          }
        | { readonly kind: "site"; readonly site: SiteId }
      /** All owners are proved to have stopped (mandate): recorded as `releasedEpoch`. */
      readonly stopped: boolean
    }

/** Names the claim that raised an entry's `seq`: the holder counts from ITS first sending (SPEC W9). */
export interface ClaimId {
  readonly node: NodeId
  readonly incarnation: Incarnation
  readonly counter: number
}

export type RefusalReason =
  | "held-by-other"
  | "not-waited"
  | "ring-sequence-not-greater"
  | "no-former-member"
  | "epoch-too-low"
  | "epoch-mismatch"
  | "not-the-holder"
  | "lost-arbitration"
  | "unknown-lease"
  | "memo-too-large"
  | "counter-not-rising"
  | "challenge-mismatch"
  | "configuration-older"
  | "configuration-newer"
  | "set-back"
  | "not-entitled"

export type LeaseAnswer =
  | {
      /** `granted`: new holder, epoch raised. `renewed`: same holder, seq raised. `repeated`: nothing raised, the entry's grant told again. */
      readonly kind: "granted" | "renewed" | "repeated"
      readonly name: LeaseName
      readonly epoch: Epoch
      readonly seq: number
      readonly ttl: Millis
      /** The claim that raised `seq`. */
      readonly claim: ClaimId
      readonly memo: Memo | undefined
    }
  | { readonly kind: "released"; readonly name: LeaseName; readonly epoch: Epoch; readonly seq: number }
  | {
      readonly kind: "refused"
      readonly name: LeaseName
      readonly reason: RefusalReason
      /** The entry as it stands: whom it belongs to and the tag to watch. `undefined` for an unknown lease. */
      readonly current: LeaseSummary | undefined
    }
