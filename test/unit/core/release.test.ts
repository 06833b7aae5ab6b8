/** SPEC M11: who has received the release of a mandate counts the votes for it no more, delivered or not. */
import { expect, test } from "vitest"
import { receiveOrdered } from "../../../node-agent/core/delivery.ts"
import { hasMandate } from "../../../node-agent/core/rights.ts"
import { epoch } from "../../../protocol/units.ts"
import { configOf } from "../../support/layouts.ts"
import { at, main, nodeInView, ticketOf, turnAt } from "./node-builder.ts"

function holder() {
  const node = nodeInView(configOf("2x2"), [1, 2])
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
  expect(receiveOrdered(turnAt(node, 1_200), payload, node.self.id)).toBeUndefined()
  expect(hasMandate(node, ticketOf(node), at(1_200))).toBe(held)
})
