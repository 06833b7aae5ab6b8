import { describe, expect, it } from "vitest"
import { epoch, millis, nodeId, stretched } from "../../../protocol/units.ts"
import { entryOf, leaseSummaries, wantsArbitration } from "../../../worker/arbiter.ts"
import { emptyState, mandate, rules, submission, TestArbiter, tag, voice, waited } from "./arbiter-builder.ts"

const longEnough = stretched(millis(10_000), rules.rho)

describe("arbitration of rivals", () => {
  const bothHalves = (first: Parameters<typeof voice>[2], second: Parameters<typeof voice>[2]) => {
    const arbiter = new TestArbiter()
    arbiter.claim(4, voice([1, 2, 3, 4], 5))
    arbiter.together([
      submission(1, 1, [voice([1, 2], 6, first)]),
      submission(3, 1, [voice([3, 4], 6, second)]),
    ])
    return arbiter.holder("voice:a")
  }

  it("[W10] the owner of the service first, then votes, then the lowest id", () => {
    expect(bothHalves({ votes: 5 }, { votes: 2, ownsService: true })).toBe("3,4@6")
    expect(bothHalves({ votes: 2 }, { votes: 3 })).toBe("3,4@6")
    expect(bothHalves({}, {})).toBe("1,2@6")
  })

  it("[W10] the configured preference comes before the lowest id", () => {
    const arbiter = new TestArbiter({ ...emptyState, rules: { ...rules, preferredNodes: [nodeId(4)] } })
    arbiter.together([submission(1, 1, [voice([1, 2], 6)]), submission(3, 1, [voice([3, 4], 6)])])
    expect(arbiter.holder("voice:a")).toBe("3,4@6")
  })

  it("[W10] one wins for each lease and the other is told so, even where rule 3 would give it on", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, voice([1, 2, 3], 5))
    const [winner, loser] = arbiter.together([
      submission(1, 10, [voice([1, 2], 6)]),
      submission(2, 10, [voice([2], 7)]),
    ])
    expect(winner?.[0]).toMatchObject({ kind: "granted", ...tag(2, 2) })
    expect(loser?.[0]).toMatchObject({ kind: "refused", reason: "lost-arbitration", current: tag(2, 2) })
  })

  it("[W10] what wants arbitration: voices by rules 1 and 3; not renewals, rule 4, mandates or refusals", () => {
    const arbiter = new TestArbiter()
    const wants = (node: number, claim: Parameters<TestArbiter["claim"]>[1]) =>
      wantsArbitration(arbiter.state, submission(node, 99, [claim]))
    expect(wants(1, voice([1, 2], 5))).toBe(true)
    arbiter.claim(1, voice([1, 2], 5))
    expect(wants(2, voice([2], 6))).toBe(true)
    expect(wants(1, voice([1, 2], 5, { seen: tag(1, 1) }))).toBe(false)
    expect(wants(3, voice([3], 9, { waited: waited(tag(1, 1), longEnough) }))).toBe(false)
    expect(wants(3, voice([3], 9))).toBe(false)
    expect(wants(1, mandate("a", 1))).toBe(false)
  })
})

describe("what a reply tells", () => {
  it("[W11] all configured leases, also those never claimed", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, mandate("a", 3))
    const names = leaseSummaries(arbiter.state).map(({ name, epoch, seq }) => [name, epoch, seq])
    expect(names).toEqual([
      ["voice:a", 0, 0],
      ["voice:b", 0, 0],
      ["mandate:main", 3, 1],
      ["mandate:other", 0, 0],
    ])
  })

  it("[W1] a site that is taken out and put back finds its epoch as it was", () => {
    const arbiter = new TestArbiter()
    arbiter.claim(1, voice([1, 2], 5))
    const without = { ...arbiter.state, rules: { ...rules, sites: [], version: 2 } }
    expect(leaseSummaries(without).map(({ name }) => name)).toEqual(["mandate:main", "mandate:other"])
    const again = { ...without, rules: { ...rules, version: 3 } }
    expect(entryOf(again, "voice:a")).toMatchObject({ epoch: epoch(1), seq: 1 })
  })
})
