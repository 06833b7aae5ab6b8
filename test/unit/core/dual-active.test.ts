/** The same service on two nodes: seen in a view and across sites, and the lower epoch stops. */
import { describe, expect, test } from "vitest"
import { reconcileActivations } from "../../../node-agent/core/activations.ts"
import { foundActive, noteActiveElsewhere } from "../../../node-agent/core/dual-active.ts"
import { step } from "../../../node-agent/core/node.ts"
import { placementOf } from "../../../node-agent/core/placement.ts"
import { heartbeatWith } from "../../../node-agent/core/site-messages.ts"
import type { NodeState, Phase, ReportedPhase } from "../../../node-agent/core/state.ts"
import { World } from "../../../node-agent/simulation/world.ts"
import type { ClusterConfig } from "../../../protocol/cluster.ts"
import { frameLimits } from "../../../protocol/frame.ts"
import {
  epoch,
  incarnation,
  millis,
  nodeId,
  serviceName,
  siteId,
  ticketName,
} from "../../../protocol/units.ts"
import { service } from "../../support/config-builder.ts"
import { configOf } from "../../support/layouts.ts"
import { at, main, nodeInView, ticketOf, turnAt } from "./node-builder.ts"

const ledger = serviceName("ledger")
const operator = { service: [service("ledger", { proof: "operator" })] }

function told(phase: Phase, at?: string, reason = ""): ReportedPhase {
  return { phase, epoch: at, reason }
}

/** What members say, delivered: the node looks at it. */
function saying(config: ClusterConfig, phases: Readonly<Record<number, ReportedPhase>>): NodeState {
  const members = config.nodes.filter(({ site }) => site === "north").map(({ id }) => id as number)
  const node = nodeInView(config, members)
  say(node, phases)
  return node
}

function say(node: NodeState, phases: Readonly<Record<number, ReportedPhase>>): void {
  if (node.view === undefined) throw new Error("the node is in a view")
  const all = new Map(node.view.phases)
  for (const [member, each] of Object.entries(phases))
    all.set(nodeId(Number(member)), new Map([[ledger, each]]))
  node.view = { ...node.view, installedAt: at(0), phases: all }
  reconcileActivations(turnAt(node, 1200))
}

const kinds = (node: NodeState) => node.recent.map(({ kind }) => kind)

