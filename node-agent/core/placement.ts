/**
 * What may start here, and on what proof (SPEC S). Pure: the coordinator asks for each service what is to be done now. A
 * takeover needs one proof for every absent node that may own the service; a service without proof is blocked and loud.
 */

import { never } from "../../protocol/assert.ts"
import type { ServiceConfig } from "../../protocol/cluster.ts"
import {
  after,
  type Epoch,
  type Instant,
  instant,
  type Millis,
  millis,
  type NodeId,
  stretched,
} from "../../protocol/units.ts"
import { resetSurelyAfter } from "../../protocol/watchdog.ts"
import { isUnable } from "./activations.ts"
import { type Candidacy, failbackOf, isAble, noNodeAble, targetOf } from "./candidates.ts"
import { outrankingSite } from "./dual-active.ts"
import { moveOf } from "./mandate.ts"
import { isLeftAlone } from "./ordered.ts"
import { hasMandate, needsMandate } from "./rights.ts"
import { hasLasted, type Lasting } from "./since.ts"
import type { Assignment, NodeState, TicketState, View } from "./state.ts"

export type Placement =
  | { readonly kind: "assign"; readonly node: NodeId }
  /** The proof is complete at `at`. */
  | { readonly kind: "wait"; readonly node: NodeId; readonly at: Instant }
  | { readonly kind: "revoke"; readonly epoch: string; readonly reason: string }
  | { readonly kind: "hold"; readonly reason: string }
  /** No proof that these nodes no longer act: an operator has to say so. */
  | { readonly kind: "blocked"; readonly nodes: readonly NodeId[] }

/** `planned`: where the other services are about to be assigned. */
export function placementOf(
  node: NodeState,
  service: ServiceConfig,
  now: Instant,
  planned = node.view?.assigning ?? noPlan,
): Placement {
  const record = node.ordered.services.find((each) => each.service === service.name)
  const ticket = node.tickets.get(service.ticket)
  const { view } = node
  if (record === undefined || ticket === undefined || view === undefined) return hold("unknown")
  if (!configurationAgrees(node, view)) return hold("configuration-mismatch")
  const situation = { service, record, ticket, view, now, planned }
  const isLeft = isLeftAlone(node.ordered, service.name)
  const { assignment } = record
  const owner = assignment?.owner
  const present =
    assignment !== undefined && view.incarnations.get(assignment.owner) === assignment.incarnation
  if (assignment !== undefined && owner !== undefined && present) {
    if (assignment.revoked) return hold(`stopping on node ${owner}`)
    const over = reasonOver(node, situation, assignment)
    const reason = over ?? (isLeft ? undefined : reasonToRevoke(node, situation, assignment))
    if (reason === undefined) return hold(isLeft ? inMaintenance : "assigned")
    return { kind: "revoke", epoch: assignment.epoch, reason }
  }
  if (isLeft) return hold(inMaintenance)
  return takeover(node, situation)
}

const noPlan: Candidacy["planned"] = new Map()

/** Services that would rather be on an earlier one of their nodes, each with the time it has to be able before. */
export function failbacks(node: NodeState): readonly Lasting[] {
  const { view } = node
  if (view === undefined) return []
  return node.config.services.flatMap((service) => {
    const record = node.ordered.services.find((each) => each.service === service.name)
    if (service.failbackAfter === undefined || record?.assignment === undefined) return []
    const candidacy = { service, record, view, planned: view.assigning }
    return failbackOf(node, candidacy, record.assignment.owner) ?? []
  })
}

const inMaintenance = "in maintenance"

/** What ends an assignment in maintenance, too: its right is gone, or about to be by what was ordered before. */
function reasonOver(
  node: NodeState,
  { service, ticket, view }: Situation,
  { owner, epoch }: Assignment,
): string | undefined {
  if (moveOf(node, ticket.ticket) !== undefined) return "ticket-moves"
  if (needsMandate(node, ticket.ticket) && mandateOf(epoch) !== ticket.epoch) return "mandate-changed"
  if (outrankingSite(node, service.name, mandateOf(epoch)) !== undefined) return "active-at-another-site"
  return view.departing.includes(owner) ? "owner-departs" : undefined
}

function reasonToRevoke(node: NodeState, situation: Situation, { owner }: Assignment): string | undefined {
  const { service, record, view, now } = situation
  if (record.wanted === "stopped") return "stop-ordered"
  if (node.ordered.standby?.includes(owner)) return "owner-standby"
  const told = view.phases.get(owner)?.get(service.name)
  if (told?.phase === "stopped" && isUnable(told.reason)) return "owner-cannot-start"
  const { preferred } = record
  const better = preferred !== undefined && preferred !== owner && isAble(node, situation, preferred)
  if (better) return "move-ordered"
  const failback = failbackOf(node, situation, owner)
  return failback !== undefined && hasLasted(node, failback, now) ? "failback" : undefined
}

interface Situation extends Candidacy {
  readonly ticket: TicketState
  readonly now: Instant
}

function takeover(node: NodeState, situation: Situation): Placement {
  const { service, record, ticket, view, now } = situation
  if (record.wanted === "stopped") return hold("stopped by an operator")
  if (moveOf(node, ticket.ticket) !== undefined) return hold("ticket moves to another site")
  if (record.mode === "manual" && !record.summoned) return hold("manual")
  if (needsMandate(node, ticket.ticket) && !hasMandate(node, ticket, now)) return hold("no mandate")
  const elsewhere = outrankingSite(node, service.name, ticket.epoch)
  if (elsewhere !== undefined) return hold(`active at site ${elsewhere}`)
  const busy = view.members.find(
    (member) => service.nodes.includes(member) && !isStopped(view, service, member),
  )
  if (busy !== undefined) return hold(`not confirmed stopped on node ${busy}`)
  const target = targetOf(node, situation)
  if (target === undefined) return hold(noNodeAble(node, situation))
  return proven(node, situation, target)
}

