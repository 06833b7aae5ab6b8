/** A view at some instant, and where a service may then start: for the tests of placement and of proofs. */
import { placementOf } from "../../../node-agent/core/placement.ts"
import type { NodeState, ServiceRecord, TicketState, View } from "../../../node-agent/core/state.ts"
import type { ClusterConfig } from "../../../protocol/cluster.ts"
import { epoch, incarnation, nodeId, serviceName } from "../../../protocol/units.ts"
import { service } from "../../support/config-builder.ts"
import { configOf, floating } from "../../support/layouts.ts"
import { at, main, nodeInView, ticketOf, turnAt } from "./node-builder.ts"

export const ledger = serviceName("ledger")
export const three = configOf("1x3")
export const guarded = configOf("1x3", { service: [service("ledger", { proof: "operator" })] })
export const sites = configOf("2x2")
export const gated = configOf("1x3", { service: [service("ledger", floating)] })
export const guardedSites = configOf("2x2", { service: [service("ledger", { proof: "operator" })] })

export interface Situation {
  /** The service that is asked for; the first one if it is not said. */
  readonly of?: string
  readonly config?: ClusterConfig
  readonly members?: readonly number[]
  readonly record?: Partial<ServiceRecord>
  readonly view?: Partial<View>
  readonly ticket?: Partial<TicketState>
  readonly now?: number
  readonly change?: (node: NodeState) => void
}

export function placed({ config = three, members = [1, 2], now = 1200, ...more }: Situation): string {
  const node = nodeInView(config, members, more.view)
  node.ordered = {
    ...node.ordered,
    services: node.ordered.services.map((record) => ({ ...record, ...more.record })),
  }
  node.tickets = new Map([[main, { ...ticketOf(node), ...more.ticket }]])
  more.change?.(node)
  const found = config.services.find(({ name }) => more.of === undefined || name === more.of)
  if (found === undefined) throw new Error("no service")
  const placement = placementOf(node, found, turnAt(node, now).now)
  switch (placement.kind) {
    case "assign":
      return `assign ${placement.node}`
    case "wait":
      return `wait ${placement.node} ${Math.round(placement.at)}`
    case "revoke":
      return `revoke ${placement.reason}`
    case "hold":
      return `hold ${placement.reason}`
    case "blocked":
      return `blocked ${placement.nodes.join()}`
  }
}

export const owned = (
  owner: number,
  more: Partial<NonNullable<ServiceRecord["assignment"]>> = {},
  mandate = 0,
) => ({
  assignment: {
    owner: nodeId(owner),
    incarnation: incarnation(1),
    epoch: `${mandate}.0.7.3`,
    revoked: false,
    ...more,
  },
})

export const phase = (told: Partial<Record<number, string>>, members = [1, 2]) => ({
  phases: new Map(
    members.map((id) => [
      nodeId(id),
      new Map([[ledger, { phase: (told[id] ?? "stopped") as "stopped", epoch: undefined, reason: "" }]]),
    ]),
  ),
})

export const mandate = (of: number, gainedAt = 1100): Partial<TicketState> => ({
  epoch: epoch(of),
  gainedAt: at(gainedAt),
  votes: new Map([
    ["north", { epoch: epoch(of), until: at(9000), own: true }],
    ["south", { epoch: epoch(of), until: at(9000), own: true }],
  ]),
})

export const standby =
  (...members: readonly number[]) =>
  (node: NodeState) => {
    node.ordered = { ...node.ordered, standby: members.map(nodeId) }
  }

export const maintained = (node: NodeState) => {
  node.ordered = { ...node.ordered, maintenance: true }
}

export const failures = (...counts: readonly number[]) => ({
  failures: counts.map((count, index) => ({ node: nodeId(index + 1), count })),
})