describe("[S22] within a view", () => {
  const runs = told("running", "0.0.7.5")

  test.each<[string, ReportedPhase]>([
    ["runs as well", told("running", "0.0.7.3")],
    ["starts it", told("starting", "0.0.7.3")],
    ["found it running, and stops it", told("stopping", undefined, foundActive)],
    ["cannot stop what it found", told("failed", undefined, foundActive)],
  ])("another member %s: dual active", (_, other) => {
    const node = saying(configOf("1x3"), { 1: runs, 2: other })
    expect(node.recent.at(-1)).toMatchObject({ kind: "dual-active", severity: "critical", subject: "ledger" })
    say(node, { 2: told("stopped") })
    expect(kinds(node)).toEqual(["dual-active", "dual-active-ended"])
  })

  test.each<[string, ReportedPhase]>([
    ["has just started", told("unknown")],
    ["has stopped", told("stopped")],
    ["stops what had ended by its lease", told("stopping", "0.0.7.3", "lapsed")],
  ])("another member %s: nothing of the kind", (_, other) => {
    expect(kinds(saying(configOf("1x3"), { 1: runs, 2: other }))).toEqual([])
  })

  test("what a member brings along from the view it left has ended by itself, and is given up now", () => {
    const node = nodeInView(configOf("1x3"), [1, 2, 3], { installedAt: at(1000) })
    if (node.view !== undefined)
      node.view = {
        ...node.view,
        phases: new Map([1, 2].map((id) => [nodeId(id), new Map([[ledger, runs]])])),
      }
    reconcileActivations(turnAt(node, 1399))
    expect(kinds(node)).toEqual([])
    reconcileActivations(turnAt(node, 1400))
    expect(kinds(node)).toEqual(["dual-active"])
  })

  test("where nothing but a person's word ended it, one that is being stopped was active", () => {
    const node = saying(configOf("1x3", operator), { 1: runs, 2: told("stopping", "0.0.7.3", "lapsed") })
    expect(kinds(node)).toEqual(["dual-active"])
  })

  test("members that do not coordinate note it, and a coordinator after them tells the end of it", () => {
    const config = configOf("1x3")
    const node = nodeInView(config, [1, 2, 3], { coordinator: nodeId(2) })
    say(node, { 1: runs, 2: told("running", "0.0.7.3") })
    expect(kinds(node)).toEqual([])
    if (node.view !== undefined) node.view = { ...node.view, coordinator: nodeId(1) }
    say(node, { 2: told("stopped") })
    expect(kinds(node)).toEqual(["dual-active-ended"])
  })

  test("the lower epoch stops, whatever the state says of it", () => {
    for (const [other, stops] of [
      ["0.0.7.4", false],
      ["0.0.7.10", true],
      ["0.1.2.1", true],
    ] as const) {
      const node = nodeInView(configOf("1x3"), [1, 2, 3])
      step(
        node,
        {
          kind: "control-connected",
          found: [{ service: ledger, state: "stopped", epoch: undefined, reason: undefined }],
        },
        at(1010),
      )
      const assignment = {
        owner: nodeId(1),
        incarnation: incarnation(1),
        epoch: "0.0.7.5",
        revoked: false,
      }
      const services = node.ordered.services.map((record) => ({ ...record, assignment }))
      node.ordered = { ...node.ordered, services }
      reconcileActivations(turnAt(node, 1020))
      step(node, { kind: "deadline-reached" }, at(1021))
      expect(node.activations.get(ledger)?.phase).toBe("starting")
      say(node, { 2: told("running", other) })
      expect(node.activations.get(ledger)?.phase).toBe(stops ? "stopping" : "starting")
    }
  })

  test("an operator vouched for a node that only stood still: it stops when it wakes, and people are told", () => {
    const world = new World(configOf("1x3", operator), { seed: 1, netJitter: 0, rateError: 0 })
    world.start()
    world.runUntil(() => world.active(ledger).length > 0, 10_000)
    world.run(2000)
    world.freeze(1)
    world.run(3000)
    world.command(2, { kind: "fence-confirm", node: nodeId(1) })
    expect(world.runUntil(() => world.active(ledger).includes(nodeId(2)), 5000)).toBe(true)
    // The word was wrong, which nobody but the oracle knows.
    expect(world.violations).toEqual([expect.stringContaining("I1 ledger runs on node 2 and on node 1")])
    world.thaw(1)
    world.run(3000)
    const seen = world.log.filter(({ event }) => event.startsWith("dual-active"))
    expect(seen.map(({ event }) => event)).toEqual(["dual-active", "dual-active-ended"])
    expect([...world.host(1).running.keys()]).toEqual([])
    expect(world.active(ledger)).toEqual([nodeId(2)])
  })
})

describe("[S22] what nobody started", () => {
  const found = { kind: "service-found", service: ledger } as const

  test("is stopped, whoever runs it elsewhere", () => {
    const node = nodeInView(configOf("1x3"), [1, 2, 3])
    node.control = "present"
    node.activations = new Map(
      [...node.activations].map(([name, each]) => [name, { ...each, phase: "stopped" }]),
    )
    const effects = step(node, found, at(1200))
    expect(effects.map(({ kind }) => kind)).toContain("stop-service")
    expect(node.activations.get(ledger)).toMatchObject({ phase: "stopping", reason: foundActive })
  })

  test("[S17] is left alone in maintenance", () => {
    const node = nodeInView(configOf("1x3"), [1, 2, 3])
    node.control = "present"
    node.activations = new Map(
      [...node.activations].map(([name, each]) => [name, { ...each, phase: "stopped" }]),
    )
    node.ordered = { ...node.ordered, maintenance: true }
    expect(step(node, found, at(1200)).map(({ kind }) => kind)).not.toContain("stop-service")
  })

  test("a look that crossed with a start or a stop says nothing", () => {
    for (const phase of ["starting", "running", "stopping", "failed", "unknown"] as const) {
      const node = nodeInView(configOf("1x3"), [1, 2, 3], { coordinator: nodeId(2) })
      node.activations = new Map([...node.activations].map(([name, each]) => [name, { ...each, phase }]))
      expect(step(node, found, at(1200)).map(({ kind }) => kind)).not.toContain("stop-service")
    }
  })
})

