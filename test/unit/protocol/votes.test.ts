/** SPEC V: vote arithmetic, exhaustively for small sites and by random layouts for large ones. */
import * as fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { SplitPolicy } from "../../../protocol/cluster.ts"
import { type NodeId, nodeId, siteId, ticketName } from "../../../protocol/units.ts"
import {
  expectedVotes,
  majority,
  mandateMajority,
  mandateVoters,
  rivalQuorums,
  siteLayout,
  type VoteLayout,
  type VotingConfig,
  viewStanding,
  votesOf,
  witnessWeight,
} from "../../../protocol/votes.ts"
import { accepted, errorsOf, key, node, oneSite, parse, twoSites } from "../../support/config-builder.ts"

const north = siteId("north")

interface Layout {
  readonly votes: readonly number[]
  readonly policy: SplitPolicy
  readonly witness: boolean
  /** Index of the tie-breaker. */
  readonly tieBreaker?: number | undefined
}

function parseLayout({ votes, policy, witness, tieBreaker }: Layout) {
  return parse({
    ...oneSite(0, { policy, ...(tieBreaker === undefined ? {} : { tie_breaker: `n${tieBreaker + 1}` }) }),
    node: votes.map((each, index) => node(index + 1, "north", { votes: each })),
    ...(witness ? { witness: { url: "https://w.example.net", public_key: key(1000) } } : {}),
  })
}

const config = (layout: Layout): VotingConfig => accepted(parseLayout(layout))
const ones = (count: number) => new Array<number>(count).fill(1)
const first = (count: number) => Array.from({ length: count }, (_, index) => nodeId(index + 1))

/** The standing of the first k nodes of a site of equal ones, for k = 0..n: `A`lone, with `W`itness, `-` minority. */
function standings(layout: Layout): string {
  const letters = { "majority-alone": "A", "needs-witness": "W", minority: "-" } as const
  return [0, ...layout.votes.keys()]
    .map((_, k) => letters[viewStanding(config(layout), north, first(k)).kind])
    .join("")
}

describe("weights and majorities", () => {
  test.each([1, 2, 3, 4, 5, 6, 7])("[V1] without a witness its weight is 0 (%i votes)", (votes) => {
    expect(witnessWeight(votes, "split", false)).toBe(0)
    expect(witnessWeight(votes, "last-man-standing", false)).toBe(0)
  })

  test("[V2] under split it is 0 for an odd number of votes and 1 for an even one", () => {
    expect([1, 2, 3, 4, 5, 6, 7].map((votes) => witnessWeight(votes, "split", true))).toEqual([
      0, 1, 0, 1, 0, 1, 0,
    ])
  })

  test("[V3] under last-man-standing it is one less than the votes of all nodes, even or odd", () => {
    const weights = [1, 2, 3, 4, 5, 6, 7].map((votes) => witnessWeight(votes, "last-man-standing", true))
    expect(weights).toEqual([0, 1, 2, 3, 4, 5, 6])
  })

  test("[V4] a majority is more than half of the expected votes", () => {
    expect([1, 2, 3, 4, 5, 6, 7, 8].map(majority)).toEqual([1, 2, 2, 3, 3, 4, 4, 5])
  })

  test("[V4] expected votes count all configured nodes, the witness's weight and the tie-breaker", () => {
    expect(expectedVotes(config({ votes: [1, 1], policy: "split", witness: true }), north)).toBe(3)
    expect(expectedVotes(config({ votes: [1, 1], policy: "split", witness: false }), north)).toBe(2)
    expect(
      expectedVotes(config({ votes: [1, 1], policy: "split", witness: false, tieBreaker: 0 }), north),
    ).toBe(3)
    expect(expectedVotes(config({ votes: [2, 3], policy: "last-man-standing", witness: true }), north)).toBe(
      9,
    )
  })

  test("[V11] members of other sites, unknown ones and repetitions count nothing", () => {
    const two = accepted(parse(twoSites()))
    const members = [nodeId(1), nodeId(1), nodeId(3), nodeId(4), nodeId(99)]
    expect(votesOf(two, north, members)).toBe(1)
    expect(viewStanding(two, north, members)).toEqual({ kind: "needs-witness" })
  })
})

