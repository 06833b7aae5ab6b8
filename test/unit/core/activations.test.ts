/** SPEC S1, S6, S10, S12: a service on its node, from assignment to the word that it stopped. */
import { describe, expect, test } from "vitest"
import { reconcileActivations } from "../../../node-agent/core/activations.ts"
import type { NodeEffect } from "../../../node-agent/core/effects.ts"
import type { FoundService, NodeEvent } from "../../../node-agent/core/events.ts"
import { step } from "../../../node-agent/core/node.ts"
import type { NodeState } from "../../../node-agent/core/state.ts"
import { incarnation, nodeId, serviceName } from "../../../protocol/units.ts"
import { service } from "../../support/config-builder.ts"
import { configOf, floating } from "../../support/layouts.ts"
import { at, nodeInView, pendingOf } from "./node-builder.ts"

const ledger = serviceName("ledger")
const config = configOf("1x3")
const E = "0.0.7.3"

/** Node 1 of a view of all, assigned the service at epoch E; its process for services is there, nothing runs. */
function assigned(plan = config): NodeState {
  const node = nodeInView(plan, [1, 2, 3], { coordinator: nodeId(2) })
  tell(node, 1010, { kind: "control-connected", found: [found("stopped")] })
  assign(node, E)
  return node
}

function assign(node: NodeState, epoch: string, revoked = false): void {
  const assignment = { owner: nodeId(1), incarnation: incarnation(1), epoch, revoked }
  node.ordered = {
    ...node.ordered,
    services: node.ordered.services.map((record) => ({ ...record, assignment })),
  }
  reconcileActivations({ node, now: at(1015), effects: [] })
}

const found = (state: FoundService["state"], epoch?: string): FoundService => {
  return { service: ledger, state, epoch, reason: undefined }
}

const tell = (node: NodeState, now: number, event: NodeEvent) => step(node, event, at(now))
const tick = (node: NodeState, now: number) => tell(node, now, { kind: "deadline-reached" })
const activation = (node: NodeState) => node.activations.get(ledger)
const operation = (node: NodeState) => activation(node)?.operation ?? -1

function kinds(effects: readonly NodeEffect[]): readonly string[] {
  return effects.flatMap((effect) => {
    if (effect.kind === "write-lease") return [`lease ${effect.deadline ?? "none"}`]
    return effect.kind === "start-service" || effect.kind === "stop-service" ? [effect.kind] : []
  })
}

function running(): NodeState {
  const node = assigned()
  tick(node, 1020)
  tell(node, 1030, { kind: "service-started", service: ledger, operation: operation(node) })
  return node
}

/** Phases told in ordered messages. */
const told = (node: NodeState) =>
  pendingOf(node)
    .filter((each) => (each as { readonly kind: string }).kind === "phase")
    .map((each) => each as { readonly phase: string; readonly epoch?: string; readonly failed: boolean })

/** The ring's lease as it would be after one more rotation. */
function renew(node: NodeState, lease: number): void {
  if (node.ring !== undefined)
    node.ring = { ...node.ring, lease: at(lease), firstSent: at(lease - 400), lastHandling: at(lease - 400) }
}

describe("starting", () => {
  test("[S1] with all rights in order: the lease file first, then the start, with the deadline", () => {
    const node = assigned()
    expect(kinds(tick(node, 1020))).toEqual(["lease 1400", "start-service"])
    expect(activation(node)).toMatchObject({ phase: "starting", epoch: E, deadline: 1400 })
  })

  test("[L7] not before activateAt", () => {
    const node = assigned()
    if (node.view !== undefined) node.view = { ...node.view, activateAt: at(1100) }
    expect(kinds(tick(node, 1099))).toEqual([])
    expect(kinds(tick(node, 1100))).toEqual(["lease 1400", "start-service"])
  })

  test("[S1] not without the ring, not without the process that starts it", () => {
    const away = assigned()
    away.control = "absent"
    expect(kinds(tick(away, 1020))).not.toContain("start-service")
    const gathering = assigned()
    gathering.ring = undefined
    expect(kinds(tick(gathering, 1020))).toEqual([])
  })

  test("[S1] an answer to another operation changes nothing", () => {
    const node = assigned()
    tick(node, 1020)
    tell(node, 1030, { kind: "service-started", service: ledger, operation: 999 })
    expect(activation(node)?.phase).toBe("starting")
  })
})

describe("renewing", () => {
  test("[L2] a deadline rises with the rights and never falls; the file is written again when it grew by an eighth of L", () => {
    const node = running()
    renew(node, 1449)
    expect(kinds(tick(node, 1050))).toEqual([])
    expect(activation(node)?.deadline).toBe(1449)
    renew(node, 1450)
    expect(kinds(tick(node, 1051))).toEqual(["lease 1450"])
    renew(node, 1300)
    tick(node, 1052)
    expect(activation(node)?.deadline).toBe(1450)
  })
})

