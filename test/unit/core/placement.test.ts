/** SPEC S10, S11, S13, S16 to S19: what may start where. */
import { describe, expect, test } from "vitest"
import { coordinate } from "../../../node-agent/core/coordinator.ts"
import type { NodeState, ServiceRecord, View } from "../../../node-agent/core/state.ts"
import { incarnation, nodeId, serviceName, siteId } from "../../../protocol/units.ts"
import { resource, service } from "../../support/config-builder.ts"
import { configOf, selfLease } from "../../support/layouts.ts"
import { at, main, nodeInView, pendingOf, turnAt } from "./node-builder.ts"
import {
  failures,
  guarded,
  maintained,
  mandate,
  owned,
  phase,
  placed,
  type Situation,
  sites,
  standby,
  three,
} from "./placement-situation.ts"

describe("where", () => {
  test.each<{ what: string; situation: Situation; expected: string }>([
    { what: "the first choice", situation: {}, expected: "assign 1" },
    { what: "the operator's choice", situation: { record: { preferred: nodeId(2) } }, expected: "assign 2" },
    {
      what: "a choice that is absent does not hold it up",
      situation: { record: { preferred: nodeId(3) } },
      expected: "assign 1",
    },
    { what: "the fewest failures", situation: { record: failures(1, 0) }, expected: "assign 2" },
    { what: "three failures are too many", situation: { record: failures(3, 2) }, expected: "assign 2" },
    {
      what: "nobody is left",
      situation: { record: failures(3, 3) },
      expected: "hold no node able to run it: n1 failed 3 times, n2 failed 3 times, n3 is away",
    },
    {
      what: "not on one that departs",
      situation: { view: { departing: [nodeId(1)] } },
      expected: "assign 2",
    },
    {
      what: "not confirmed stopped somewhere",
      situation: { view: phase({ 2: "unknown" }) },
      expected: "hold not confirmed stopped on node 2",
    },
    {
      what: "a failed stop",
      situation: { view: phase({ 1: "failed" }) },
      expected: "hold not confirmed stopped on node 1",
    },
  ])("[S10] $what: $expected", ({ situation, expected }) => expect(placed(situation)).toBe(expected))

  const restarts = configOf("1x3", {
    service: [
      service("ledger", {
        ...selfLease,
        migration_threshold: 4,
        resource: [resource("one", { restart_limit: 2 }), resource("two")],
      }),
    ],
  })
  const failed = (name: string, ...counts: readonly number[]) => ({
    ...failures(...counts),
    failed: { node: nodeId(1), resource: name },
  })
  test.each<{ what: string; situation: Situation; expected: string }>([
    { what: "again where it failed", situation: { record: failed("one", 1, 0) }, expected: "assign 1" },
    { what: "as often as its limit says", situation: { record: failed("one", 2, 0) }, expected: "assign 1" },
    { what: "and no more often", situation: { record: failed("one", 3, 0) }, expected: "assign 2" },
    { what: "not for another resource", situation: { record: failed("two", 1, 0) }, expected: "assign 2" },
    { what: "not for a failed start", situation: { record: failures(1, 0) }, expected: "assign 2" },
    {
      what: "not where it may not run any more",
      situation: { record: failed("one", 1, 0), change: standby(1) },
      expected: "assign 2",
    },
    {
      what: "an operator's choice comes first",
      situation: { record: { ...failed("one", 1, 0), preferred: nodeId(2) } },
      expected: "assign 2",
    },
    {
      what: "the threshold is the service's own",
      situation: { record: failures(3, 4) },
      expected: "assign 1",
    },
    {
      what: "at the threshold it is passed over",
      situation: { record: failures(4, 4) },
      expected: "hold no node able to run it: n1 failed 4 times, n2 failed 4 times, n3 is away",
    },
  ])("[S10] restarts: $what: $expected", ({ situation, expected }) =>
    expect(placed({ config: restarts, ...situation })).toBe(expected),
  )

  test.each<{ what: string; situation: Situation; expected: string }>([
    { what: "not on a node in standby", situation: { change: standby(1) }, expected: "assign 2" },
    {
      what: "not even by the operator's choice",
      situation: { change: standby(2), record: { preferred: nodeId(2) } },
      expected: "assign 1",
    },
    {
      what: "a node in standby may be the only one",
      situation: { change: standby(1, 2) },
      expected: "hold no node able to run it: n1 is in standby, n2 is in standby, n3 is away",
    },
    {
      what: "it leaves a node in standby",
      situation: { change: standby(1), record: owned(1) },
      expected: "revoke owner-standby",
    },
    {
      what: "although no other one could run it",
      situation: { change: standby(1, 2), record: owned(1) },
      expected: "revoke owner-standby",
    },
    {
      what: "it stays where it is when another one comes back",
      situation: { change: standby(), record: owned(2) },
      expected: "hold assigned",
    },
    {
      what: "an owner in standby that died is proven like any other",
      situation: { config: guarded, members: [2, 3], change: standby(1), record: owned(1) },
      expected: "blocked 1",
    },
  ])("[S16] $what: $expected", ({ situation, expected }) => expect(placed(situation)).toBe(expected))
})