describe("standing of the first k of n equal nodes, k = 0..n", () => {
  const split = { policy: "split", witness: true } as const
  const standing = { policy: "last-man-standing", witness: true } as const
  const alone = { policy: "split", witness: false } as const

  test.each([
    [1, "-A"],
    [2, "-WA"],
    [3, "--AA"],
    [4, "--WAA"],
    [5, "---AAA"],
    [6, "---WAAA"],
    [7, "----AAAA"],
  ])("[V5] split with a witness, n = %i: exactly half needs it", (n, expected) => {
    expect(standings({ votes: ones(n), ...split })).toBe(expected)
  })

  test.each([
    [1, "-A"],
    [2, "-WA"],
    [3, "-WWA"],
    [4, "-WWWA"],
    [5, "-WWWWA"],
    [6, "-WWWWWA"],
    [7, "-WWWWWWA"],
  ])("[V5] last-man-standing, n = %i: all alone, any number with the witness", (n, expected) => {
    expect(standings({ votes: ones(n), ...standing })).toBe(expected)
  })

  test.each([
    [1, "-A"],
    [2, "--A"],
    [3, "--AA"],
    [4, "---AA"],
    [5, "---AAA"],
    [6, "----AAA"],
    [7, "----AAAA"],
  ])("[V5] without a witness, n = %i: half is a minority", (n, expected) => {
    expect(standings({ votes: ones(n), ...alone })).toBe(expected)
  })

  test.each([
    [2, 0, "-AA"],
    [2, 1, "--A"],
    [4, 1, "--AAA"],
    [4, 2, "---AA"],
    [6, 2, "---AAAA"],
    [6, 3, "----AAA"],
  ])("[V7] tie-breaker, n = %i, the node at %i: its half goes on", (n, tieBreaker, expected) => {
    expect(standings({ votes: ones(n), ...alone, tieBreaker })).toBe(expected)
  })

  test("[V5] votes count, not nodes", () => {
    expect(standings({ votes: [3, 1, 1], ...alone })).toBe("-AAA")
    expect(standings({ votes: [1, 1, 4], ...split })).toBe("---A")
    expect(standings({ votes: [2, 1, 1], ...split })).toBe("-WAA")
    expect(standings({ votes: [2, 2, 1], ...standing })).toBe("-WWA")
  })
})

describe("exclusivity", () => {
  const policies = ["split", "last-man-standing"] as const

  /** Every way to give 1..3 votes to 1..6 nodes, both policies, with and without witness, every tie-breaker. */
  function* smallLayouts(): Generator<Layout> {
    for (let n = 1; n <= 6; n += 1) {
      for (let code = 0; code < 3 ** n; code += 1) {
        const votes = Array.from({ length: n }, (_, index) => 1 + (Math.floor(code / 3 ** index) % 3))
        for (const policy of policies) yield { votes, policy, witness: true }
        for (const tieBreaker of [undefined, ...votes.keys()]) {
          yield { votes, policy: "split", witness: false, tieBreaker }
        }
      }
    }
  }

  /** The two standings of every split of the site into two sets that speak without the witness choosing. */
  function rivalSplits(layout: VoteLayout): readonly number[] {
    const total = layout.voters.reduce((sum, voter) => sum + voter.votes, 0)
    return Array.from({ length: 2 ** layout.voters.length }, (_, bits) => bits).filter((bits) => {
      const votes = layout.voters.reduce((sum, voter, index) => sum + ((bits >> index) & 1) * voter.votes, 0)
      const others = total - votes
      return votes >= layout.majority && others > 0 && others + layout.weight >= layout.majority
    })
  }

  test("[V6] no accepted layout of up to 6 nodes has two disjoint sets that speak at once: every split tried", () => {
    let tried = 0
    for (const layout of smallLayouts()) {
      const parsed = parseLayout(layout)
      if (parsed.kind === "error") continue
      const computed = siteLayout(parsed.value, north)
      expect(rivalSplits(computed)).toEqual([])
      expect(rivalQuorums(computed)).toBeUndefined()
      tried += 1
    }
    expect(tried).toBeGreaterThan(2000)
  })

  const layouts: fc.Arbitrary<Layout> = fc
    .array(fc.integer({ min: 1, max: 16 }), { minLength: 1, maxLength: 30 })
    .chain((votes) =>
      fc.record({
        votes: fc.constant(votes),
        policy: fc.constantFrom(...policies),
        witness: fc.boolean(),
        tieBreaker: fc.option(fc.nat({ max: votes.length - 1 }), { nil: undefined }),
      }),
    )

  test("[V6] in a random accepted layout, of two disjoint views never one speaks alone while the other speaks too", () => {
    fc.assert(
      fc.property(
        layouts,
        fc.array(fc.constantFrom(0, 1, 2), { minLength: 30, maxLength: 30 }),
        (layout, sides) => {
          const parsed = parseLayout(layout)
          fc.pre(parsed.kind === "ok")
          const site = accepted(parsed)
          const view = (side: number) =>
            first(layout.votes.length).filter((_, index) => sides[index] === side)
          const kinds = [view(0), view(1)].map((members) => viewStanding(site, north, members).kind)
          const speaking = kinds.filter((kind) => kind !== "minority")
          expect(speaking.length < 2 || speaking.every((kind) => kind === "needs-witness")).toBe(true)
          expect(rivalQuorums(siteLayout(site, north))).toBeUndefined()
        },
      ),
    )
  })

  test("[V6] more members never speak less", () => {
    const rank = { minority: 0, "needs-witness": 1, "majority-alone": 2 } as const
    fc.assert(
      fc.property(
        layouts,
        fc.array(fc.boolean(), { minLength: 30, maxLength: 30 }),
        fc.nat(),
        (layout, chosen, pick) => {
          const parsed = parseLayout(layout)
          fc.pre(parsed.kind === "ok")
          const site = accepted(parsed)
          const fewer = first(layout.votes.length).filter((_, index) => chosen[index])
          const more: readonly NodeId[] = [...fewer, nodeId(1 + (pick % layout.votes.length))]
          const of = (members: readonly NodeId[]) => rank[viewStanding(site, north, members).kind]
          expect(of(more)).toBeGreaterThanOrEqual(of(fewer))
        },
      ),
    )
  })

  test("[V6] any numbers at all: two disjoint sets are named exactly when there are some", () => {
    const voters = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 9 })
    fc.assert(
      fc.property(voters, fc.nat({ max: 40 }), fc.integer({ min: 1, max: 60 }), (votes, weight, needed) => {
        const layout = {
          voters: votes.map((each, index) => ({ node: nodeId(index + 1), votes: each })),
          weight,
          majority: needed,
        }
        const rivals = rivalQuorums(layout)
        expect(rivals !== undefined).toBe(rivalSplits(layout).length > 0)
        if (rivals === undefined) return
        const sumOf = (nodes: readonly NodeId[]) => nodes.reduce((sum, id) => sum + (votes[id - 1] ?? 0), 0)
        expect(sumOf(rivals.alone)).toBeGreaterThanOrEqual(needed)
        expect(sumOf(rivals.rival) + weight).toBeGreaterThanOrEqual(needed)
        expect(new Set([...rivals.alone, ...rivals.rival]).size).toBe(votes.length)
      }),
    )
  })

  test("[V6] a layout with a majority that is none names both sets", () => {
    const voters = [1, 2, 3, 4].map((id) => ({ node: nodeId(id), votes: 1 }))
    expect(rivalQuorums({ voters, weight: 0, majority: 2 })).toEqual({ alone: [1, 2], rival: [3, 4] })
    expect(rivalQuorums({ voters, weight: 2, majority: 3 })).toEqual({ alone: [1, 2, 3], rival: [4] })
  })
})

