/** SPEC M1, M6, M10: when a site claims, at which epoch, and when it stands back. */
import { describe, expect, test } from "vitest"
import { driveMandates, wantsToClaim } from "../../../node-agent/core/mandate.ts"
import { onSiteFrame } from "../../../node-agent/core/sites.ts"
import { countVote } from "../../../node-agent/core/spoken.ts"
import type { NodeState, TicketState } from "../../../node-agent/core/state.ts"
import { epoch, nodeId, siteId } from "../../../protocol/units.ts"
import { configOf } from "../../support/layouts.ts"
import { at, main, nodeInView, pendingOf, ticketOf, turnAt } from "./node-builder.ts"

const config = configOf("2x2")

/** North's coordinator, the first choice for the ticket; the other site was heard at `heard`, the witness at 1000. */
function claimant(ticket: Partial<TicketState> = {}, heard: number | "never" = 19_900): NodeState {
  const node = nodeInView(config, [1, 2])
  if (node.ring !== undefined) node.ring = { ...node.ring, lease: at(1_000_000) }
  node.tickets = new Map([[main, { ...ticketOf(node), ...ticket }]])
  const south = node.sites.get(siteId("south"))
  if (south !== undefined && heard !== "never")
    node.sites = new Map([[siteId("south"), { ...south, heard: at(heard) }]])
  return node
}

const wants = (node: NodeState, now = 20_000) => wantsToClaim(turnAt(node, now), ticketOf(node))

const held = (until: number): Partial<TicketState> => ({
  epoch: epoch(2),
  heardEpoch: epoch(2),
  votes: new Map([
    ["north", { epoch: epoch(2), until: at(until), own: true }],
    ["south", { epoch: epoch(2), until: at(until), own: true }],
  ]),
})

describe("worth a claim", () => {
  test.each<{ what: string; node: () => NodeState; expected: boolean }>([
    { what: "vacant, the other site in reach", node: () => claimant(), expected: true },
    {
      what: "neither the other site nor the witness in reach",
      node: () => claimant({}, "never"),
      expected: false,
    },
    { what: "held: always renewed", node: () => claimant(held(25_000), "never"), expected: true },
    {
      what: "another holder seen just now",
      node: () => claimant({ otherSeen: at(19_900) }),
      expected: false,
    },
    {
      what: "another holder not seen for long",
      node: () => claimant({ otherSeen: at(10_000) }),
      expected: true,
    },
    { what: "just given up", node: () => claimant({ holdOff: at(20_001) }), expected: false },
    {
      what: "its vote is bound to the other",
      node: () =>
        claimant({ pledge: { site: siteId("south"), number: 1, epoch: epoch(1), until: at(20_001) } }),
      expected: false,
    },
  ])("[M10] $what: $expected", ({ node, expected }) => expect(wants(node())).toBe(expected))

  test.each([
    { what: "to itself, which holds", bound: [[0, 1, 500]], holds: true, expected: false },
    { what: "to itself, which claims as well", bound: [[0, 1, 500]], expected: true },
    { what: "to the claimant", bound: [[0, 0, 500]], expected: true },
    { what: "for a ticket that is not known", bound: [[7, 1, 500]], expected: true },
    { what: "not, as far as an older version says", bound: undefined, expected: true },
  ])(
    "[M10] a voter that says that it is bound $what: $expected",
    ({ bound: told, holds = false, expected }) => {
      const node = claimant()
      const tickets = [{ ticket: main, epoch: 1, held: holds }]
      const heartbeat = { kind: "heartbeat", site: "south", checksum: "", members: [], tickets }
      onSiteFrame(turnAt(node, 19_900), nodeId(3), JSON.stringify({ ...heartbeat, bound: told }))
      expect(wants(node)).toBe(expected)
    },
  )

  test("[O4] not while an operator has the ticket moved elsewhere, not even to renew", () => {
    const node = claimant(held(25_000))
    node.ordered = { ...node.ordered, moves: [{ ticket: main, site: siteId("south") }] }
    expect(wants(node)).toBe(false)
  })
})

describe("claiming", () => {
  const claimed = (node: NodeState, now = 20_000) => {
    driveMandates(turnAt(node, now))
    return ticketOf(node)
  }

  test("[M6] at an epoch above every one heard of; a renewal keeps its own", () => {
    expect(claimed(claimant({ heardEpoch: epoch(5) })).epoch).toBe(6)
    expect(claimed(claimant(held(25_000))).epoch).toBe(2)
  })

  test("[M12] every voter is asked each renewal, its own site by an ordered pledge", () => {
    const node = claimant()
    claimed(node)
    expect(pendingOf(node)).toMatchObject([{ kind: "pledge", site: "north", number: 7168, epoch: 1 }])
    expect([...ticketOf(node).requests.values()].map(({ voter }) => voter)).toEqual(["north", "south"])
    expect(claimed(node, 21_999).requests.size).toBe(2)
    expect(claimed(node, 22_000).requests.size).toBe(4)
  })

  test("[M2] a vote counts from the first sending of the request that it answers, and only for its epoch", () => {
    const node = claimant()
    claimed(node)
    const [id = 0] = [...ticketOf(node).requests].find(([, { voter }]) => voter === "south") ?? []
    countVote(turnAt(node, 24_000), main, id, 2)
    countVote(turnAt(node, 24_000), main, 999, 1)
    expect(ticketOf(node).votes.size).toBe(0)
    countVote(turnAt(node, 24_000), main, id, 1)
    expect(ticketOf(node).votes.get("south")).toEqual({ epoch: 1, until: 30_000, own: true })
  })

  test("[M6] refused as too low a claim begins again above; a refusal of an earlier one, come late, ends nothing", () => {
    const node = claimant({ heardEpoch: epoch(5) })
    claimed(node)
    const refused = (of: number) =>
      onSiteFrame(
        turnAt(node, 20_100),
        nodeId(3),
        JSON.stringify({
          ...{ kind: "pledge-answer", id: 1, ticket: main, granted: false, epoch: of, known: 6 },
          reason: "epoch-too-low",
        }),
      )
    refused(5)
    expect(ticketOf(node).epoch).toBe(6)
    refused(6)
    expect(ticketOf(node).epoch).toBe(0)
    expect(claimed(node, 20_100).epoch).toBe(7)
  })

  test("[M10] a claim in vain is given up after a while, its own vote free for others", () => {
    const node = claimant({ claimingSince: at(1000), epoch: epoch(3), heardEpoch: epoch(3) })
    claimed(node)
    expect(pendingOf(node)).toMatchObject([{ kind: "unpledge", site: "north", stopped: false }])
    expect(ticketOf(node).holdOff).toBeGreaterThan(20_000)
    expect(wants(node, 20_001)).toBe(false)
  })

  test("[R15] requests that may still be answered are bounded", () => {
    const node = claimant(held(1_000_000))
    for (let now = 20_000; now < 90_000; now += 2000) claimed(node, now)
    expect(ticketOf(node).requests.size).toBeLessThanOrEqual(25)
    expect(node.self.id).toBe(nodeId(1))
  })
})
