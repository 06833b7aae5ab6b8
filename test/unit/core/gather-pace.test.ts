/** SPEC R5, R6: at a large site joins heard close together are looked at together, and who joins is not probed besides. */
import { describe, expect, test } from "vitest"
import { enterGather, onJoin } from "../../../node-agent/core/membership.ts"
import { nextDeadline, step } from "../../../node-agent/core/node.ts"
import { nextPeerWork, tickPeers } from "../../../node-agent/core/peers.ts"
import type { Gather, NodeState } from "../../../node-agent/core/state.ts"
import type { JoinFrame } from "../../../protocol/frame.ts"
import { incarnation, type NodeId, nodeId } from "../../../protocol/units.ts"
import { oneSite } from "../../support/config-builder.ts"
import { configOf } from "../../support/layouts.ts"
import { at, nodeInView, turnAt } from "./node-builder.ts"

const start = incarnation(1)
const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index + 1)

/** Node 1 in a ring with all others, all of them heard at 2000. */
function nodeOf(count: number): NodeState {
  const node = nodeInView(configOf("1x3", oneSite(count)), numbers(count))
  for (const links of node.links.peers.values()) Object.assign(links, { heard: at(2000), incarnation: start })
  return node
}

/** What a node says that hears everybody and proposes `proposal`. */
function joinOf(count: number, proposal: readonly number[] = []): JoinFrame {
  const hears = numbers(count).map((id) => ({ node: nodeId(id), incarnation: start }))
  return {
    ...{ kind: "join", sequence: 7, hears, accuses: [], proposal: proposal.map(nodeId), owner: false },
    configuration: undefined,
  }
}

/** Frames of all senders are numbered in the order of the tests, unless one was overtaken. */
function joined(node: NodeState, from: number, join: JoinFrame, now: number, counter = ++frames): void {
  onJoin(turnAt(node, now), { node: nodeId(from), incarnation: start, counter }, join)
}

let frames = 0

function hear(node: NodeState, from: number, join: JoinFrame, now: number): Gather {
  joined(node, from, join, now)
  return gatherOf(node)
}

function gatherOf(node: NodeState): Gather {
  if (node.membership.kind !== "gather") throw new Error(`it is ${node.membership.kind}`)
  return node.membership
}

const proposed = (node: NodeState): readonly NodeId[] | undefined => gatherOf(node).told?.proposal

