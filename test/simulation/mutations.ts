/**
 * The safety rules, each taken out of the source by a patch. None ships: a patch is applied when the engine is bundled for
 * one run. A patch that no longer fits the source fails, so a list that fell behind is noticed.
 */
import type { Patch } from "../../node-agent/build.ts"
import type { LayoutName } from "../support/layouts.ts"
import { patch, takenOut } from "../support/taken-out.ts"
import type { ScheduleName } from "./schedules.ts"

export interface Mutation {
  readonly name: string
  /** What is so without it. */
  readonly rule: string
  readonly patches: readonly Patch[]
  /** Where it shows: random faults in a layout, or a schedule that chance would not draw. */
  readonly shown:
    | {
        readonly by: "seeds"
        readonly layout: LayoutName
        readonly from: number
        readonly faults: "basic" | "harsh"
      }
    | { readonly by: "schedule"; readonly schedule: ScheduleName }
    /** A whole cluster drawn by one seed, amid harsh faults. */
    | { readonly by: "drawn"; readonly seed: number }
}

const seeds = (layout: LayoutName, from = 1, faults: "basic" | "harsh" = "basic") =>
  ({ by: "seeds", layout, from, faults }) as const
const schedule = (name: ScheduleName) => ({ by: "schedule", schedule: name }) as const

