/** Nodes for tests of single parts of the core: a real state with an installed view, at an instant of one's choosing. */

import type { DurableState } from "../../../node-agent/core/durable.ts"
import { createRing } from "../../../node-agent/core/ring.ts"
import { createNode } from "../../../node-agent/core/start.ts"
import type { NodeState, TicketState, View } from "../../../node-agent/core/state.ts"
import type { Turn } from "../../../node-agent/core/turn.ts"
import { createCryptography } from "../../../node-agent/host/cryptography.ts"
import type { ClusterConfig } from "../../../protocol/cluster.ts"
import {
  epoch,
  type Instant,
  incarnation,
  instant,
  type NodeId,
  nodeId,
  ticketName,
  wallTime,
} from "../../../protocol/units.ts"
import { viewStanding } from "../../../protocol/votes.ts"

export const main = ticketName("main")

export const at = (milliseconds: number): Instant => instant(milliseconds)

/** The configuration's first node, or `self`, started at instant 0 with `durable` on its disk. */
export function startedNode(
  config: ClusterConfig,
  self = 1,
  durable: DurableState | "lost" = freshState(config, self),
  gate: NodeState["gate"] = "none",
): NodeState {
  const { node } = createNode(
    {
      config,
      self: nodeId(self),
      durable: durable === "lost" ? undefined : durable,
      cryptography: createCryptography([{ id: 1, bytes: new Uint8Array(32) }]),
      ringKeys: [1],
      readConfiguration: () => undefined,
      sessionNonce: new Uint8Array(16),
      seed: 1,
      gate,
      wall: wallTime(1_800_000_000_000),
    },
    at(0),
  )
  node.durable = { ...node.durable, written: 1 }
  return node
}

/** A node in an operational view of `members`, installed at 1000 with its coordinator, lease until 1400, active at once. */
export function nodeInView(
  config: ClusterConfig,
  members: readonly number[],
  more: Partial<View> = {},
): NodeState {
  const node = startedNode(config)
  const ids = members.map(nodeId)
  const ring = { sequence: 7, representative: ids[0] ?? node.self.id, incarnation: incarnation(1) }
  const incarnations = new Map(ids.map((id) => [id, incarnation(1)]))
  node.ring = {
    ...createRing(ring, ids, incarnations, at(900), at(950)),
    handled: 5,
    lastHandling: at(1000),
    firstSent: at(1000),
    lease: at(1400),
  }
  node.membership = { kind: "operational", since: at(1000) }
  node.view = {
    ring,
    members: ids,
    incarnations,
    installedAt: at(1000),
    activateAt: at(1000),
    standing: viewStanding(config, node.self.site, ids),
    entitled: true,
    coordinator: node.self.id,
    voice: { deadline: undefined, own: false, epoch: epoch(0), grantedAt: undefined, waitedOut: true },
    phases: new Map(ids.map((id) => [id, stoppedServices(config)])),
    forgetful: [],
    voters: members.map(nodeId),
    asksWitness: false,
    amnesia: new Map(),
    departing: [],
    departed: [],
    underWay: new Set(),
    since: new Map(),
    assigning: new Map(),
    lookAgain: undefined,
    joint: undefined,
    proposed: undefined,
    memo: { stored: undefined, offered: undefined, acts: [] },
    memoPieces: [],
    ...more,
  }
  return node
}

function stoppedServices(config: ClusterConfig) {
  return new Map(
    config.services.map(({ name }) => [name, { phase: "stopped" as const, epoch: undefined, reason: "" }]),
  )
}

export function turnAt(node: NodeState, now: number): Turn {
  node.steppedAt = at(now)
  return { node, now: at(now), effects: [] }
}

export function ticketOf(node: NodeState, name = main): TicketState {
  const state = node.tickets.get(name)
  if (state === undefined) throw new Error(`no ticket ${name}`)
  return state
}

/** Messages that wait to be ordered. */
export function pendingOf(node: NodeState): readonly unknown[] {
  return (node.ring?.pending ?? []).map((payload) => JSON.parse(payload) as unknown)
}

export function ids(...numbers: readonly number[]): readonly NodeId[] {
  return numbers.map(nodeId)
}

export function freshState(config: ClusterConfig, self: number): DurableState {
  return {
    format: 1,
    cluster: config.name,
    node: nodeId(self),
    incarnation: incarnation(0),
    ringSequence: 0,
    voiceEpoch: epoch(0),
    tickets: [],
    pledges: [],
    witness: undefined,
    fresh: true,
  }
}