describe("[R6] thirty nodes", () => {
  const count = 30
  const pace = count - 1

  test("joins are looked at together, a pace after the node's own first one", () => {
    const node = nodeOf(count)
    for (const from of numbers(20).slice(1))
      expect(hear(node, from, joinOf(count), 2000 + from / 10)).toMatchObject({
        lookedAt: 2000.2,
        lookAt: 2000.2 + pace,
      })
    expect(nextDeadline(node)).toBeLessThanOrEqual(2000.2 + pace)
    step(node, { kind: "deadline-reached" }, at(2000.2 + pace))
    expect(gatherOf(node)).toMatchObject({ lookedAt: 2000.2 + pace, lookAt: undefined })
  })

  test("a join that comes later than a pace is looked at when it comes", () => {
    const node = nodeOf(count)
    hear(node, 2, joinOf(count), 2000)
    expect(hear(node, 3, joinOf(count), 2000 + pace).lookedAt).toBe(2000 + pace)
  })

  test("a proposal that only grows is not told while somebody is waited for; then it is", () => {
    const node = nodeOf(count)
    for (const from of numbers(20).slice(1)) hear(node, from, joinOf(count), 2000)
    const { nextJoin, waitUntil } = gatherOf(node)
    step(node, { kind: "deadline-reached" }, at(2000 + pace))
    expect(gatherOf(node)).toMatchObject({ lookedAt: 2000 + pace, nextJoin })
    expect(proposed(node)).toEqual([1])
    step(node, { kind: "deadline-reached" }, waitUntil)
    expect(gatherOf(node).nextJoin).toBeGreaterThan(nextJoin)
    expect(proposed(node)).toEqual(numbers(20))
  })

  test("an accusation is told at once, and with it the proposal as it is", () => {
    const node = nodeOf(count)
    for (const from of numbers(20).slice(1)) hear(node, from, joinOf(count), 2000)
    enterGather(turnAt(node, 2001), "predecessor-silent", nodeId(count))
    expect(proposed(node)).toEqual(numbers(20))
  })

  test("the last one waited for is looked at when it comes; a repeat of it is not", () => {
    const node = nodeOf(count)
    for (const from of numbers(count - 1).slice(1)) hear(node, from, joinOf(count), 2000)
    expect(proposed(node)).toEqual([1])
    hear(node, count, joinOf(count), 2003)
    expect(proposed(node)).toEqual(numbers(count))
    expect(hear(node, count, joinOf(count), 2004)).toMatchObject({ lookedAt: 2003, lookAt: 2003 + pace })
  })

  test("[R7] a ring that all agree on is formed when the last word comes", () => {
    const node = nodeOf(count)
    for (const from of numbers(count).slice(1)) hear(node, from, joinOf(count), 2000)
    const whole = joinOf(count, numbers(count))
    for (const from of numbers(count - 1).slice(1)) hear(node, from, whole, 2001)
    expect(node.membership.kind).toBe("gather")
    joined(node, count, whole, 2002)
    expect(node.membership.kind).toBe("commit")
  })

  test("[R7] when the waiting is over is looked at once, not with each datagram from then on", () => {
    const node = nodeOf(count)
    hear(node, 2, joinOf(count), 2000)
    const { waitUntil } = gatherOf(node)
    step(node, { kind: "deadline-reached" }, waitUntil)
    expect(gatherOf(node).lookedAt).toBe(waitUntil)
    step(node, { kind: "deadline-reached" }, at(waitUntil + 1))
    expect(gatherOf(node).lookedAt).toBe(waitUntil)
  })

  test("and so is the one after which all hear each other", () => {
    const node = nodeOf(count)
    const deaf = { ...joinOf(count), hears: [{ node: nodeId(1), incarnation: start }] }
    for (const from of numbers(count).slice(1)) hear(node, from, deaf, 2000)
    for (const from of numbers(count - 1).slice(1)) hear(node, from, joinOf(count), 2001)
    expect(proposed(node)).toEqual([1])
    hear(node, count, joinOf(count), 2002)
    expect(proposed(node)).toEqual(numbers(count))
  })

  test("who an accuser has named is not waited for", () => {
    const node = nodeOf(count)
    hear(node, 2, { ...joinOf(count), accuses: [nodeId(count)] }, 2000)
    for (const from of numbers(count - 2).slice(2)) hear(node, from, joinOf(count), 2001)
    expect(proposed(node)).toEqual([1])
    hear(node, count - 1, joinOf(count), 2002)
    expect(proposed(node)).toEqual(numbers(count - 1))
  })

  test("joins are repeated each 145 ms, and kept for four repeats", () => {
    const node = nodeOf(count)
    expect(hear(node, 2, joinOf(count), 2000).nextJoin).toBe(2145)
    hear(node, 3, joinOf(count), 2000 + 580)
    expect(gatherOf(node).joins.size).toBe(2)
    step(node, { kind: "deadline-reached" }, at(2000 + 580 + 145))
    expect([...gatherOf(node).joins.keys()]).toEqual([3])
  })

  test("[R5] who has joined is not probed; the others are once they had their time, each at most every 580 ms", () => {
    const node = nodeOf(count)
    const { waitUntil } = hear(node, 2, joinOf(count), 2000)
    tickPeers(turnAt(node, 2000))
    expect(node.peers.get(nodeId(2))).toMatchObject({ probe: 0, nextProbe: 2580 })
    expect(node.peers.get(nodeId(3))).toMatchObject({ probe: 0, nextProbe: waitUntil })
    tickPeers(turnAt(node, waitUntil))
    expect(node.peers.get(nodeId(2))).toMatchObject({ probe: 0, nextProbe: 2580 })
    expect(node.peers.get(nodeId(3))).toMatchObject({ probe: 1, nextProbe: waitUntil + 580 })
    expect(nextPeerWork(node)).toBeGreaterThan(waitUntil)
  })

  test("a member counts as heard for a turn of the links' probes, others for three probes", () => {
    const node = nodeInView(configOf("1x3", oneSite(count)), numbers(28))
    const [turn, probes] = [29 * 200 * 1.5, 3 * 580]
    for (const [id, heard] of [
      [27, 9000 - turn],
      [28, 9000 - turn - 1],
      [29, 9000 - probes],
      [30, 9000 - probes - 1],
    ] as const)
      Object.assign(node.links.peers.get(nodeId(id)) ?? {}, { heard: at(heard), incarnation: start })
    enterGather(turnAt(node, 9000), "token-lost", undefined)
    expect(gatherOf(node).told?.hears.map((each) => each.node)).toEqual([27, 29, 1])
  })
})

test("[R6] a join that was overtaken by a later one says nothing; one of a later start does", () => {
  const node = nodeOf(3)
  joined(node, 2, joinOf(3, [1, 2, 3]), 2000, 9)
  joined(node, 2, joinOf(3, [2]), 2001, 8)
  expect(gatherOf(node).joins.get(nodeId(2))).toMatchObject({ counter: 9, proposal: [1, 2, 3] })
  const later = { node: nodeId(2), incarnation: incarnation(2), counter: 1 }
  onJoin(turnAt(node, 2002), later, joinOf(3, [2]))
  expect(gatherOf(node).joins.get(nodeId(2))).toMatchObject({ counter: 1, proposal: [2] })
})

test("[R6] with five nodes joins are looked at together, with four each as it comes", () => {
  expect(hear(nodeOf(5), 2, joinOf(5), 2000).lookAt).toBe(2004)
  expect(hear(nodeOf(4), 2, joinOf(4), 2000).lookAt).toBeUndefined()
})

describe("[R6] four nodes", () => {
  const count = 4

  test("each join is looked at when it comes, and repeated with retransmit", () => {
    const node = nodeOf(count)
    for (const from of numbers(count - 1).slice(1)) {
      expect(hear(node, from, joinOf(count), 2000 + from)).toMatchObject({
        lookedAt: 2000 + from,
        lookAt: undefined,
      })
      expect(proposed(node)).toEqual(numbers(from))
    }
    expect(gatherOf(node).nextJoin).toBe(2000 + count - 1 + node.config.timings.retransmit)
  })

  test("[R5] who has joined is probed like the others", () => {
    const node = nodeOf(count)
    hear(node, 2, joinOf(count), 2000)
    tickPeers(turnAt(node, 2000))
    expect(node.peers.get(nodeId(2))).toMatchObject({ probe: 1, nextProbe: 2200 })
  })
})

test("[R5] in a ring of 28 of thirty the two others are probed as at a small site", () => {
  const node = nodeInView(configOf("1x3", oneSite(30)), numbers(28))
  tickPeers(turnAt(node, 2000))
  expect(node.peers.get(nodeId(29))).toMatchObject({ probe: 1, nextProbe: 2200 })
  expect(node.peers.get(nodeId(28))).toMatchObject({ probe: 0 })
})
