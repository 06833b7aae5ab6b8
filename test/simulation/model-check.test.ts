/**
 * The model checker within small bounds: all of what may go wrong once, on each small cluster with the clocks that are worst. Nothing is
 * violated; with one rule of the protocol switched off something is. `npm run model-check` goes further.
 */
import { describe, expect, test } from "vitest"
import {
  type ClusterName,
  clusters,
  faultsOf,
  formed,
  rateVectors,
  standard,
} from "../model-check/clusters.ts"
import { type Budget, explore } from "../model-check/explore.ts"
import { exploreMutation } from "../model-check/mutated.ts"
import { mutations } from "../model-check/mutations.ts"

const oneDisturbance: Budget = { packets: 0, disturbances: 1 }
const onePacket: Budget = { packets: 1, disturbances: 0 }
/** 3 s where a site is taken over after its mandate's TTL', 2 s where a node is after its lease: and what comes after it. */
const depths: Readonly<Record<ClusterName, number>> = {
  "two nodes and witness": 40,
  "three nodes": 40,
  "three nodes, long lease": 60,
  "two sites of one and witness": 60,
  "two halves and witness": 70,
}

describe("[I1] [I2] [I3] [I4] [L4] nothing is violated", () => {
  test.each<[ClusterName, Budget, number]>([
    ["two nodes and witness", oneDisturbance, 10],
    ["two nodes and witness", onePacket, 0],
    ["three nodes", oneDisturbance, 10],
    ["three nodes", onePacket, 0],
    ["two sites of one and witness", oneDisturbance, 5],
    ["two sites of one and witness", onePacket, 0],
    ["two halves and witness", { packets: 0, disturbances: 2 }, 10],
  ])("%s, %j: whole takeovers included", { timeout: 120_000 }, (name, budget, takeoversMin) => {
    const [rates = []] = rateVectors(name)
    const depth = depths[name]
    const found = explore(formed(name, rates), { ...standard, ...faultsOf(name), depth, budget })
    console.log(
      `${name}: ${found.states} states, ${found.transitions} transitions, ${found.takeovers} takeovers`,
    )
    expect(found).toMatchObject({ violation: undefined, stopped: undefined, depth })
    expect(found.takeovers).toBeGreaterThanOrEqual(takeoversMin)
    expect(found.states).toBeGreaterThan(1000)
  })
})

describe("a rule that is switched off is missed", () => {
  const quick = mutations.filter(({ budget }) => budget.packets + budget.disturbances === 1)

  test("by more than eight mutations", () => {
    expect(quick.length).toBeGreaterThan(8)
  })

  test.each(quick)("$rule", { timeout: 120_000 }, async (mutation) => {
    const { violation } = await exploreMutation(mutation)
    expect(violation?.what).toMatch(/^(I1|I2|I3|I4|L4|no end of events)\b/)
  })
})

test("clocks further apart than rho break what holds within it", () => {
  const start = formed("three nodes", [0.8, 1.2, 1.2])
  const bounds = { ...standard, depth: 40, budget: oneDisturbance, cuts: clusters["three nodes"].cuts }
  expect(explore(start, bounds).violation?.what).toMatch(/^(I1|I2|L4) /)
})