describe("apart", () => {
  const apart = configOf("1x3", {
    service: [service("archive", selfLease), service("ledger", { ...selfLease, anti_affinity: ["archive"] })],
  })
  const archive = serviceName("archive")
  /** Where `of` goes, while the other one is as `other` says. */
  function placedBeside(
    of: string,
    other: Partial<ServiceRecord>,
    change?: (node: NodeState) => void,
  ): string {
    return placed({
      config: apart,
      of,
      members: [1, 2],
      change: (node) => {
        const services = node.ordered.services.map((record) =>
          record.service === of ? record : { ...record, ...other },
        )
        node.ordered = { ...node.ordered, services }
        change?.(node)
      },
    })
  }

  test.each([
    ["ledger", {}, "assign 1"],
    ["ledger", owned(1), "assign 2"],
    // Whichever of the two says so.
    ["archive", owned(1), "assign 2"],
    // Its word that it stopped is not there yet.
    ["ledger", owned(1, { revoked: true }), "assign 2"],
    // Of a start that is over.
    ["ledger", owned(1, { incarnation: incarnation(9) }), "assign 1"],
    ["ledger", owned(3), "assign 1"],
  ] as const)("[S18] %s while the other one is %j: %s", (of, other, expected) =>
    expect(placedBeside(of, other)).toBe(expected),
  )

  test("[S18] not where the other one may still run, is about to be assigned, or was ordered to", () => {
    const view = (change: (view: View) => Partial<View>) => (node: NodeState) => {
      if (node.view !== undefined) node.view = { ...node.view, ...change(node.view) }
    }
    const unknown = view(({ phases }) => {
      const of1 = new Map(phases.get(nodeId(1))).set(archive, {
        phase: "unknown",
        epoch: undefined,
        reason: "",
      })
      return { phases: new Map(phases).set(nodeId(1), of1) }
    })
    expect(placedBeside("ledger", {}, unknown)).toBe("assign 2")
    const ordered = view(() => ({ assigning: new Map([[archive, nodeId(1)]]) }))
    expect(placedBeside("ledger", {}, ordered)).toBe("assign 2")
    expect(placedBeside("archive", {}, ordered)).toBe("assign 1")
  })

  test("[S18] it waits rather than share, and nobody is driven away", () => {
    const alone = (node: NodeState) => {
      node.ordered = { ...node.ordered, standby: [nodeId(2)] }
    }
    expect(placedBeside("ledger", owned(1), alone)).toBe(
      "hold no node able to run it: n1 has archive (anti-affinity), n2 is in standby, n3 is away",
    )
  })

  test("[S18] of two that are decided in one step the second sees the first", () => {
    const node = nodeInView(apart, [1, 2])
    const turn = turnAt(node, 1200)
    coordinate(turn)
    const assigned = pendingOf(node).flatMap((each) => {
      const { kind, service: name, node: to } = each as { kind: string; service: string; node: number }
      return kind === "assign" ? [`${name} ${to}`] : []
    })
    expect(assigned).toEqual(["archive 1", "ledger 2"])
    expect([...(node.view?.assigning ?? [])]).toEqual([
      ["archive", 1],
      ["ledger", 2],
    ])
  })
})

describe("back to an earlier node", () => {
  const back = configOf("1x3", { service: [service("ledger", { ...selfLease, failback_after_s: 60 })] })
  const since = (of: number, at0: number) => ({ since: new Map([[`failback:ledger:${of}`, at(at0)]]) })
  const late = { config: back, now: 61_100, record: owned(2), view: since(1, 1100) }

  test.each<{ what: string; situation: Situation; expected: string }>([
    {
      what: "it never moves unless asked to",
      situation: { ...late, config: three },
      expected: "hold assigned",
    },
    { what: "once that one was able for long enough", situation: late, expected: "revoke failback" },
    { what: "not before", situation: { ...late, now: 61_099 }, expected: "hold assigned" },
    { what: "not to a later one", situation: { ...late, record: owned(1) }, expected: "hold assigned" },
    {
      what: "not where it failed",
      situation: { ...late, record: { ...owned(2), ...failures(1) } },
      expected: "hold assigned",
    },
    { what: "not to standby", situation: { ...late, change: standby(1) }, expected: "hold assigned" },
    {
      what: "not in maintenance",
      situation: { ...late, change: maintained },
      expected: "hold in maintenance",
    },
    {
      what: "not against an operator's choice",
      situation: { ...late, record: { ...owned(2), preferred: nodeId(2) } },
      expected: "hold assigned",
    },
    {
      what: "not in mode manual: it would not start again",
      situation: { ...late, record: { ...owned(2), mode: "manual" } },
      expected: "hold assigned",
    },
  ])("[S19] $what: $expected", ({ situation, expected }) => expect(placed(situation)).toBe(expected))

  test("[S19] a node that was unable in between begins anew", () => {
    const node = nodeInView(back, [1, 2])
    node.ordered = {
      ...node.ordered,
      services: node.ordered.services.map((record) => ({ ...record, ...owned(2) })),
    }
    const seen = () => [...(node.view?.since ?? [])]
    coordinate(turnAt(node, 1200))
    coordinate(turnAt(node, 1300))
    expect(seen()).toEqual([["failback:ledger:1", 1200]])
    standby(1)(node)
    coordinate(turnAt(node, 1310))
    expect(seen()).toEqual([])
    node.ordered = { ...node.ordered, standby: undefined }
    coordinate(turnAt(node, 1320))
    expect(seen()).toEqual([["failback:ledger:1", 1320]])
  })
})

