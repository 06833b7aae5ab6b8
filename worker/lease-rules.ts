/**
 * One claim against one lease entry (SPEC W8 to W12, here rules 1 to 5). Pure: no clock, no storage, no chance. Durations are
 * compared only with what a claimant says that it waited on its OWN monotonic clock.
 *
 *   entry      claim by                                     verdict
 *   vacant     anyone entitled                              grant, epoch + 1             rule 1
 *   held       the holder, with the entry's tag             renew                        rule 2
 *   held       the holder, with an older tag, or a retry    repeat: nothing is raised    rule 2, W4
 *   voice      a former member, greater ring sequence       grant, epoch + 1             rule 3
 *   held       one that waited TTL' of the entry's TTL      grant, epoch + 1             rule 4
 *   held       anyone else                                  refuse, with the reason      rule 5
 *
 * The epoch of a mandate is the claimed one, if it is higher than the stored one.
 */

import { assert, never } from "../protocol/assert.ts"
import type {
  ClaimId,
  LeaseClaim,
  LeaseHolder,
  LeaseName,
  LeaseTag,
  Memo,
  RefusalReason,
  Waited,
} from "../protocol/lease.ts"
import { memoBytesMax, sameTag } from "../protocol/lease.ts"
import type { Epoch, Millis, NodeId } from "../protocol/units.ts"
import { epoch, sameRing, stretched } from "../protocol/units.ts"

export interface Grant {
  readonly holder: LeaseHolder
  /** The claim that raised `seq`: the holder's deadline is ITS first sending + TTL (SPEC W9). */
  readonly claim: ClaimId
}

/** One lease. Entries are never removed and never fall: not with the configuration, not with a release (W1). */
export interface LeaseEntry extends LeaseTag {
  readonly name: LeaseName
  /** `undefined`: vacant or released. */
  readonly grant: Grant | undefined
  readonly ttl: Millis
  readonly memo: Memo
  readonly releasedEpoch: Epoch
}

export type Verdict =
  | { readonly kind: "grant"; readonly rule: 1 | 3 | 4; readonly epoch: Epoch }
  | { readonly kind: "renew" }
  /** The entry's grant is told again to its holder. */
  | { readonly kind: "repeat" }
  | { readonly kind: "release" }
  /** The release of an epoch that is over already: told again. */
  | { readonly kind: "released-before" }
  | { readonly kind: "refuse"; readonly reason: RefusalReason }

export type ClaimOf<Kind extends LeaseClaim["kind"]> = Extract<LeaseClaim, { kind: Kind }>

export const refuse = (reason: RefusalReason): Verdict => ({ kind: "refuse", reason })

/** What a claim does to its entry. The claimant is known to be entitled: node and site are checked before. */
export function judgeClaim(entry: LeaseEntry, id: ClaimId, claim: LeaseClaim, rho: number): Verdict {
  switch (claim.kind) {
    case "voice":
      return judgeVoice(entry, id, claim, rho)
    case "mandate":
      return judgeMandate(entry, id, claim, rho)
    case "release":
      return judgeRelease(entry, id.node, claim)
    default:
      return never(claim)
  }
}

function judgeVoice(entry: LeaseEntry, id: ClaimId, claim: ClaimOf<"voice">, rho: number): Verdict {
  if (claim.memo !== undefined && utf8Length(claim.memo.text) > memoBytesMax) return refuse("memo-too-large")
  const next = epoch(entry.epoch + 1)
  if (entry.grant === undefined) return { kind: "grant", rule: 1, epoch: next }
  const { holder } = entry.grant
  assert(holder.kind === "view", "a voice is held by a view")
  const former = holder.members.includes(id.node)
  if (sameRing(holder.ring, claim.ring)) {
    return former ? judgeRenewal(entry, entry.grant, id, claim.seen) : refuse("not-entitled")
  }
  if (former && claim.ring.sequence > holder.ring.sequence) return { kind: "grant", rule: 3, epoch: next }
  if (waitedOut(entry, claim.waited, rho)) return { kind: "grant", rule: 4, epoch: next }
  if (claim.waited !== undefined) return refuse("not-waited")
  return refuse(former ? "ring-sequence-not-greater" : "no-former-member")
}

function judgeMandate(entry: LeaseEntry, id: ClaimId, claim: ClaimOf<"mandate">, rho: number): Verdict {
  if (entry.grant === undefined) return grantMandate(entry, claim, 1)
  const { holder } = entry.grant
  assert(holder.kind === "site", "a mandate is held by a site")
  if (holder.site === claim.site && claim.epoch === entry.epoch) {
    return judgeRenewal(entry, entry.grant, id, claim.seen)
  }
  if (waitedOut(entry, claim.waited, rho)) return grantMandate(entry, claim, 4)
  return refuse(claim.waited === undefined ? "held-by-other" : "not-waited")
}

function grantMandate(entry: LeaseEntry, claim: ClaimOf<"mandate">, rule: 1 | 4): Verdict {
  return claim.epoch > entry.epoch ? { kind: "grant", rule, epoch: claim.epoch } : refuse("epoch-too-low")
}

/** W4: only a claim that saw the entry as it stands raises it. A retry is the claim that raised it: told again. */
function judgeRenewal(entry: LeaseEntry, grant: Grant, id: ClaimId, seen: LeaseTag | undefined): Verdict {
  const raises = seen !== undefined && sameTag(seen, entry) && !sameClaim(grant.claim, id)
  return { kind: raises ? "renew" : "repeat" }
}

/** A release names the epoch it ends, so that a delayed one ends nothing that came later. */
function judgeRelease(entry: LeaseEntry, signer: NodeId, { by, epoch: ended }: ClaimOf<"release">): Verdict {
  if (ended !== entry.epoch) return refuse("epoch-mismatch")
  if (entry.grant === undefined) return ended > 0 ? { kind: "released-before" } : refuse("not-the-holder")
  const { holder } = entry.grant
  if (by.kind === "site") {
    assert(holder.kind === "site", "a mandate is held by a site")
    return holder.site === by.site ? { kind: "release" } : refuse("not-the-holder")
  }
  assert(holder.kind === "view", "a voice is held by a view")
  if (!holder.members.includes(signer)) return refuse("no-former-member")
  if (sameRing(holder.ring, by.ring)) return { kind: "release" }
  if (!by.majorityAlone) return refuse("not-the-holder")
  return by.ring.sequence > holder.ring.sequence ? { kind: "release" } : refuse("ring-sequence-not-greater")
}

/** Rule 4: this very tag was seen unchanged for TTL' of the ENTRY's TTL on the claimant's own clock. */
function waitedOut(entry: LeaseEntry, waited: Waited | undefined, rho: number): boolean {
  return waited !== undefined && sameTag(waited, entry) && waited.waited >= stretched(entry.ttl, rho)
}

function sameClaim(a: ClaimId, b: ClaimId): boolean {
  return a.node === b.node && a.incarnation === b.incarnation && a.counter === b.counter
}

/** Bytes of a text in UTF-8; a lone surrogate counts as the three bytes of its replacement. */
function utf8Length(text: string): number {
  let bytes = 0
  for (const character of text) bytes += utf8LengthOf(character.codePointAt(0) ?? 0)
  return bytes
}

function utf8LengthOf(point: number): number {
  if (point < 0x80) return 1
  if (point < 0x800) return 2
  return point < 0x1_0000 ? 3 : 4
}
