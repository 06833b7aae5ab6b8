/**
 * Rules of the protocol, taken out of the source by patches: those that more than one kind of check must miss. Named after what is
 * so without the rule.
 */
import type { Patch } from "../../node-agent/build.ts"

export const patch = (file: string, find: string, replace: string): Patch => ({ file, find, replace })

export const takenOut = {
  voiceBackUnnoticed: [
    patch(
      "node-agent/core/witness.ts",
      "const isBack = !first && answer.epoch !== view.voice.epoch",
      "const isBack = !first && answer.epoch < 0",
    ),
  ],
  leaseFromReceipt: [
    patch(
      "node-agent/core/ring.ts",
      "ring.lease : after(previousSending, node.config.timings.lease)",
      "ring.lease : after(now, node.config.timings.lease)",
    ),
  ],
  leaseFromRetransmission: [
    patch(
      "node-agent/core/detector.ts",
      "node.ring = { ...ring, outstanding: { token, sendings: sendings + 1, nextAt: next } }",
      "node.ring = { ...ring, firstSent: now, outstanding: { token, sendings: sendings + 1, nextAt: next } }",
    ),
  ],
  duplicateTokenRenews: [
    patch("node-agent/core/ring.ts", "if (token.number <= ring.handled) return undefined", ""),
  ],
  tokenAfterLeaving: [
    patch(
      "node-agent/core/membership.ts",
      "  if (ring === undefined) return\n  node.ring = undefined\n",
      "  if (ring === undefined) return\n",
    ),
  ],
  noWaitForAbsent: [
    patch("node-agent/core/debts.ts", "if (owedToAbsent && debt.end > at) at = debt.end", ""),
  ],
  rebindForStranger: [
    patch(
      "worker/lease-rules.ts",
      "if (former && claim.ring.sequence > holder.ring.sequence)",
      "if (claim.ring.sequence > holder.ring.sequence)",
    ),
  ],
  renewalWithoutWrite: [
    patch(
      "worker/arbiter.ts",
      "  return { state: { ...state, leases: { ...state.leases, [name]: next } }, answer: answerOf(next, verdict) }",
      '  const written = verdict.kind === "renew" ? state.leases : { ...state.leases, [name]: next }\n  return { state: { ...state, leases: written }, answer: answerOf(next, verdict) }',
    ),
  ],
  grantFromReceipt: [
    patch(
      "node-agent/core/witness.ts",
      "const until = after(sent.at, millis(",
      "const until = after(turn.now, millis(",
    ),
  ],
  notWaitedOut: [
    patch(
      "node-agent/core/watch.ts",
      "if (waited < stretched(watch.lease.ttl, node.config.timings.rho)) return undefined",
      "",
    ),
    patch(
      "worker/lease-rules.ts",
      "waited !== undefined && sameTag(waited, entry) && waited.waited >= stretched(entry.ttl, rho)",
      "waited !== undefined",
    ),
  ],
  pledgedTwice: [
    patch(
      "node-agent/core/pledges.ts",
      "return state.pledge !== undefined && state.pledge.until > now ? state.pledge : undefined",
      "return undefined",
    ),
  ],
  mandateEpochNotAbove: [
    patch(
      "node-agent/core/mandate.ts",
      'return isRenewal || request.epoch > highest ? undefined : "epoch-too-low"',
      "return undefined",
    ),
    patch("node-agent/core/mandate.ts", "epoch(state.heardEpoch + 1)", "epoch(Math.max(1, state.epoch))"),
    patch(
      "worker/lease-rules.ts",
      'return claim.epoch > entry.epoch ? { kind: "grant", rule, epoch: claim.epoch } : refuse("epoch-too-low")',
      'return claim.epoch > 0 ? { kind: "grant", rule, epoch: claim.epoch } : refuse("epoch-too-low")',
    ),
  ],
  noProofAtAll: [
    patch(
      "node-agent/core/placement.ts",
      "if (suspects.length === 0) return",
      "if (suspects.length >= 0) return",
    ),
  ],
  minoritySpeaks: [
    patch("protocol/votes.ts", "if (votes >= layout.majority) return", "if (votes >= 1) return"),
  ],
} satisfies Readonly<Record<string, readonly Patch[]>>
