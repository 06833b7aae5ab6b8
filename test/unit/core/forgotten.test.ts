/** SPEC V12: who lost its record has no vote, until it has learnt what it forgot. */
import { describe, expect, test } from "vitest"
import { remember, votersAmong } from "../../../node-agent/core/forgotten.ts"
import type { NodeState } from "../../../node-agent/core/state.ts"
import { storeLearnt } from "../../../node-agent/core/stored.ts"
import { epoch, ticketName } from "../../../protocol/units.ts"
import { siteLayout } from "../../../protocol/votes.ts"
import { oneSite } from "../../support/config-builder.ts"
import { configOf } from "../../support/layouts.ts"
import { at, ids, main, nodeInView, startedNode, ticketOf, turnAt } from "./node-builder.ts"

const config = configOf("1x3")

describe("[V12] votes", () => {
  const larger = configOf("1x3", oneSite(4))
  const layout = siteLayout(larger, config.sites[0]?.name ?? never())
  const [holder = never()] = ids(1)
  const proposal = { version: 2, checksum: "", voice: 0, ring: 7, layout, holder }

  test.each([
    { what: "nobody forgot", members: ids(1, 2), forgetful: ids(), voters: ids(1, 2) },
    { what: "one of two members did", members: ids(1, 2), forgetful: ids(1), voters: ids(2) },
    { what: "all did", members: ids(1, 2), forgetful: ids(1, 2), voters: ids() },
    {
      what: "one did, and the whole site is here",
      members: ids(1, 2, 3),
      forgetful: ids(1),
      voters: ids(1, 2, 3),
    },
  ])("$what", ({ members, forgetful, voters }) => {
    const node = startedNode(config)
    expect(votersAmong(node, members, undefined, forgetful)).toEqual(voters)
  })

  test("a site is whole by a proposed configuration, too", () => {
    const node = startedNode(config)
    const forgot = ids(1)
    expect(votersAmong(node, ids(1, 2, 3), proposal, forgot)).toEqual(ids(2, 3))
    expect(votersAmong(node, ids(1, 2, 3, 4), proposal, forgot)).toEqual(ids(1, 2, 3, 4))
  })
})

test("[V12] [M9] a restart does not bring back what was lost: no vote, amnesia from the start, no witness believed", () => {
  const lost = startedNode(config, 1, "lost")
  const again = startedNode(config, 1, lost.durable.state)
  for (const node of [lost, again]) {
    expect(node.durable.state.forgot).toBe(true)
    expect(node.amnesiaUntil).toBeGreaterThan(10_000)
    expect(node.pinLost).toBe(true)
  }
  expect(again.incarnation).toBeGreaterThan(lost.incarnation)
  const fresh = startedNode(config)
  expect([fresh.durable.state.forgot, fresh.amnesiaUntil, fresh.pinLost]).toEqual([
    undefined,
    undefined,
    false,
  ])
})

describe("[V12] the record is complete again", () => {
  function forgetful(members: readonly number[]): NodeState {
    const node = nodeInView(config, members)
    node.durable = { ...node.durable, state: { ...node.durable.state, forgot: true } }
    return node
  }

  test("in a view that speaks, once the amnesia is over; and it is stored", () => {
    const node = forgetful([1, 2])
    const turn = turnAt(node, 1200)
    remember(turn)
    expect(node.durable.state.forgot).toBe(false)
    expect(turn.effects).toContainEqual(expect.objectContaining({ kind: "persist" }))
    remember(turn)
    expect(turn.effects.filter(({ kind }) => kind === "persist")).toHaveLength(1)
  })

  test.each([
    {
      what: "not before that",
      node: () => Object.assign(forgetful([1, 2]), { amnesiaUntil: at(1300) }),
      now: 1200,
    },
    { what: "not in a view that does not speak", node: () => forgetful([1]), now: 1200 },
    { what: "not when its right is over", node: () => forgetful([1, 2]), now: 1400 },
  ])("$what", ({ node: make, now }) => {
    const node = make()
    remember(turnAt(node, now))
    expect(node.durable.state.forgot).toBe(true)
  })
})

test("[S8] [D1] what is stored of a ticket stays when the ticket is not configured any more", () => {
  const node = nodeInView(config, [1, 2])
  const other = { ticket: ticketName("former"), epoch: epoch(8), pledgeNumber: 9, releasedEpoch: epoch(7) }
  node.durable = { ...node.durable, state: { ...node.durable.state, tickets: [other] } }
  node.tickets = new Map([[main, { ...ticketOf(node), knownEpoch: epoch(3) }]])
  storeLearnt(turnAt(node, 1200))
  expect(node.durable.state.tickets).toContainEqual(other)
  expect(node.durable.state.tickets).toContainEqual(expect.objectContaining({ ticket: main, epoch: 3 }))
})

function never(): never {
  throw new Error("there is a site")
}
