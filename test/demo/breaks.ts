/**
 * Safety rules that `--break` takes out of the program, as patches of its source: with any of them the demo must fail,
 * which shows that its checks can see what the rule is for. A patch that no longer fits the source fails the build.
 */
import type { Patch } from "../../node-agent/build.ts"

export interface Break {
  readonly name: string
  /** The rule, as SPEC.md numbers it, and what follows without it. */
  readonly explanation: string
  readonly patches: readonly Patch[]
}

export const breaks: readonly Break[] = [
  {
    name: "no-waiting-of-L",
    explanation:
      "[L7] a new view acts at once instead of waiting until what an absent member may still do in its old ring is over",
    patches: [
      {
        file: "node-agent/core/debts.ts",
        find: "if (owedToAbsent && debt.end > at) at = debt.end",
        replace: "",
      },
    ],
  },
  {
    name: "lease-from-receipt",
    explanation:
      "[W9] a lease of the witness counts from the receipt of its answer instead of the first sending of the claim",
    patches: [
      {
        file: "node-agent/core/witness.ts",
        find: "const until = after(sent.at, millis(",
        replace: "const until = after(turn.now, millis(",
      },
    ],
  },
  {
    name: "witness-grants-to-both",
    explanation:
      "[W11] a lease that another holds is claimed and granted without waiting until it was seen unchanged for its TTL'",
    patches: [
      {
        file: "node-agent/core/watch.ts",
        find: "if (waited < stretched(watch.lease.ttl, node.config.timings.rho)) return undefined",
        replace: "",
      },
      {
        file: "node-agent/core/mandate.ts",
        find: "if (state.otherSeen !== undefined)\n    return after(state.otherSeen,",
        replace: "if (state.otherSeen === instant(-1))\n    return after(state.otherSeen,",
      },
      {
        file: "worker/lease-rules.ts",
        find: "waited !== undefined && sameTag(waited, entry) && waited.waited >= stretched(entry.ttl, rho)",
        replace: "waited !== undefined",
      },
    ],
  },
]