describe("in maintenance", () => {
  const service = { maintenance: true }
  test.each<{ what: string; situation: Situation; expected: string }>([
    { what: "nothing is started", situation: { change: maintained }, expected: "hold in maintenance" },
    {
      what: "nor a single service that is left alone",
      situation: { record: service },
      expected: "hold in maintenance",
    },
    {
      what: "nothing is stopped by order",
      situation: { change: maintained, record: { ...owned(1), wanted: "stopped" } },
      expected: "hold in maintenance",
    },
    {
      what: "nothing is moved by order",
      situation: { change: maintained, record: { ...owned(1), preferred: nodeId(2) } },
      expected: "hold in maintenance",
    },
    {
      what: "nor by standby",
      situation: { change: standby(1), record: { ...owned(1), ...service } },
      expected: "hold in maintenance",
    },
    {
      what: "an owner that died is not replaced, nor turned off",
      situation: { config: guarded, members: [2, 3], change: maintained, record: owned(1) },
      expected: "hold in maintenance",
    },
    {
      what: "an owner that leaves takes its right with it",
      situation: { change: maintained, record: owned(1), view: { departing: [nodeId(1)] } },
      expected: "revoke owner-departs",
    },
    {
      what: "an assignment under a mandate that is over is ended",
      situation: { config: sites, change: maintained, ticket: mandate(2), record: owned(1, {}, 1) },
      expected: "revoke mandate-changed",
    },
  ])("[S17] $what: $expected", ({ situation, expected }) => expect(placed(situation)).toBe(expected))
})

describe("owned in this view", () => {
  test.each<{ what: string; situation: Situation; expected: string }>([
    { what: "stays", situation: { record: owned(1) }, expected: "hold assigned" },
    {
      what: "is being stopped",
      situation: { record: owned(1, { revoked: true }) },
      expected: "hold stopping on node 1",
    },
    {
      what: "stop ordered",
      situation: { record: { ...owned(1), wanted: "stopped" } },
      expected: "revoke stop-ordered",
    },
    {
      what: "move ordered",
      situation: { record: { ...owned(1), preferred: nodeId(2) } },
      expected: "revoke move-ordered",
    },
    {
      what: "moved where it cannot run",
      situation: { record: { ...owned(1), preferred: nodeId(3) } },
      expected: "hold assigned",
    },
    {
      what: "its owner departs",
      situation: { record: owned(1), view: { departing: [nodeId(1)] } },
      expected: "revoke owner-departs",
    },
    {
      what: "manual and running stays",
      situation: { record: { ...owned(1), mode: "manual" } },
      expected: "hold assigned",
    },
  ])("[S13] $what: $expected", ({ situation, expected }) => expect(placed(situation)).toBe(expected))

  test("[S11] configurations differ: nothing is ordered", () => {
    const change = (node: NodeState) => {
      const peer = node.peers.get(nodeId(2))
      if (peer === undefined) throw new Error("no peer")
      node.peers = new Map(node.peers).set(nodeId(2), {
        ...peer,
        health: { ...node.health, configChecksum: "deadbeef" },
      })
    }
    expect(placed({ change })).toBe("hold configuration-mismatch")
    expect(placed({ change, record: { ...owned(1), wanted: "stopped" } })).toBe("hold configuration-mismatch")
  })

  test("[M1] [S9] another mandate epoch ends an assignment", () => {
    const situation = { config: sites, ticket: mandate(2), record: owned(1, {}, 1) }
    expect(placed(situation)).toBe("revoke mandate-changed")
    expect(placed({ ...situation, record: owned(1, {}, 2) })).toBe("hold assigned")
  })

  test("[O4] a ticket that moves takes its services along", () => {
    const change = (node: NodeState) => {
      node.ordered = { ...node.ordered, moves: [{ ticket: main, site: siteId("south") }] }
    }
    expect(placed({ config: sites, ticket: mandate(2), record: owned(1, {}, 2), change })).toBe(
      "revoke ticket-moves",
    )
    expect(placed({ config: sites, ticket: mandate(2), change })).toBe("hold ticket moves to another site")
  })
})
