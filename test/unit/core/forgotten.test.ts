/** SPEC V12: who lost its record has no vote, until it has learnt what it forgot. */
import { describe, expect, test } from "vitest"
import {
  goOnUnaided,
  mustAskWitness,
  nextForgotten,
  outnumberForgotten,
  remember,
  votersAmong,
} from "../../../node-agent/core/forgotten.ts"
import type { Report } from "../../../node-agent/core/report.ts"
import type { NodeState, View } from "../../../node-agent/core/state.ts"
import { storeLearnt } from "../../../node-agent/core/stored.ts"
import { epoch, incarnation, millis, nodeId, ticketName } from "../../../protocol/units.ts"
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

describe("[V12] a whole site asks the witness", () => {
  interface Told {
    readonly forgot?: boolean
    readonly amnesia?: number
    readonly unaided?: boolean
    readonly left?: Report["left"]
  }
  const lost: Told = { forgot: true, amnesia: 4000 }
  const over: Told = { forgot: true }
  const vain: Told = { forgot: true, unaided: true }
  const knows: Told = {}
  const from = (sequence: number) => ({
    ring: { sequence, representative: nodeId(1), incarnation: incarnation(1) },
    messages: [],
  })
  const pair = configOf("1x2")
  const four = configOf("1x4")
  const lastMan = configOf("1x4-last-man-standing")

  test.each([
    { what: "nobody forgot", config: pair, told: [knows, knows], asks: false },
    { what: "one of a pair forgot", config: pair, told: [lost, knows], asks: true },
    { what: "one of a pair, its amnesia is over", config: pair, told: [over, knows], asks: true },
    { what: "one of a pair, which asked in vain", config: pair, told: [vain, knows], asks: false },
    {
      what: "asked in vain, its amnesia goes on",
      config: pair,
      told: [{ ...vain, amnesia: 1 }, knows],
      asks: true,
    },
    {
      what: "asked in vain, the other comes from elsewhere",
      config: pair,
      told: [vain, { left: from(8) }],
      asks: true,
    },
    {
      what: "asked in vain, the other has started since",
      config: pair,
      told: [vain, { left: null }],
      asks: true,
    },
    { what: "nobody remembers", config: pair, told: [lost, lost], asks: false },
    { what: "a majority remembers", config: four, told: [lost, knows, knows, knows], asks: false },
    { what: "half remembers", config: four, told: [lost, lost, knows, knows], asks: true },
    {
      what: "half remembers, one asked in vain",
      config: four,
      told: [vain, over, knows, knows],
      asks: false,
    },
    {
      what: "asked in vain, one amnesia goes on",
      config: four,
      told: [vain, lost, knows, knows],
      asks: true,
    },
    {
      what: "any one speaks with the witness",
      config: lastMan,
      told: [lost, knows, knows, knows],
      asks: true,
    },
    { what: "the witness has no weight", config, told: [lost, lost, knows], asks: false },
    { what: "one is away: who forgot has no vote", config: four, told: [lost, lost, knows], asks: false },
  ])("$what: asks $asks", ({ config: of, told, asks }) => {
    const node = startedNode(of)
    const members = ids(...told.map((_, index) => index + 1))
    const reports = new Map(
      members.map((id, index) => [id, { amnesia: millis(0), left: from(7), ...told[index] } as Report]),
    )
    const forgetful = members.filter((id) => reports.get(id)?.forgot)
    const voters = votersAmong(node, members, undefined, forgetful)
    expect(mustAskWitness(node, { members, voters, joint: undefined }, reports)).toBe(asks)
  })

  function asking(until: number, more: Partial<View> = {}): NodeState {
    const node = nodeInView(pair, [1, 2], { standing: { kind: "needs-witness" }, asksWitness: true, ...more })
    node.durable = { ...node.durable, state: { ...node.durable.state, forgot: true } }
    node.amnesiaUntil = at(until)
    return node
  }

  test.each([
    { what: "all that may bind is over", now: 11_100, until: 9000, unaided: true },
    { what: "its amnesia is not", now: 11_100, until: 12_000, unaided: false },
    { what: "it has not asked for long", now: 10_900, until: 9000, unaided: false },
  ])("in vain, and $what: goes on unaided $unaided", ({ now, until, unaided }) => {
    const node = asking(until)
    expect(nextForgotten(node)).toBe(Math.max(until, nextForgotten(asking(0)) ?? 0))
    goOnUnaided(turnAt(node, now))
    expect(node.unaided).toBe(unaided)
    expect(node.membership.kind).toBe(unaided ? "gather" : "operational")
  })

  test.each([
    { what: "it has the voice", deadline: 12_000, unaided: false },
    { what: "it had the voice, which ran out", deadline: 11_000, unaided: true },
  ])("$what: goes on unaided $unaided", ({ deadline, unaided }) => {
    const voice = {
      deadline: at(deadline),
      own: true,
      epoch: epoch(2),
      grantedAt: at(1000),
      waitedOut: false,
    }
    const node = asking(9000, { voice })
    if (node.ring !== undefined) node.ring = { ...node.ring, lease: at(12_000) }
    goOnUnaided(turnAt(node, 11_100))
    expect(node.unaided).toBe(unaided)
  })

  test.each([
    { what: "a ring of a higher number", sequence: 9, members: ids(1), gathers: true },
    { what: "one of the same number", sequence: 7, members: ids(1), gathers: true },
    { what: "one of a lower number", sequence: 6, members: ids(1), gathers: false },
    { what: "a ring of others", sequence: 9, members: ids(2), gathers: false },
  ])("the voice is held for $what: gathers for one above it $gathers", ({ sequence, members, gathers }) => {
    const node = asking(9000)
    const ring = { sequence, representative: members[0] ?? node.self.id, incarnation: incarnation(0) }
    outnumberForgotten(turnAt(node, 1200), { kind: "view", ring, members })
    expect(node.membership.kind).toBe(gathers ? "gather" : "operational")
    if (gathers) expect(node.sequence).toBeGreaterThanOrEqual(sequence)
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
