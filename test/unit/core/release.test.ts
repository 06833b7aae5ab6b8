/** SPEC M11: who has received the release of a mandate counts the votes for it no more, delivered or not; nobody is told of it before all remember it. */
import { expect, test } from "vitest"
import { deliverSafe, receiveOrdered } from "../../../node-agent/core/delivery.ts"
import { adoptMemo, memoText, performWaitingActs } from "../../../node-agent/core/memo.ts"
import { hasMandate } from "../../../node-agent/core/rights.ts"
import { epoch } from "../../../protocol/units.ts"
import { configOf } from "../../support/layouts.ts"
import { at, freshState, main, nodeInView, startedNode, ticketOf, turnAt } from "./node-builder.ts"

const config = configOf("2x2")

function holder(members = [1, 2]) {
  const node = nodeInView(config, members)
  const vote = { epoch: epoch(3), until: at(9_000), own: true }
  const votes = new Map(["north", "south"].map((voter) => [voter, vote] as const))
  node.tickets = new Map([[main, { ...ticketOf(node), epoch: epoch(3), gainedAt: at(1_000), votes }]])
  return node
}

const release = (site: string, at: number) =>
  JSON.stringify({ kind: "unpledge", ticket: "main", site, epoch: at, stopped: true, next: "south" })

test.each([
  { what: "of its own site's mandate", payload: release("north", 3), held: false },
  { what: "of another site's", payload: release("south", 3), held: true },
  { what: "of a former one", payload: release("north", 2), held: true },
])("[M11] a member that received a release $what", ({ payload, held }) => {
  const node = holder()
  expect(hasMandate(node, ticketOf(node), at(1_200))).toBe(true)
  receiveOrdered(turnAt(node, 1_200), payload, node.self.id)
  expect(hasMandate(node, ticketOf(node), at(1_200))).toBe(held)
})

test("[M11] it counts as received once it is on the disk, and is written once", () => {
  const node = holder()
  const received = (site: string, of: number) =>
    receiveOrdered(turnAt(node, 1_200), release(site, of), node.self.id)
  expect(received("south", 3)).toBeUndefined()
  const write = received("north", 3)
  expect(write).toBe(node.durable.ordered)
  expect(received("north", 3)).toBe(write)
  node.durable = { ...node.durable, written: write ?? 0 }
  expect(received("north", 3)).toBeUndefined()
  expect(received("north", 2)).toBeUndefined()
  expect(node.durable.state.tickets).toMatchObject([{ ticket: main, givenUp: 3 }])
})

test("[M11] a node that boots knows what its site gave up, and claims above it", () => {
  const known = { ticket: main, epoch: epoch(2), pledgeNumber: 4, releasedEpoch: epoch(1), givenUp: epoch(3) }
  const node = startedNode(config, 1, { ...freshState(config, 1), tickets: [known], fresh: false })
  expect(ticketOf(node)).toMatchObject({ givenUp: 3, heardEpoch: 3, knownEpoch: 2 })
})

test("[M11] [VL4] the memo tells what was given up: votes for it that are left are void", () => {
  const from = nodeInView(config, [2])
  from.tickets = new Map([[main, { ...ticketOf(from), givenUp: epoch(3) }]])
  const node = holder([1])
  adoptMemo(turnAt(node, 1_200), `3 ${memoText(from, [])}`)
  expect(hasMandate(node, ticketOf(node), at(1_200))).toBe(false)
  expect(node.durable.state.tickets).toMatchObject([{ ticket: main, givenUp: 3 }])
})

test.each([
  { what: "speaks alone is told once all members have received it", members: [1, 2], toldAtOnce: true },
  { what: "needs the witness is told once the memo says so, too", members: [1], toldAtOnce: false },
])("[M11] [VL5] a release of a view that $what", ({ members, toldAtOnce }) => {
  const node = holder(members)
  const message = { seq: 1, origin: node.self.id, payload: release("north", 3) }
  if (node.ring !== undefined) node.ring = { ...node.ring, log: [message], received: 1 }
  const turn = turnAt(node, 1_200)
  deliverSafe(turn, 1)
  expect(node.witness.releases).toHaveLength(toldAtOnce ? 1 : 0)
  performWaitingActs(turn, [])
  expect(node.witness.releases).toHaveLength(toldAtOnce ? 1 : 0)
  if (node.view !== undefined)
    node.view = {
      ...node.view,
      memo: { ...node.view.memo, stored: { version: 4, text: memoText(node, []) } },
    }
  performWaitingActs(turn, [])
  expect(node.witness.releases).toMatchObject([{ epoch: 3, stopped: true }])
})