export const mutations: readonly Mutation[] = [
  {
    name: "lease-from-receipt",
    rule: "[L2] a ring lease counts from the first sending, not from the receipt of the token that proved it",
    patches: takenOut.leaseFromReceipt,
    shown: seeds("1x3"),
  },
  {
    name: "lease-from-retransmission",
    rule: "[L2] a retransmission moves no first sending",
    patches: takenOut.leaseFromRetransmission,
    shown: seeds("1x3"),
  },
  {
    name: "duplicate-token-renews",
    rule: "[L1] a token handled before renews nothing",
    patches: takenOut.duplicateTokenRenews,
    shown: seeds("1x4-last-man-standing"),
  },
  {
    name: "token-after-leaving",
    rule: "[L3] a node that left a ring never handles its token again",
    patches: takenOut.tokenAfterLeaving,
    shown: seeds("1x3"),
  },
  {
    name: "no-wait-for-absent",
    rule: "[L7] a new view waits for what absent members may still do",
    patches: takenOut.noWaitForAbsent,
    shown: seeds("1x3"),
  },
  {
    name: "debts-of-one-view-only",
    rule: "[L6] debts are kept until their time is over, however many views come between",
    patches: [patch("node-agent/core/membership.ts", "      ...stillRunning(node.debts, turn.now),\n", "")],
    shown: schedule("two-views-in-a-row"),
  },
  {
    name: "acts-before-activation",
    rule: "[L7] before activateAt a view performs no act of voice",
    patches: [
      patch(
        "node-agent/core/rights.ts",
        "node.view.entitled && now >= node.view.activateAt",
        "node.view.entitled",
      ),
    ],
    shown: seeds("2x2"),
  },
  {
    name: "memo-skipped",
    rule: "[VL5] a view that needs the witness has a changed memo written",
    patches: [
      patch(
        "node-agent/core/memo.ts",
        'return node.view?.standing.kind === "needs-witness"',
        "return node.view === undefined",
      ),
      patch(
        "node-agent/core/voice.ts",
        "memo: view.memo.stored?.text === text ? undefined : { base, text }",
        "memo: text.length < base ? { base, text } : undefined",
      ),
    ],
    shown: schedule("forgotten-pledge"),
  },
  {
    name: "memo-spoken-before-written",
    rule: "[VL5] it is written first, and only then the view speaks",
    patches: [
      patch(
        "node-agent/core/memo.ts",
        "if (node.view?.memo.stored?.text === text) return true",
        "if (node.view?.memo.stored?.text === text || node.view?.memo.offered === text) return true",
      ),
    ],
    shown: schedule("unwritten-pledge"),
  },
  {
    name: "rebind-for-a-stranger",
    rule: "[W10] a voice is rebound only for a node that was a member of its ring",
    patches: takenOut.rebindForStranger,
    shown: seeds("1x2"),
  },
  {
    name: "rebind-for-a-lower-sequence",
    rule: "[W10] a voice is rebound only for a greater ring sequence",
    patches: [
      patch(
        "worker/lease-rules.ts",
        "if (former && claim.ring.sequence > holder.ring.sequence)",
        "if (former)",
      ),
    ],
    shown: schedule("delayed-claim"),
  },
  {
    name: "renewal-without-a-write",
    rule: "[W2] every renewal writes",
    patches: takenOut.renewalWithoutWrite,
    shown: seeds("2x1"),
  },
  {
    name: "retry-counts-anew",
    rule: "[W9] a grant counts from the first sending of the claim it names, whichever reply brings it",
    patches: [
      patch(
        "node-agent/core/witness.ts",
        "const sent = node.witness.sent.get(answer.claim.counter)\n      if (sent === undefined) return",
        "const sent = [...node.witness.sent.values()].at(-1)\n      if (sent === undefined) return",
      ),
    ],
    shown: schedule("lost-replies"),
  },
  {
    name: "acknowledged-seq-ignored",
    rule: "[W4] a renewal that does not carry the entry's tag raises nothing",
    patches: [
      patch(
        "worker/lease-rules.ts",
        "const raises = seen !== undefined && sameTag(seen, entry) && !sameClaim(grant.claim, id)",
        "const raises = !sameClaim(grant.claim, id)",
      ),
    ],
    shown: schedule("deaf-holder"),
  },
  {
    name: "object-clock-trusted",
    rule: "[W3] the object's clock ends nobody's lease",
    patches: [
      patch(
        "worker/lease-rules.ts",
        "  return waited !== undefined && sameTag(waited, entry) && waited.waited >= stretched(entry.ttl, rho)",
        "  const clock = Reflect.get(globalThis, 'objectClock')\n  return (waited === undefined || waited !== undefined) && rho > 0 && clock - (Reflect.get(entry, 'raisedAt') ?? 0) > entry.ttl",
      ),
      patch(
        "worker/arbiter.ts",
        "    seq: entry.seq + 1,\n    grant: { holder, claim: { node, incarnation, counter } },",
        "    seq: entry.seq + 1,\n    raisedAt: Reflect.get(globalThis, 'objectClock'),\n    grant: { holder, claim: { node, incarnation, counter } },",
      ),
      patch(
        "node-agent/simulation/witness.ts",
        "    const { state, answers } = arbitrate(\n      this.state,",
        "    Reflect.set(globalThis, 'objectClock', this.clock())\n    const { state, answers } = arbitrate(\n      this.state,",
      ),
    ],
    shown: schedule("object-clock"),
  },
  {
    name: "wait-of-the-claimants-ttl",
    rule: "[W11] who would take a lease waits for the ENTRY's ttl",
    patches: [
      patch(
        "node-agent/core/watch.ts",
        "if (waited < stretched(watch.lease.ttl, node.config.timings.rho)) return undefined",
        "if (waited < stretched(node.config.timings.voiceTtl, node.config.timings.rho)) return undefined",
      ),
      patch(
        "worker/lease-rules.ts",
        '  if (waitedOut(entry, claim.waited, rho)) return { kind: "grant", rule: 4, epoch: next }',
        '  if (waitedOut({ ...entry, ttl: claim.ttl }, claim.waited, rho)) return { kind: "grant", rule: 4, epoch: next }',
      ),
    ],
    shown: schedule("shorter-ttl"),
  },
  {
    name: "grant-from-receipt",
    rule: "[W9] a lease of the witness counts from the first sending of its claim, not from the receipt of the grant",
    patches: takenOut.grantFromReceipt,
    shown: seeds("2x2"),
  },
  {
    name: "not-waited-out",
    rule: "[W11] what another holds is granted only to who has waited its TTL' out",
    patches: takenOut.notWaitedOut,
    shown: seeds("2x2"),
  },
  {
    name: "pledged-twice",
    rule: "[M4] a site does not pledge its vote twice",
    patches: takenOut.pledgedTwice,
    shown: seeds("2x2", 4),
  },
  {
    name: "pledge-number-reused",
    rule: "[M5] a pledge to another site has a number greater than any before",
    patches: [
      patch(
        "node-agent/core/mandate.ts",
        "return renewed ? bound.number : Math.max(state.pledgeNumber + 1, firstNumber(node))",
        "return renewed ? bound.number : Math.max(state.pledgeNumber, 1)",
      ),
    ],
    shown: seeds("2x2", 1, "harsh"),
  },
  {
    name: "pledges-merged-by-the-earlier-end",
    rule: "[M5] of one pledge the latest end counts when views merge",
    patches: [
      patch(
        "node-agent/core/pledges.ts",
        "(known?.number === number && known.until >= until)",
        "(known?.number === number && known.until <= until)",
      ),
    ],
    shown: schedule("late-member"),
  },
  {
    name: "amnesia-forgotten",
    rule: "[M9] a node that lost its record counts for no pledge until the longest one is over",
    patches: [
      patch(
        "node-agent/core/mandate.ts",
        "view.voters.filter((member) => (view.amnesia.get(member) ?? now) <= now)",
        "view.members.filter((member) => (view.amnesia.get(member) ?? now) <= now || true)",
      ),
    ],
    shown: schedule("amnesiac-voter"),
  },
  {
    name: "mandate-epoch-not-above",
    rule: "[M6] a voter pledges only for an epoch above every one it knows",
    patches: takenOut.mandateEpochNotAbove,
    shown: seeds("2x2"),
  },
  {
    name: "one-way-link-counted",
    rule: "[R5] a link that works one way is down for both",
    patches: [
      patch(
        "node-agent/core/gather.ts",
        "(heardBy.get(a)?.has(b) ?? false) && (heardBy.get(b)?.has(a) ?? false)",
        "(heardBy.get(a)?.has(b) ?? false) || (heardBy.get(b)?.has(a) ?? false)",
      ),
    ],
    shown: schedule("one-way-link"),
  },
  {
    name: "lease-written-late",
    rule: "[H5] a lease file says until when, not for how long: a late write grants nothing",
    patches: [
      patch(
        "node-agent/simulation/services.ts",
        "until: trueTime(host, deadline)",
        "until: now + (deadline - (host.node?.steppedAt ?? deadline)) / host.rate",
      ),
    ],
    shown: seeds("1x3", 1, "harsh"),
  },
  {
    name: "no-proof-of-the-other-site",
    rule: "[S2] after the mandate came from another site every able node there needs a proof",
    patches: [
      patch(
        "node-agent/core/placement.ts",
        "if (!needsMandate(node, service.ticket) || proven || released) return []",
        "if (!needsMandate(node, service.ticket) || proven || released || !released) return []",
      ),
    ],
    shown: schedule("site-killed"),
  },
  {
    name: "no-proof-at-all",
    rule: "[S2] a takeover needs a proof for each absent node that may own the service",
    patches: takenOut.noProofAtAll,
    shown: seeds("1x3", 3),
  },
  {
    name: "minority-speaks",
    rule: "[V5] a minority does not speak",
    patches: takenOut.minoritySpeaks,
    shown: seeds("1x3"),
  },
  {
    name: "rights-kept-over-a-suspend",
    rule: "[L11] a node whose machine was suspended revokes all its rights first",
    patches: [
      patch(
        "node-agent/core/node.ts",
        "return onSuspended(turn, event.slept)",
        "return event.slept < 0 ? onSuspended(turn, event.slept) : undefined",
      ),
    ],
    shown: seeds("2x2", 1, "harsh"),
  },
  {
    name: "voice-back-unnoticed",
    rule: "[VL8] a view that lost the voice and gets it back counts proofs from the new grant",
    patches: takenOut.voiceBackUnnoticed,
    shown: schedule("voice-back"),
  },
  {
    name: "pinned-at-first-sight",
    rule: "[W6] a view that needs the witness does not pin the first object it meets",
    patches: [
      patch(
        "node-agent/core/pin.ts",
        'node.view?.standing.kind !== "majority-alone"',
        "node.view === undefined",
      ),
      patch("node-agent/core/pin.ts", "|| !hasVoice(node, turn.now)", ""),
    ],
    shown: schedule("first-contact"),
  },
  {
    name: "lost-record-votes",
    rule: "[V12] a node that lost its record has no vote",
    patches: [
      patch("node-agent/core/forgotten.ts", "if (forgetful.length === 0) return members", "return members"),
    ],
    shown: schedule("record-lost"),
  },
  {
    name: "whole-site-does-not-ask",
    rule: "[V12] a whole site of which no majority remembers asks the witness for what the others did",
    patches: [
      patch(
        "node-agent/core/forgotten.ts",
        "(layout) => layout.weight > 0 &&",
        "(layout) => layout.weight < 0 &&",
      ),
    ],
    shown: schedule("given-up-and-forgotten"),
  },
  {
    name: "set-back-not-seen",
    rule: "[W6] an object set back decides nothing that a node claims which saw what it forgot",
    patches: [
      patch(
        "worker/arbiter.ts",
        'if (submission.highest.some((seen) => isSetBack(state, seen))) return "set-back"',
        "",
      ),
      patch(
        "node-agent/core/pin.ts",
        "  if (sameTag(lease, watch) && watch.lease !== undefined && !sameHolder(lease.holder, watch.lease.holder))\n    return true\n",
        "",
      ),
    ],
    shown: schedule("witness-set-back"),
  },
]
