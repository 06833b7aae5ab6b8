/**
 * Many seeds of random faults in every layout: what no fault may break is checked after each step (I1-I4, and that no
 * deadline is beyond its proof), and once the faults stop the service becomes active (P1). `SEEDS=200 FIRST=1000` runs
 * more and others; a seed that fails is printed with what broke.
 */
import { describe, expect, test } from "vitest"
import { runChaos } from "../../node-agent/simulation/chaos.ts"
import { service } from "../support/config-builder.ts"
import { configOf, layoutNames, selfLease } from "../support/layouts.ts"

const count = Number(process.env.SEEDS ?? 5)
const first = Number(process.env.FIRST ?? 1)
const seeds = Array.from({ length: count }, (_, index) => first + index)

describe.each(layoutNames)("[I1] [I2] [I3] [I4] [P1] %s", (layout) => {
  test.each(seeds)("seed %i", (seed) => {
    const { violations, stuck } = runChaos({ config: configOf(layout), seed })
    expect({ layout, seed, violations, stuck }).toEqual({ layout, seed, violations: [], stuck: undefined })
  })
})

describe("other services and timings", () => {
  const operator = [service("ledger", { proof: "operator" })]
  const tickets = [
    { name: "a", sites: ["north", "south"] },
    { name: "b", sites: ["south", "north"] },
  ]
  const both = [
    service("ledger", { ...selfLease, ticket: "a" }),
    service("billing", { ...selfLease, ticket: "b" }),
  ]
  const variants = [
    // What only an operator can vouch for may stay blocked: nothing is said about progress.
    { what: "[S5] an operator's proof", layout: "1x3", config: { service: operator }, until: "violation" },
    { what: "[S5] an operator's proof", layout: "2x2", config: { service: operator }, until: "violation" },
    { what: "two tickets", layout: "2x2", config: { ticket: tickets, service: both }, until: "recovery" },
    { what: "profile energy", layout: "1x3", config: { profile: "energy" }, until: "recovery" },
    { what: "profile relaxed", layout: "2x2", config: { profile: "relaxed" }, until: "recovery" },
  ] as const
  const few = seeds.slice(0, Math.ceil(seeds.length / 2))
  test.each(variants.flatMap((variant) => few.map((seed) => ({ ...variant, seed }))))(
    "$what, $layout, seed $seed",
    ({ what, layout, seed, config, until }) => {
      const { violations, stuck } = runChaos({ config: configOf(layout, config), seed, until })
      expect({ what, layout, seed, violations, stuck }).toEqual({
        what,
        layout,
        seed,
        violations: [],
        stuck: undefined,
      })
    },
  )
})

/** Once failed, never again. */
const named = [
  { layout: "1x2", seed: 111, why: "a departed coordinator asked to be woken without end" },
  { layout: "1x2", seed: 220, why: "adopting a memo set the voice epoch back" },
  { layout: "1x4", seed: 110, why: "a coordinator waited for what a departed node could not do any more" },
] as const

test.each(named)("$layout seed $seed: $why", ({ layout, seed }) => {
  const { violations, stuck } = runChaos({ config: configOf(layout), seed })
  expect({ violations, stuck }).toEqual({ violations: [], stuck: undefined })
})
