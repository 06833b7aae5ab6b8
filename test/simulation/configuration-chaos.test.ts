/**
 * Live changes of the configuration amid faults: nodes are added and removed, votes, policies and timings change, at random
 * instants and at random nodes, while machines are killed, frozen, cut off and forget. What no fault may break is
 * checked after each step by an oracle in true time (I1 to I4), and once the faults stop the service becomes active (P1).
 * `SEEDS=200 FIRST=1000` runs more and others.
 */
import { describe, expect, test } from "vitest"
import { runChaos } from "../../node-agent/simulation/chaos.ts"
import { readDocument } from "../../node-agent/simulation/documents.ts"
import { changesOf, changingLayouts } from "../support/changing.ts"
import { accepted, parse } from "../support/config-builder.ts"

const count = Number(process.env.SEEDS ?? 2)
const first = Number(process.env.FIRST ?? 1)
const seeds = Array.from({ length: count }, (_, index) => first + index)
let activated = 0

describe.each(Object.keys(changingLayouts))("[LC4] [I1] [I2] [I3] [I4] [P1] %s", (layout) => {
  test.each(seeds)("seed %i", (seed) => {
    const plain = changingLayouts[layout] ?? {}
    const changes = changesOf(seed, plain)
    const { violations, stuck } = runChaos({
      config: accepted(parse(plain)),
      seed,
      faults: 60,
      world: { readConfiguration: readDocument },
      alongside: (world) => changes.perhaps(world),
    })
    activated += Math.max(0, changes.activated - 1)
    expect({ layout, seed, violations, stuck }).toEqual({ layout, seed, violations: [], stuck: undefined })
  })
})

test("[LC5] changes came through amid all that", () => {
  expect(activated).toBeGreaterThan(seeds.length)
})