describe("a new view", () => {
  test("[L9] until its activateAt what is left of an old deadline is used, and not raised", () => {
    const node = running()
    if (node.view !== undefined) node.view = { ...node.view, installedAt: at(1050), activateAt: at(1200) }
    renew(node, 1500)
    expect(kinds(tick(node, 1100))).toEqual([])
    expect(activation(node)).toMatchObject({ phase: "running", deadline: 1400 })
    expect(kinds(tick(node, 1200))).toEqual(["lease 1500"])
    expect(activation(node)).toMatchObject({ phase: "running", deadline: 1500 })
  })
})

describe("ending", () => {
  test("[S6] a right that lapsed ends the service one lease later, unless it came back", () => {
    const node = running()
    node.ring = undefined
    expect(kinds(tick(node, 1799))).toEqual([])
    expect(kinds(tick(node, 1800))).toEqual(["lease none", "stop-service"])
    expect(activation(node)).toMatchObject({ phase: "stopping", deadline: undefined })
  })

  test("[S7] a revoked one: the lease file says so before the stop", () => {
    const node = running()
    assign(node, E, true)
    expect(activation(node)?.phase).toBe("stopping")
  })

  test("[S6] [S12] once given up it is not taken up again; its stop is told with its epoch", () => {
    const node = running()
    tell(node, 1100, { kind: "service-died", service: ledger, resource: "daemon", reason: "gone" })
    expect(activation(node)?.phase).toBe("stopping")
    expect(kinds(tick(node, 1110))).toEqual([])
    const effects = tell(node, 1120, { kind: "service-stopped", service: ledger, operation: operation(node) })
    expect(kinds(effects)).toEqual([])
    expect(activation(node)).toMatchObject({ phase: "stopped", epoch: undefined })
    expect(told(node).at(-1)).toMatchObject({ phase: "stopped", epoch: E, failed: true })
  })

  test("[S10] a start that failed is stopped, to be sure, and told as failed", () => {
    const node = assigned()
    tick(node, 1020)
    const failed = {
      kind: "service-start-failed",
      service: ledger,
      operation: operation(node),
      reason: "no",
    } as const
    expect(kinds(tell(node, 1030, failed))).toEqual(["lease none", "stop-service"])
    tell(node, 1040, { kind: "service-stopped", service: ledger, operation: operation(node) })
    expect(told(node).at(-1)).toMatchObject({ phase: "stopped", epoch: E, failed: true })
  })

  test("[S12] a stop that failed is no proof; it is tried again after 5 s", () => {
    const node = running()
    assign(node, E, true)
    const stop = {
      kind: "service-stop-failed",
      service: ledger,
      operation: operation(node),
      reason: "busy",
    } as const
    tell(node, 1100, stop)
    expect(activation(node)?.phase).toBe("failed")
    expect(told(node).some(({ phase }) => phase === "stopped")).toBe(false)
    expect(kinds(tick(node, 6099))).toEqual([])
    expect(kinds(tick(node, 6100))).toContain("stop-service")
  })
})

describe("the gate", () => {
  const gated = configOf("1x3", { service: [service("ledger", floating)] })

  test("[S14] without it nothing whose proof it is starts, and the others are told; with it, it does", () => {
    const node = assigned(gated)
    expect(kinds(tick(node, 1020))).not.toContain("start-service")
    expect(told(node).at(-1)).toMatchObject({ phase: "stopped", reason: "no gate here" })
    expect(kinds(tell(node, 1030, { kind: "gate-changed", missing: undefined }))).toContain("start-service")
  })

  test("[S14] what needs no proof of it starts without", () => {
    expect(kinds(tick(assigned(), 1020))).toContain("start-service")
  })

  test("[S14] lost, it takes what it should guard with it", () => {
    const node = assigned(gated)
    tell(node, 1020, { kind: "gate-changed", missing: undefined })
    tell(node, 1030, { kind: "service-started", service: ledger, operation: operation(node) })
    expect(kinds(tell(node, 1040, { kind: "gate-changed", missing: "flushed" }))).toEqual([
      "lease none",
      "stop-service",
    ])
    expect(node.recent.map(({ kind }) => kind)).toEqual(["gate-restored", "gate-missing", "service-failed"])
  })

  test("[S14] lost, it leaves alone what it does not guard", () => {
    const node = running()
    node.gate = "ready"
    expect(kinds(tell(node, 1040, { kind: "gate-changed", missing: "flushed" }))).toEqual([])
  })
})

