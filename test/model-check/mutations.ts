/**
 * Rules of the protocol, each switched off by patches of the source: exploration must find what breaks. `budget` and `depth` are
 * the least that show it.
 */
import type { Patch } from "../../node-agent/build.ts"
import { patch, takenOut } from "../support/taken-out.ts"
import type { ClusterName } from "./clusters.ts"
import type { Bounds, Budget } from "./explore.ts"

export interface Mutation {
  readonly rule: string
  readonly cluster: ClusterName
  readonly budget: Budget
  /** Quanta; 60 unless told. */
  readonly depth?: number
  /** Only these go wrong; otherwise all that can. */
  readonly only?: Partial<Pick<Bounds, "kinds" | "stands" | "cuts">>
  readonly patches: readonly Patch[]
}

const one: Budget = { packets: 0, disturbances: 1 }

export const mutations: readonly Mutation[] = [
  {
    rule: "[L7] a new view waits for what absent members may still do",
    cluster: "three nodes",
    budget: one,
    patches: takenOut.noWaitForAbsent,
  },
  {
    rule: "[L2] a ring lease counts from the first sending, not from the receipt of the token that proved it",
    cluster: "three nodes",
    budget: one,
    patches: takenOut.leaseFromReceipt,
  },
  {
    rule: "[L2] a retransmission moves no sending",
    cluster: "three nodes",
    budget: { packets: 1, disturbances: 1 },
    only: { kinds: ["cut"] },
    patches: takenOut.leaseFromRetransmission,
  },
  {
    rule: "[L1] a token handled before renews nothing",
    cluster: "three nodes",
    budget: one,
    patches: takenOut.duplicateTokenRenews,
  },
  {
    rule: "[Q1] what a holder counts as L others wait as L'",
    cluster: "three nodes",
    budget: one,
    patches: [
      patch(
        "node-agent/core/start.ts",
        "const leaseStretched = stretched(configuration.longest.lease, timings.rho)",
        "const leaseStretched = stretched(configuration.longest.lease, 0)",
      ),
    ],
  },
  {
    rule: "[V5] a minority does not speak",
    cluster: "three nodes",
    budget: one,
    patches: takenOut.minoritySpeaks,
  },
  {
    rule: "[S2] a takeover needs a proof for each absent node that may own the service",
    cluster: "three nodes",
    budget: one,
    patches: takenOut.noProofAtAll,
  },
  {
    rule: "[W10] a voice is rebound for a greater ring sequence only",
    cluster: "two nodes and witness",
    budget: one,
    patches: [
      patch(
        "worker/lease-rules.ts",
        "if (former && claim.ring.sequence > holder.ring.sequence) return",
        "if (claim.ring.sequence > 0) return",
      ),
    ],
  },
  {
    rule: "[W11] what another holds is granted only to who has waited its TTL' out",
    cluster: "two sites of one and witness",
    budget: one,
    patches: [
      ...takenOut.notWaitedOut,
      patch(
        "node-agent/core/mandate.ts",
        "if (state.otherSeen !== undefined)\n    return after(state.otherSeen,",
        "if (state.otherSeen === instant(-1))\n    return after(state.otherSeen,",
      ),
    ],
  },
  {
    rule: "[M4] a site does not pledge its vote twice",
    cluster: "two sites of one and witness",
    budget: { packets: 0, disturbances: 2 },
    only: { kinds: ["cut"] },
    patches: takenOut.pledgedTwice,
  },
  {
    rule: "[L5] who leaves a ring waits for what others may still do in it",
    cluster: "three nodes",
    budget: one,
    patches: [
      patch(
        "node-agent/core/debts.ts",
        "return { key, members, end: after(lastHandling, millis(leaseStretched)) }",
        "return { key, members, end: after(lastHandling, millis(0 * leaseStretched)) }",
      ),
    ],
  },
  {
    rule: "[L6] debts are handed on until they are over, not for one view",
    cluster: "three nodes, long lease",
    budget: { packets: 0, disturbances: 2 },
    only: { kinds: ["cut", "stand"], stands: [12], cuts: [["1>2", "2>1", "1>3", "3>1"]] },
    patches: [
      patch(
        "node-agent/core/debts.ts",
        "for (const debt of [...stillRunning(own, now), ...told]) {",
        "for (const debt of [...stillRunning(own, now).slice(-1), ...told.slice(-1)]) {",
      ),
    ],
  },
  {
    rule: "[V5] half of a site speaks with the witness only",
    cluster: "two nodes and witness",
    budget: one,
    patches: [
      patch(
        "protocol/votes.ts",
        'if (votes + layout.weight >= layout.majority) return { kind: "needs-witness" }',
        'if (votes + layout.weight >= layout.majority) return { kind: "majority-alone" }',
      ),
    ],
  },
  {
    rule: "[W12] a voice that is held is refused to others",
    cluster: "two nodes and witness",
    budget: one,
    patches: [
      patch(
        "worker/lease-rules.ts",
        'if (entry.grant === undefined) return { kind: "grant", rule: 1, epoch: next }',
        'if (entry.grant === undefined || epoch(entry.epoch) > 0) return { kind: "grant", rule: 1, epoch: next }',
      ),
    ],
  },
  {
    rule: "[M2] a mandate takes a majority of its voters",
    cluster: "two sites of one and witness",
    budget: one,
    patches: [
      patch(
        "protocol/votes.ts",
        "return majority(witnessVotes(config, length) ? length + 1 : length)",
        "return majority(0)",
      ),
    ],
  },
  {
    rule: "[Q1] between sites TTL' is waited, not TTL",
    cluster: "two sites of one and witness",
    budget: one,
    patches: [
      patch(
        "node-agent/core/pledges.ts",
        "return stretched(millis(Math.max(mandateTtl, node.config.timings.mandateTtl)), node.config.timings.rho)",
        "return stretched(millis(Math.max(mandateTtl, node.config.timings.mandateTtl)), 0)",
      ),
      patch(
        "node-agent/core/watch.ts",
        "if (waited < stretched(watch.lease.ttl, node.config.timings.rho)) return undefined",
        "if (waited < stretched(watch.lease.ttl, 0)) return undefined",
      ),
      patch(
        "worker/lease-rules.ts",
        "waited.waited >= stretched(entry.ttl, rho)",
        "waited.waited >= stretched(entry.ttl, 0 * rho)",
      ),
    ],
  },
  {
    rule: "[L3] a node that left a ring never handles its token again",
    cluster: "three nodes",
    budget: one,
    patches: takenOut.tokenAfterLeaving,
  },
  {
    rule: "[W2] every renewal writes",
    cluster: "two sites of one and witness",
    budget: one,
    patches: takenOut.renewalWithoutWrite,
  },
  {
    rule: "[W9] a lease of the witness counts from the first sending of its claim, not from the receipt of the grant",
    cluster: "two sites of one and witness",
    budget: { packets: 1, disturbances: 1 },
    only: { kinds: ["cut"], cuts: [["1>2", "2>1", "1>w", "w>1"]] },
    patches: takenOut.grantFromReceipt,
  },
  {
    rule: "[W10] a voice is rebound for a former member only",
    cluster: "two nodes and witness",
    budget: { packets: 0, disturbances: 3 },
    only: { kinds: ["cut", "crash", "start"], cuts: [["1>2", "2>1"]] },
    patches: takenOut.rebindForStranger,
  },
  {
    rule: "[M6] a voter pledges only for an epoch above every one it knows",
    cluster: "two sites of one and witness",
    budget: { packets: 0, disturbances: 2 },
    only: { kinds: ["cut"] },
    patches: takenOut.mandateEpochNotAbove,
  },
  {
    rule: "[VL8] a view that lost the voice and gets it back counts proofs from the new grant",
    cluster: "two halves and witness",
    budget: { packets: 0, disturbances: 2 },
    depth: 70,
    patches: takenOut.voiceBackUnnoticed,
  },
]
