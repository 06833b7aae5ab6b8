/** SPEC M3-M9: a site's vote is bound to one site at a time, for TTL' from each member's latest delivery. */
import { describe, expect, test } from "vitest"
import { answerPledge } from "../../../node-agent/core/mandate.ts"
import type { Message } from "../../../node-agent/core/messages.ts"
import {
  adoptPledge,
  afterPledge,
  afterUnpledge,
  boundTo,
  mergeTickets,
  pledgeDuration,
  pledgeRecovered,
  storePledge,
} from "../../../node-agent/core/pledges.ts"
import type { NodeState } from "../../../node-agent/core/state.ts"
import { epoch, millis, nodeId, siteId } from "../../../protocol/units.ts"
import { configOf } from "../../support/layouts.ts"
import { at, freshState, main, nodeInView, pendingOf, startedNode, ticketOf, turnAt } from "./node-builder.ts"

const config = configOf("2x2")
const [north, south] = [siteId("north"), siteId("south")]
const ttl = (10_000 * 1.001) / 0.999

function pledge(site: string, number: number, of: number, from = 3): Message & { readonly kind: "pledge" } {
  const request = { node: nodeId(from), id: 1 }
  return { kind: "pledge", ticket: main, site: siteId(site), number, epoch: epoch(of), request }
}

const request = (site: string, of: number) => ({ id: 5, ticket: main, site: siteId(site), epoch: epoch(of) })

/** A coordinator with voice whose site's vote went to `site` at 1000. */
function bound(site: string, number = 1, of = 1): NodeState {
  const node = nodeInView(config, [1, 2])
  afterPledge(turnAt(node, 1000), nodeId(2), pledge(site, number, of))
  return node
}

const to = (node: NodeState, now: number) => boundTo(ticketOf(node), at(now))?.site

describe("bound", () => {
  test("[M4] until TTL' after the latest delivery", () => {
    const node = bound("south")
    expect(pledgeDuration(node)).toBe(ttl)
    expect(to(node, 1000 + ttl - 0.1)).toBe("south")
    expect(to(node, 1000 + ttl)).toBeUndefined()
    afterPledge(turnAt(node, 5000), nodeId(2), pledge("south", 1, 1))
    expect(to(node, 5000 + ttl - 0.1)).toBe("south")
  })

  test("[M4] a pledge to another site while bound is not spoken by its origin, should it ever be ordered", () => {
    const node = bound("south")
    afterPledge(turnAt(node, 2000), nodeId(1), pledge("north", 2, 2))
    expect(to(node, 2001)).toBe("south")
    expect(ticketOf(node).pledgeNumber).toBe(2)
  })

  test("[M5] a member goes by the number: the origin's clock has judged whether the site was free", () => {
    const node = bound("south")
    afterPledge(turnAt(node, 2000), nodeId(2), pledge("north", 2, 2))
    expect(to(node, 2001)).toBe("north")
  })

  test("[M5] one number names one pledge: another site under it is never believed", () => {
    const node = bound("south", 4, 2)
    pledgeRecovered(turnAt(node, 2000), pledge("north", 4, 3))
    expect(to(node, 2001)).toBe("south")
  })

  test("[M7] one that was received and not delivered binds all the same, and is written", () => {
    const node = nodeInView(config, [1, 2])
    pledgeRecovered(turnAt(node, 1000), pledge("south", 1, 1))
    expect(to(node, 1001)).toBe("south")
    expect(node.durable.state.pledges).toEqual([{ ticket: "main", site: "south", number: 1, epoch: 1 }])
  })
})