describe("the process that runs services", () => {
  test("[H2] its loss moves nothing: the right goes on", () => {
    const node = running()
    expect(kinds(tell(node, 1100, { kind: "control-lost" }))).toEqual([])
    renew(node, 1500)
    expect(kinds(tick(node, 1110))).toEqual(["lease 1500"])
  })

  test("[H2] back, it finds the service running at its epoch: nothing happens", () => {
    const node = running()
    tell(node, 1100, { kind: "control-lost" })
    expect(kinds(tell(node, 1200, { kind: "control-connected", found: [found("running", E)] }))).toEqual([])
    expect(activation(node)?.phase).toBe("running")
  })

  test.each<{ what: string; one: FoundService; phase: string }>([
    { what: "running at another epoch", one: found("running", "0.0.1.1"), phase: "stopping" },
    { what: "in an unknown state", one: found("unknown"), phase: "stopping" },
  ])("[H6] what it finds $what is stopped", ({ one, phase }) => {
    const node = nodeInView(config, [1, 2, 3], { coordinator: nodeId(2) })
    const effects = tell(node, 1100, { kind: "control-connected", found: [one] })
    expect(kinds(effects)).toContain("stop-service")
    expect(activation(node)?.phase).toBe(phase)
  })

  test("[S12] until it has looked nothing is told: what may run there is not known", () => {
    const node = nodeInView(config, [1, 2, 3], { coordinator: nodeId(2) })
    expect(activation(node)?.phase).toBe("unknown")
    tick(node, 1100)
    expect(told(node).some(({ phase }) => phase === "stopped")).toBe(false)
  })

  test("[S12] [H2] one that was being started and is found stopped: told as released, with its lease file closed", () => {
    const node = assigned()
    tick(node, 1020)
    expect(activation(node)?.phase).toBe("starting")
    tell(node, 1100, { kind: "control-lost" })
    const effects = tell(node, 1200, { kind: "control-connected", found: [found("stopped")] })
    expect(kinds(effects)).toEqual(["lease none"])
    expect(told(node).at(-1)).toMatchObject({ phase: "stopped", epoch: E })
  })

  test("[S12] a service found gone that should run is told as failed", () => {
    const node = running()
    tell(node, 1100, { kind: "control-lost" })
    tell(node, 1200, { kind: "control-connected", found: [found("stopped")] })
    if (activation(node)?.phase === "stopping")
      tell(node, 1210, { kind: "service-stopped", service: ledger, operation: operation(node) })
    expect(told(node).at(-1)).toMatchObject({ phase: "stopped", epoch: E, failed: true })
  })
})

describe("left alone", () => {
  const leave = (node: NodeState, maintenance: true | undefined) => {
    node.ordered = { ...node.ordered, maintenance }
  }
  const died: NodeEvent = {
    kind: "service-died",
    service: ledger,
    resource: "daemon",
    reason: "daemon: not running",
  }

  test("[S17] what a monitor finds has no consequence, however often, until maintenance is over", () => {
    const node = running()
    leave(node, true)
    for (const now of [1030, 1040]) {
      expect(kinds(tell(node, now, died))).toEqual([])
      expect(activation(node)).toMatchObject({ phase: "running", failed: false })
    }
    leave(node, undefined)
    expect(kinds(tell(node, 1050, died))).toEqual(["lease none", "stop-service"])
  })

  test("[S17] a right that lapsed ends the service as always", () => {
    const node = running()
    leave(node, true)
    node.ring = undefined
    expect(kinds(tick(node, 1799))).toEqual([])
    expect(kinds(tick(node, 1800))).toEqual(["lease none", "stop-service"])
  })

  test("[S17] what is assigned and has not begun begins when maintenance is over", () => {
    const node = assigned()
    leave(node, true)
    expect(kinds(tick(node, 1020))).not.toContain("start-service")
    leave(node, undefined)
    expect(kinds(tick(node, 1030))).toContain("start-service")
  })

  test.each([found("stopped"), found("unknown"), found("running")])(
    "[S17] a new control process that finds it $state changes nothing; afterwards it has failed",
    (what) => {
      const node = running()
      leave(node, true)
      tell(node, 1040, { kind: "control-lost" })
      expect(kinds(tell(node, 1050, { kind: "control-connected", found: [what] }))).toEqual([])
      expect(activation(node)).toMatchObject({ phase: "running", epoch: E, lost: true })
      leave(node, undefined)
      expect(kinds(tick(node, 1060))).toEqual(["lease none", "stop-service"])
      expect(activation(node)).toMatchObject({ phase: "stopping", failed: true, lost: false })
    },
  )

  test("[S17] a new control process that finds it running, as it left it, goes on", () => {
    const node = running()
    leave(node, true)
    tell(node, 1040, { kind: "control-lost" })
    expect(kinds(tell(node, 1050, { kind: "control-connected", found: [found("running", E)] }))).toEqual([])
    leave(node, undefined)
    expect(kinds(tick(node, 1060))).toEqual([])
  })
})
