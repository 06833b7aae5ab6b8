/** What is worked out once: until a part is replaced or an instant reached. Nothing that is due then comes late by it. */
import { describe, expect, test } from "vitest"
import { coordinate, nextCoordination } from "../../../node-agent/core/coordinator.ts"
import { type Derived, keeping } from "../../../node-agent/core/derived.ts"
import type { NodeState, ServiceRecord, View } from "../../../node-agent/core/state.ts"
import type { ClusterConfig } from "../../../protocol/cluster.ts"
import { epoch, incarnation, nodeId } from "../../../protocol/units.ts"
import { service } from "../../support/config-builder.ts"
import { configOf, selfLease } from "../../support/layouts.ts"
import { at, main, nodeInView, pendingOf, ticketOf, turnAt } from "./node-builder.ts"

describe("a derivation", () => {
  function counted(until?: number) {
    const calls: number[] = []
    const derive = ({ wall }: NodeState, now: number): Derived<string> => {
      calls.push(now)
      return { value: `${wall} at ${now}`, until: until === undefined ? undefined : at(until) }
    }
    return { calls, look: keeping({ parts: ["wall", "ordered"], derive }) }
  }

  test("is made once while the parts are the same, whatever else is replaced", () => {
    const node = nodeInView(configOf("1x3"), [1, 2, 3])
    const { calls, look } = counted()
    const first = look(node, at(1000))
    node.tickets = new Map(node.tickets)
    expect(look(node, at(9_000_000))).toBe(first)
    expect(calls).toEqual([1000])
  })

  test("is made anew when a part is replaced, by an equal one too, and when its time is over or was not yet", () => {
    const node = nodeInView(configOf("1x3"), [1, 2, 3])
    const { calls, look } = counted(2000)
    for (const now of [1000, 1999.9, 2000]) look(node, at(now))
    node.ordered = { ...node.ordered }
    look(node, at(2001))
    look(node, at(1500))
    expect(calls).toEqual([1000, 2000, 2001, 1500])
  })

  test("is each node's own", () => {
    const { calls, look } = counted()
    look(nodeInView(configOf("1x3"), [1]), at(1000))
    look(nodeInView(configOf("1x3"), [1]), at(1000))
    expect(calls).toHaveLength(2)
  })
})

interface Situation {
  readonly config?: ClusterConfig
  readonly members?: readonly number[]
  readonly record?: Partial<ServiceRecord>
  readonly view?: Partial<View>
}

/** A coordinator whose lease does not end. */
function coordinator({ config = configOf("1x3"), members = [1, 2, 3], record, view }: Situation): NodeState {
  const node = nodeInView(config, members, view)
  node.ordered = {
    ...node.ordered,
    services: node.ordered.services.map((each) => ({ ...each, ...record })),
  }
  if (node.ring !== undefined) node.ring = { ...node.ring, lease: at(1e9) }
  return node
}

const owned = (owner: number, mandate = 0) => ({
  owner: nodeId(owner),
  incarnation: incarnation(1),
  epoch: `${mandate}.0.7.3`,
  revoked: false,
})

const kinds = (node: NodeState) =>
  pendingOf(node).map((message) => (message as { readonly kind: string }).kind)

/** Looks again and again, and nothing else happens: what is ordered at `instant` and not before. */
function ordersAt(
  node: NodeState,
  instant: number,
): { readonly before: readonly string[]; readonly due: readonly string[] } {
  for (const now of [1200, 1300, instant - 60, instant - 1, instant - 0.001])
    if (now >= 1200) coordinate(turnAt(node, now))
  expect(nextCoordination(node)).toBe(instant)
  const before = kinds(node)
  coordinate(turnAt(node, instant))
  return { before, due: kinds(node) }
}

describe("[Q5] at its time, though nothing was replaced since the last look", () => {
  test("[S2] [S4] a proof that is complete is acted upon", () => {
    const node = coordinator({ members: [1, 2], record: { assignment: owned(3) } })
    coordinate(turnAt(node, 1001))
    const due = node.view?.lookAgain
    if (due === undefined) throw new Error("no proof is waited for")
    expect(due).toBeGreaterThan(1020)
    coordinate(turnAt(node, due - 0.001))
    expect(nextCoordination(node)).toBe(due)
    expect(kinds(node)).toEqual([])
    coordinate(turnAt(node, due))
    expect(kinds(node)).toEqual(["assign"])
  })

  test("[S10] failures that aged are forgotten", () => {
    const config = configOf("1x3", { service: [service("ledger", { ...selfLease, failure_timeout_s: 3 })] })
    const node = coordinator({
      config,
      record: { assignment: owned(1), failures: [{ node: nodeId(2), count: 1 }] },
    })
    // Nobody else on the ring, who might speak an older version.
    if (node.ring !== undefined) node.ring = { ...node.ring, members: [node.self.id] }
    expect(ordersAt(node, 4200)).toEqual({ before: [], due: ["forget"] })
  })

  test("[S19] a service goes back to a better node that has been able for so long", () => {
    const config = configOf("1x3", { service: [service("ledger", { ...selfLease, failback_after_s: 5 })] })
    const node = coordinator({ config, record: { assignment: owned(2) } })
    expect(ordersAt(node, 6200)).toEqual({ before: [], due: ["revoke"] })
  })

  test("[S2] [M1] a mandate that ends: from then on nothing is assigned", () => {
    const config = configOf("2x2")
    const assignedAt = (now: number) => {
      const node = coordinator({ config, members: [1, 2] })
      const until = at(5000)
      const votes = new Map(
        ["north", "south"].map((voter) => [voter, { epoch: epoch(3), until, own: true }] as const),
      )
      const ticket = {
        ...ticketOf(node),
        epoch: epoch(3),
        gainedAt: at(1100),
        releasedEpoch: epoch(2),
        votes,
      }
      node.tickets = new Map([[main, { ...ticket, nextClaim: at(1e9) }]])
      // An order of an operator keeps it back at first, and is known to be taken back at `now`.
      const [record] = node.ordered.services
      if (record === undefined) throw new Error("no service")
      const stopped = { ...node.ordered, services: [{ ...record, wanted: "stopped" as const }] }
      const running = node.ordered
      node.ordered = stopped
      coordinate(turnAt(node, 1200))
      node.ordered = running
      coordinate(turnAt(node, now))
      return kinds(node)
    }
    expect(assignedAt(4999)).toContain("assign")
    expect(assignedAt(5000)).not.toContain("assign")
  })
})