describe("asked for", () => {
  /** What is ordered or answered when `from` of `site` asks at `now`. */
  function asked(node: NodeState, site: string, of: number, now = 1200): string {
    if (node.ring !== undefined) node.ring = { ...node.ring, lease: at(now + 400) }
    answerPledge(turnAt(node, now), nodeId(site === "north" ? 1 : 3), request(site, of))
    const ordered = pendingOf(node).at(-1) as { readonly number: number; readonly epoch: number } | undefined
    return ordered === undefined ? "nothing" : `number ${ordered.number} epoch ${ordered.epoch}`
  }

  test.each([
    {
      what: "free",
      node: () => nodeInView(config, [1, 2]),
      site: "south",
      of: 1,
      now: 1200,
      expected: "number 7168 epoch 1",
    },
    {
      what: "bound to the same, renewed",
      node: () => bound("south", 4, 2),
      site: "south",
      of: 2,
      now: 1200,
      expected: "number 4 epoch 2",
    },
    {
      what: "bound to the same, a new epoch",
      node: () => bound("south", 4, 2),
      site: "south",
      of: 3,
      now: 1200,
      expected: "number 7168 epoch 3",
    },
    {
      what: "bound to another",
      node: () => bound("south", 4, 2),
      site: "north",
      of: 3,
      now: 1200,
      expected: "nothing",
    },
    {
      what: "bound to another until then",
      node: () => bound("south", 4, 2),
      site: "north",
      of: 3,
      now: 1000 + ttl,
      expected: "number 7168 epoch 3",
    },
    {
      what: "free, an epoch that was voted for",
      node: () => bound("south", 4, 2),
      site: "north",
      of: 2,
      now: 1000 + ttl,
      expected: "nothing",
    },
    {
      what: "free, a lower epoch",
      node: () => bound("south", 4, 2),
      site: "north",
      of: 1,
      now: 1000 + ttl,
      expected: "nothing",
    },
  ])("[M4] [M5] [M6] $what: $expected", ({ node, site, of, now, expected }) => {
    expect(asked(node(), site, of, now)).toBe(expected)
  })

  test("[M6] one to an older epoch, which a member that was away brings along, binds and is not renewed", () => {
    const node = bound("south", 4, 2)
    node.tickets = new Map([[main, { ...ticketOf(node), knownEpoch: epoch(3) }]])
    expect(asked(node, "south", 2)).toBe("nothing")
    expect(to(node, 1201)).toBe("south")
    expect(asked(node, "south", 4)).toBe("number 7168 epoch 4")
  })

  test("[M6] while one is ordered and not delivered, none to an older epoch comes after it", () => {
    const node = nodeInView(config, [1, 2])
    expect(asked(node, "south", 3)).toBe("number 7168 epoch 3")
    answerPledge(turnAt(node, 1201), nodeId(3), request("south", 2))
    expect(pendingOf(node)).toHaveLength(1)
    answerPledge(turnAt(node, 1202), nodeId(3), request("south", 3))
    expect(pendingOf(node)).toMatchObject([{ number: 7168 }, { number: 7168, epoch: 3 }])
  })

  test("[M6] what another site claimed in vain and gave up ends no vote that is renewed", () => {
    const node = bound("south", 4, 2)
    const inVain = {
      kind: "unpledge",
      ticket: main,
      site: north,
      epoch: epoch(5),
      stopped: false,
      next: undefined,
    } as const
    afterUnpledge(turnAt(node, 1100), inVain)
    expect(ticketOf(node)).toMatchObject({ knownEpoch: 2, heardEpoch: 5 })
    expect(asked(node, "south", 2)).toBe("number 4 epoch 2")
  })

  test("[M4] while one is ordered and not delivered, no other site gets one", () => {
    const node = nodeInView(config, [1, 2])
    expect(asked(node, "south", 1)).toBe("number 7168 epoch 1")
    answerPledge(turnAt(node, 1201), nodeId(1), request("north", 2))
    expect(pendingOf(node)).toHaveLength(1)
  })

  test("[VL1] without voice a site is silent", () => {
    const early = nodeInView(config, [1, 2], { activateAt: at(1300) })
    expect(asked(early, "south", 1, 1299)).toBe("nothing")
    expect(asked(early, "south", 1, 1300)).toBe("number 7168 epoch 1")
    expect(asked(nodeInView(config, [1]), "south", 1)).toBe("nothing")
  })

  test("[R15] only the coordinator answers", () => {
    expect(asked(nodeInView(config, [1, 2], { coordinator: nodeId(2) }), "south", 1)).toBe("nothing")
  })

  test("[M9] members that lost their record do not count until TTL' is over", () => {
    const forgetful = (until: number) =>
      nodeInView(config, [1, 2], { amnesia: new Map([[nodeId(2), at(until)]]) })
    expect(asked(forgetful(9000), "south", 1, 1200)).toBe("nothing")
    expect(asked(forgetful(1200), "south", 1, 1200)).toBe("number 7168 epoch 1")
  })
})