describe("[S22] across sites", () => {
  const config = configOf("2x2")
  const south = siteId("south")

  /** North holds the mandate at `mandate` and runs the service; south's heartbeats say that it has it at 5. */
  function heard(mandate: number, heartbeats: number): NodeState {
    const node = nodeInView(config, [1, 2])
    const votes = ["north", "south"].map(
      (voter) => [voter, { epoch: epoch(mandate), until: at(9000), own: true }] as const,
    )
    const state = ticketOf(node)
    node.tickets = new Map([
      [main, { ...state, epoch: epoch(mandate), gainedAt: at(1000), votes: new Map(votes) }],
    ])
    const activation = `${mandate}.0.7.3`
    const assignment = { owner: nodeId(1), incarnation: incarnation(1), epoch: activation, revoked: false }
    const services = node.ordered.services.map((record) => ({ ...record, assignment }))
    node.ordered = { ...node.ordered, services }
    const running = { phase: "running", epoch: activation, deadline: at(2000) } as const
    node.activations = new Map([...node.activations].map(([name, each]) => [name, { ...each, ...running }]))
    say(node, { 1: told("running", activation) })
    for (let count = 0; count < heartbeats; count += 1) hear(node, [[0, 5]])
    return node
  }

  function hear(node: NodeState, active: readonly (readonly [number, number])[]): void {
    const message = {
      kind: "heartbeat",
      site: south,
      checksum: "",
      members: [],
      tickets: [],
      active,
    } as const
    noteActiveElsewhere(turnAt(node, 1250), south, message)
  }

  function placement(node: NodeState) {
    const [service] = node.config.services
    if (service === undefined) throw new Error("the layout has a service")
    return placementOf(node, service, at(1250))
  }

  test("one heartbeat may have been on its way while the service moved; the second counts", () => {
    expect(kinds(heard(3, 1))).toEqual([])
    expect(heard(3, 2).recent.at(-1)).toMatchObject({ kind: "dual-active", cause: "e5" })
  })

  test("a node that stood still, and hears at once what was said meanwhile, does not count it", () => {
    const woken = heard(3, 0)
    if (woken.ring !== undefined) woken.ring = { ...woken.ring, lease: at(1249) }
    const lapsed = heard(3, 0)
    lapsed.activations = new Map(
      [...lapsed.activations].map(([name, each]) => [name, { ...each, deadline: at(1249) }]),
    )
    for (const node of [woken, lapsed]) {
      for (let count = 0; count < 5; count += 1) hear(node, [[0, 5]])
      expect(kinds(node)).toEqual([])
    }
  })

  test("[S17] the site with the lower mandate epoch stops it in maintenance, too", () => {
    const node = heard(3, 2)
    node.ordered = { ...node.ordered, maintenance: true }
    expect(placement(node)).toMatchObject({ kind: "revoke", reason: "active-at-another-site" })
  })

  test("the site with the lower mandate epoch stops it, and does not start it meanwhile", () => {
    const node = heard(3, 2)
    expect(placement(node)).toEqual({ kind: "revoke", epoch: "3.0.7.3", reason: "active-at-another-site" })
    node.ordered = {
      ...node.ordered,
      services: node.ordered.services.map((record) => ({ ...record, assignment: undefined })),
    }
    say(node, { 1: told("stopped") })
    expect(kinds(node)).toEqual(["dual-active", "dual-active-ended"])
    hear(node, [[0, 5]])
    expect(placement(node)).toEqual({ kind: "hold", reason: "active at site south" })
    hear(node, [])
    expect(placement(node)).toMatchObject({ kind: "assign" })
  })

  test("the one with the higher epoch goes on", () => {
    expect(placement(heard(7, 9))).toEqual({ kind: "hold", reason: "assigned" })
    expect(kinds(heard(7, 9))).toEqual(["dual-active"])
  })

  test("a heartbeat tells as many as its frame has room for, and is never lost for them", () => {
    const active = Array.from({ length: 32 }, (_, index) => [index, 4_000_000_000] as const)
    const heartbeat = (tickets: number) => {
      const each = (_: unknown, index: number) => ({
        ticket: ticketName(`ticket${index}`),
        epoch: epoch(7),
        held: true,
      })
      const message = { kind: "heartbeat", site: south, checksum: "", members: [] } as const
      const bound = Array.from({ length: tickets }, (_, index) => [index, 1, millis(10_000)] as const)
      return heartbeatWith({ ...message, tickets: Array.from({ length: tickets }, each), bound }, active)
    }
    const told = (tickets: number) =>
      (heartbeat(tickets) as { readonly active?: readonly unknown[] }).active?.length
    expect(told(1)).toBe(32)
    expect(told(12)).toBeGreaterThan(10)
    expect(told(12)).toBeLessThan(32)
    expect(JSON.stringify(heartbeat(12)).length).toBeLessThanOrEqual(frameLimits.textBytes)
    expect(told(40)).toBeUndefined()
    expect(heartbeat(12)).toHaveProperty("bound")
    expect(heartbeat(40)).not.toHaveProperty("bound")
  })

  test("what a silent site said last does not count", () => {
    const node = heard(3, 2)
    const state = node.sites.get(south)
    if (state === undefined) throw new Error("there is a south")
    node.sites = new Map([[south, { ...state, silent: true }]])
    expect(placement(node)).toEqual({ kind: "hold", reason: "assigned" })
  })
})
