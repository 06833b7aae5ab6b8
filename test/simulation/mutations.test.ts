/**
 * The oracle has teeth: with one rule of the protocol taken out of the source, random faults break an invariant within
 * a few seeds. `from` is where looking begins, so that the suite does not pay for seeds that show nothing.
 */
import { expect, test } from "vitest"
import type { Patch } from "../../node-agent/build.ts"
import type * as chaos from "../../node-agent/simulation/chaos.ts"
import { configOf, type LayoutName } from "../support/layouts.ts"
import { importPatched } from "../support/patched.ts"

interface Mutation {
  readonly rule: string
  readonly layout: LayoutName
  readonly from: number
  readonly patches: readonly Patch[]
}

const mutations: readonly Mutation[] = [
  {
    rule: "[L7] a new view waits for what absent members may still do",
    layout: "1x3",
    from: 1,
    patches: [
      {
        file: "node-agent/core/debts.ts",
        find: "if (owedToAbsent && debt.end > at) at = debt.end",
        replace: "",
      },
    ],
  },
  {
    rule: "[L2] a ring lease counts from the first sending, not from the receipt of the token that proved it",
    layout: "1x3",
    from: 1,
    patches: [
      {
        file: "node-agent/core/ring.ts",
        find: "ring.lease : after(previousSending, node.config.timings.lease)",
        replace: "ring.lease : after(now, node.config.timings.lease)",
      },
    ],
  },
  {
    rule: "[L3] a token handled before renews nothing",
    layout: "1x4-last-man-standing",
    from: 1,
    patches: [
      {
        file: "node-agent/core/ring.ts",
        find: "if (token.number <= ring.handled) return undefined",
        replace: "",
      },
    ],
  },
  {
    rule: "[W2] a lease of the witness counts from the first sending of its claim, not from the receipt of the grant",
    layout: "2x2",
    from: 1,
    patches: [
      {
        file: "node-agent/core/witness.ts",
        find: "const until = after(sent.at, answer.ttl)",
        replace: "const until = after(turn.now, answer.ttl)",
      },
    ],
  },
  {
    rule: "[M4] a site does not pledge its vote twice",
    layout: "2x2",
    from: 4,
    patches: [
      {
        file: "node-agent/core/pledges.ts",
        find: "return state.pledge !== undefined && state.pledge.until > now ? state.pledge : undefined",
        replace: "return undefined",
      },
    ],
  },
  {
    rule: "[W4] what another holds is granted only to who has waited its TTL' out",
    layout: "2x2",
    from: 1,
    patches: [
      {
        file: "node-agent/core/watch.ts",
        find: "if (waited < stretched(watch.lease.ttl, node.config.timings.rho)) return undefined",
        replace: "",
      },
      {
        file: "worker/lease-rules.ts",
        find: "waited !== undefined && sameTag(waited, entry) && waited.waited >= stretched(entry.ttl, rho)",
        replace: "waited !== undefined",
      },
    ],
  },
  {
    rule: "[S3] a takeover needs a proof for each absent node that may own the service",
    layout: "1x3",
    from: 3,
    patches: [
      {
        file: "node-agent/core/placement.ts",
        find: "if (suspects.length === 0) return",
        replace: "if (suspects.length >= 0) return",
      },
    ],
  },
  {
    rule: "[V1] a minority does not speak",
    layout: "1x3",
    from: 1,
    patches: [
      {
        file: "protocol/votes.ts",
        find: "if (votes >= layout.majority) return",
        replace: "if (votes >= 1) return",
      },
    ],
  },
]

const seedsAtMost = 12

test.each(mutations)("without `$rule` an invariant breaks", async ({ layout, from, patches }) => {
  const { runChaos } = (await importPatched("node-agent/simulation/chaos.ts", patches)) as typeof chaos
  const broken = Array.from({ length: seedsAtMost }, (_, index) => from + index).find(
    (seed) => runChaos({ config: configOf(layout), seed, until: "violation" }).violations.length > 0,
  )
  expect(broken, `no violation in ${seedsAtMost} seeds from ${from}`).toBeDefined()
})

test("[Q1] clocks whose rates are off by far more than rho break an invariant: rho is needed, and it is enough", async () => {
  const { runChaos } = await import("../../node-agent/simulation/chaos.ts")
  const seeds = Array.from({ length: seedsAtMost }, (_, index) => index + 1)
  const violated = (rateError: number) =>
    seeds.some(
      (seed) =>
        runChaos({ config: configOf("1x3"), seed, until: "violation", world: { rateError } }).violations
          .length > 0,
    )
  expect(violated(0.3)).toBe(true)
})
