/** SPEC L5-L7: what may still be acted upon in rings that were left. */
import * as fc from "fast-check"
import { describe, expect, test } from "vitest"
import {
  activationInstant,
  type Debt,
  debtOfRing,
  mergeDebts,
  reportDebts,
  stillRunning,
} from "../../../node-agent/core/debts.ts"
import { millis } from "../../../protocol/units.ts"
import { at, ids } from "./node-builder.ts"

const debt = (key: string, end: number, members?: readonly number[]): Debt => ({
  key,
  members: members === undefined ? undefined : ids(...members),
  end: at(end),
})

test("[L5] the debt of a ring ends L' after the last handling, whenever it is left", () => {
  expect(debtOfRing("7.1.1", ids(1, 2), at(1000), millis(400.8))).toEqual(debt("7.1.1", 1400.8, [1, 2]))
})

test("[L6] [Q2] [L10] debts are told as what remains, those that are over not at all", () => {
  const debts = [debt("a", 1000, [1]), debt("b", 1500, [2]), debt("boot.1.1", 1700)]
  expect(reportDebts(debts, at(1000))).toEqual([
    { key: "b", members: ids(2), remaining: 500 },
    { key: "boot.1.1", members: undefined, remaining: 700 },
  ])
  expect(stillRunning(debts, at(1500))).toEqual([debt("boot.1.1", 1700)])
})

describe("merging", () => {
  const reported = (key: string, remaining: number, members?: readonly number[]) => ({
    key,
    members: members === undefined ? undefined : ids(...members),
    remaining: millis(remaining),
  })

  test("[L6] [Q3] reported durations count from their receipt", () => {
    expect(mergeDebts([], [reported("a", 300, [3])], at(1000))).toEqual([debt("a", 1300, [3])])
  })

  test("[L6] for one ring the earliest end counts, whoever tells it", () => {
    const own = [debt("a", 1200, [1, 2])]
    expect(mergeDebts(own, [reported("a", 300, [1, 2])], at(1000))).toEqual([debt("a", 1200, [1, 2])])
    expect(mergeDebts(own, [reported("a", 100, [1, 2])], at(1000))).toEqual([debt("a", 1100, [1, 2])])
  })

  test("[L6] all debts are taken over, those to present members too: a later view may be without them", () => {
    const merged = mergeDebts([debt("a", 1200, [1])], [reported("b", 50, [2]), reported("c", 900)], at(1000))
    expect(merged.map(({ key }) => key)).toEqual(["a", "b", "c"])
  })

  test("[L6] who departed is owed nothing, as soon as one member knows", () => {
    const merged = mergeDebts([debt("a", 1200, [1, 2, 3])], [reported("a", 300, [1, 2])], at(1000))
    expect(activationInstant(merged, ids(1, 2), at(1000))).toBe(1000)
  })

  test("[L6] own debts that are over are not revived, and order does not matter", () => {
    const debts = fc.array(
      fc.record({
        key: fc.constantFrom("a", "b", "c"),
        members: fc.constant(ids(1, 2)),
        remaining: fc.integer({ min: 1, max: 500 }).map(millis),
      }),
    )
    fc.assert(
      fc.property(debts, (reports) => {
        const ends = (list: typeof reports) =>
          new Map(mergeDebts([debt("old", 900, [1])], list, at(1000)).map(({ key, end }) => [key, end]))
        const there = ends(reports)
        expect(there.has("old")).toBe(false)
        expect(new Map([...ends([...reports].reverse())].sort())).toEqual(new Map([...there].sort()))
      }),
    )
  })
})

describe("activation", () => {
  test.each([
    { name: "no debts", debts: [], members: [1, 2], at: 1000 },
    { name: "all members are here", debts: [debt("a", 1400, [1, 2])], members: [1, 2], at: 1000 },
    { name: "one is absent", debts: [debt("a", 1400, [1, 2, 3])], members: [1, 2], at: 1400 },
    {
      name: "the latest end counts",
      debts: [debt("a", 1400, [3]), debt("b", 1300, [4])],
      members: [1],
      at: 1400,
    },
    { name: "a boot owes everybody", debts: [debt("boot.1.1", 1250)], members: [1, 2, 3], at: 1250 },
    { name: "over", debts: [debt("a", 1000, [3])], members: [1], at: 1000 },
  ])("[L7] $name", ({ debts, members, at: expected }) => {
    expect(activationInstant(debts, ids(...members), at(1000))).toBe(expected)
  })
})