describe("durable", () => {
  test("[M3] a new pledge waits for its write, a renewal does not", () => {
    const node = nodeInView(config, [1, 2])
    const write = storePledge(turnAt(node, 1000), pledge("south", 1, 1))
    expect(write).toBe(node.durable.pledgeWrite)
    expect(storePledge(turnAt(node, 1001), pledge("south", 1, 1))).toBe(write)
    node.durable = { ...node.durable, written: write ?? 0 }
    expect(storePledge(turnAt(node, 1002), pledge("south", 1, 1))).toBeUndefined()
    expect(storePledge(turnAt(node, 1003), pledge("south", 2, 2))).toBeGreaterThan(write ?? 0)
  })

  test("[M9] a node that boots treats what is stored as renewed at that instant", () => {
    const state = freshState(config, 1)
    const stored = { ticket: main, site: south, number: 4, epoch: epoch(2) }
    const known = { ticket: main, epoch: epoch(2), pledgeNumber: 4, releasedEpoch: epoch(1) }
    const node = startedNode(config, 1, { ...state, pledges: [stored], tickets: [known], fresh: false })
    expect(ticketOf(node)).toMatchObject({
      pledgeNumber: 4,
      knownEpoch: 2,
      releasedEpoch: 1,
      pledge: { site: "south", until: ttl },
    })
  })

  test("[M9] without a record: amnesia for TTL'; with the marker of `init` the absence of pledges is knowledge", () => {
    expect(startedNode(config, 1, "lost").amnesiaUntil).toBe(ttl)
    expect(startedNode(config).amnesiaUntil).toBeUndefined()
  })
})

describe("merging", () => {
  test.each([
    { what: "a higher number", number: 5, remaining: 100, expected: { number: 5, until: 2100 } },
    { what: "a lower number", number: 3, remaining: 99_000, expected: { number: 4, until: 1000 + ttl } },
    {
      what: "the same number, a later end",
      number: 4,
      remaining: 20_000,
      expected: { number: 4, until: 22_000 },
    },
    {
      what: "the same number, an earlier end",
      number: 4,
      remaining: 10,
      expected: { number: 4, until: 1000 + ttl },
    },
  ])("[M5] of two pledges $what", ({ number, remaining, expected }) => {
    const node = bound("south", 4, 2)
    adoptPledge(turnAt(node, 2000), main, { site: south, number, epoch: epoch(2) }, millis(remaining))
    expect(ticketOf(node).pledge).toMatchObject(expected)
  })

  test("[L8] votes told while a view forms count from this node's own leaving, numbers and epochs by their highest", () => {
    const node = bound("north", 4, 2)
    const told = {
      ticket: main,
      knownEpoch: epoch(6),
      heardEpoch: epoch(7),
      pledgeNumber: 9,
      releasedEpoch: epoch(1),
      givenUp: epoch(0),
      epoch: epoch(2),
      pledge: null,
      votes: [{ voter: "south", epoch: epoch(2), remaining: millis(3000) }],
    }
    mergeTickets(turnAt(node, 2000), [{ tickets: [told] } as never], at(1500))
    const state = ticketOf(node)
    expect(state).toMatchObject({ knownEpoch: 6, heardEpoch: 7, pledgeNumber: 9, releasedEpoch: 1 })
    expect(state.votes.get("south")).toMatchObject({ until: 4500, own: false })
  })
})

describe("given up", () => {
  const unpledge = (site: string, of: number, stopped: boolean) =>
    ({
      kind: "unpledge",
      ticket: main,
      site: siteId(site),
      epoch: epoch(of),
      stopped,
      next: undefined,
    }) as never

  test("[M11] the vote is free at once, for the epoch named and lower ones", () => {
    for (const [of, expected] of [
      [1, "south"],
      [2, undefined],
      [3, undefined],
    ] as const) {
      const node = bound("south", 4, 2)
      afterUnpledge(turnAt(node, 2000), unpledge("south", of, false))
      expect(to(node, 2001)).toBe(expected)
    }
  })

  test("[M11] another site's pledge stays", () => {
    const node = bound("south", 4, 2)
    afterUnpledge(turnAt(node, 2000), unpledge("north", 9, false))
    expect(to(node, 2001)).toBe("south")
  })

  test("[M11] with all owners stopped the epoch counts as released; the own claim is over", () => {
    const node = bound("north", 4, 2)
    node.tickets = new Map([[main, { ...ticketOf(node), epoch: epoch(2), gainedAt: at(1000) }]])
    afterUnpledge(turnAt(node, 2000), unpledge("north", 2, true))
    expect(ticketOf(node)).toMatchObject({
      releasedEpoch: 2,
      epoch: 0,
      gainedAt: undefined,
      pledge: undefined,
    })
    expect(north).toBe("north")
  })
})