describe("configuration of votes", () => {
  test.each([
    [{ votes: [1, 1], policy: "split", witness: true, tieBreaker: 0 }, "[V7] found beside a [witness] table"],
    [
      { votes: [1, 1, 1], policy: "split", witness: false, tieBreaker: 0 },
      "[V7] found at a site with 3 votes",
    ],
    [{ votes: [2, 1], policy: "split", witness: false, tieBreaker: 0 }, "[V7] found at a site with 3 votes"],
  ] as const)("[V7] a tie-breaker is refused in %j", (layout, message) => {
    const errors = errorsOf(parseLayout(layout))
    expect(errors).toEqual([{ path: ["site", 0, "tie_breaker"], message: expect.stringContaining(message) }])
  })

  test("[V7] a tie-breaker is a node of its site", () => {
    const two = twoSites()
    delete two.witness
    const plain = { ...two, site: [{ name: "north", tie_breaker: "n3" }, { name: "south" }] }
    expect(errorsOf(parse(plain))).toEqual([
      {
        path: ["site", 0, "tie_breaker"],
        message: '[V7] found "n3" of site south, expected a node of this site',
      },
    ])
  })

  test("[V8] last-man-standing is refused without a witness", () => {
    const errors = errorsOf(parseLayout({ votes: [1, 1], policy: "last-man-standing", witness: false }))
    expect(errors).toEqual([{ path: ["site", 0, "policy"], message: expect.stringContaining("[V8]") }])
  })
})

describe("mandates", () => {
  const sites = ["a", "b", "c", "d", "e"]
  const ticket = ticketName("main")

  function voting(count: number, witness: boolean) {
    return {
      tickets: [{ name: ticket, sites: sites.slice(0, count).map(siteId) }],
      witness: witness ? { url: "https://w.example.net", publicKey: key(1) } : undefined,
    }
  }

  test.each([
    [1, true, 1, 1],
    [2, true, 3, 2],
    [3, true, 3, 2],
    [4, true, 5, 3],
    [5, true, 5, 3],
    [1, false, 1, 1],
    [2, false, 2, 2],
    [3, false, 3, 2],
    [4, false, 4, 3],
    [5, false, 5, 3],
  ])("[V9] [V10] %i sites, witness %s: %i voters, a mandate takes %i", (count, witness, voters, needed) => {
    const votingConfig = voting(count, witness)
    expect(mandateVoters(votingConfig, ticket)).toHaveLength(voters)
    expect(mandateMajority(votingConfig, ticket)).toBe(needed)
    expect(2 * needed).toBeGreaterThan(voters)
  })

  test("[V9] the ticket's sites vote in order, the witness last", () => {
    expect(mandateVoters(voting(2, true), ticket)).toEqual([
      { kind: "site", site: "a" },
      { kind: "site", site: "b" },
      { kind: "witness" },
    ])
  })
})