function isStopped(view: View, service: ServiceConfig, member: NodeId): boolean {
  return view.phases.get(member)?.get(service.name)?.phase === "stopped"
}

/** One proof for every absent node that may own it (SPEC S2). */
function proven(node: NodeState, situation: Situation, target: NodeId): Placement {
  const { service, now } = situation
  const suspects = nodesToProve(node, situation)
  if (suspects.length === 0) return { kind: "assign", node: target }
  const margin = marginOf(node, service, suspects)
  if (margin !== undefined) {
    const at = after(rightsOver(node, situation), margin)
    return now >= at ? { kind: "assign", node: target } : { kind: "wait", node: target, at }
  }
  const open = suspects.filter((suspect) => !isConfirmed(node, situation, suspect))
  return open.length === 0 ? { kind: "assign", node: target } : { kind: "blocked", nodes: open }
}

/** How long after their rights were over the suspects surely no longer act; `undefined`: time proves nothing. */
function marginOf(
  node: NodeState,
  { proof }: ServiceConfig,
  suspects: readonly NodeId[],
): Millis | undefined {
  const { nodes, timings } = node.config
  switch (proof.kind) {
    case "self-lease":
      return stretched(proof.margin, timings.rho)
    case "watchdog": {
      const timeouts = nodes.flatMap(({ id, watchdog }) =>
        watchdog !== undefined && suspects.includes(id) ? [watchdog.timeout] : [],
      )
      return resetSurelyAfter(millis(Math.max(...timeouts)), timings.rho)
    }
    // It closes with the lease, by the kernel's own hand, and no later (SPEC G2).
    case "gate":
      return millis(0)
    case "operator":
      return undefined
    default:
      return never(proof)
  }
}

/** The instant at which all deadlines of any old owner have passed. */
function rightsOver(node: NodeState, { service, ticket, view }: Situation): Instant {
  const mandate = needsMandate(node, service.ticket)
    ? (ticket.gainedAt ?? instant(Number.POSITIVE_INFINITY))
    : view.activateAt
  // A vacant or rebound voice: views that spoke share a member, whose debts `activateAt` has counted (SPEC S10).
  const voice =
    view.standing.kind === "needs-witness" && view.voice.waitedOut
      ? (view.voice.grantedAt ?? instant(Number.POSITIVE_INFINITY))
      : view.activateAt
  return instant(Math.max(view.activateAt, mandate, voice))
}

/**
 * Absent nodes that may own it: of this site the owner in the state, if nothing can have happened since, otherwise every
 * absent node able to run it; of other sites every one, unless their mandate was released with all owners stopped.
 */
function nodesToProve(node: NodeState, situation: Situation): readonly NodeId[] {
  return [...localSuspects(node, situation), ...remoteSuspects(node, situation)]
}

function localSuspects(node: NodeState, { service, record, view }: Situation): readonly NodeId[] {
  const away = service.nodes.filter((id) => siteOf(node, id) === node.self.site && !view.members.includes(id))
  if (record.doubt) return away
  return away.filter((id) => id === record.assignment?.owner || record.unstopped.includes(id))
}

/** Where it was assigned since the mandate was gained no other site has acted since: that rested on proof. */
function remoteSuspects(node: NodeState, { service, record, ticket }: Situation): readonly NodeId[] {
  const ownBefore = record.assignment !== undefined && mandateOf(record.assignment.epoch) === ticket.epoch
  const proven = ownBefore || ticket.proven.includes(service.name)
  const released = ticket.releasedEpoch >= ticket.epoch - 1
  if (!needsMandate(node, service.ticket) || proven || released) return []
  return service.nodes.filter((id) => siteOf(node, id) !== node.self.site)
}

function siteOf(node: NodeState, id: NodeId): string | undefined {
  return node.config.nodes.find((each) => each.id === id)?.site
}

/** An operator vouched in this view for this start of the node and, where a mandate is needed, at its present epoch. */
function isConfirmed(node: NodeState, { record, ticket }: Situation, suspect: NodeId): boolean {
  const needed = record.assignment?.owner === suspect ? record.assignment.incarnation : 0
  return node.ordered.confirmations.some(
    (entry) =>
      entry.node === suspect &&
      entry.incarnation >= needed &&
      entry.mandates.some((vouched) => vouched.ticket === ticket.ticket && vouched.epoch === ticket.epoch),
  )
}

/** No earlier owner of the service can act any more: it was assigned at this epoch, or there is nobody to prove. */
export function isSettled(node: NodeState, service: ServiceConfig, now: Instant): boolean {
  const record = node.ordered.services.find((each) => each.service === service.name)
  const ticket = node.tickets.get(service.ticket)
  const { view } = node
  if (record === undefined || ticket === undefined || view === undefined || record.assignment !== undefined)
    return false
  const situation = { service, record, ticket, view, now, planned: noPlan }
  const assignedHere = record.provenAt === ticket.epoch && ticket.epoch > 0
  return (
    localSuspects(node, situation).length === 0 &&
    (assignedHere || remoteSuspects(node, situation).length === 0)
  )
}

/** Members whose configuration differs lock all services (SPEC S11): nothing is ordered until they agree. */
export function configurationAgrees(node: NodeState, view: View): boolean {
  return view.members.every((member) => {
    const told = node.peers.get(member)?.health?.configChecksum
    return told === undefined || told === node.health.configChecksum
  })
}

/** The mandate part of an activation's epoch. */
export function mandateOf(activation: string): Epoch {
  return Number(activation.split(".")[0]) as Epoch
}

function hold(reason: string): Placement {
  return { kind: "hold", reason }
}
