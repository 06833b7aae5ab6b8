/**
 * What the coordinator of a view does at each chance (SPEC VL, M, S): claims, renews, assigns. One member of each view;
 * the others deliver what it orders. Everything it decides follows from ordered state, rights and the clock, so that a
 * new coordinator goes on where the old one stopped.
 */
import type { ServiceConfig } from "../../protocol/cluster.ts"
import { voiceLease } from "../../protocol/lease.ts"
import { earliest, epoch, type Instant } from "../../protocol/units.ts"
import { type Derivation, keeping } from "./derived.ts"
import { watchDualActive } from "./dual-active.ts"
import { agingFailures, forgetFailures } from "./failures.ts"
import { fenceNodes, isPersonNeeded, nextFencing } from "./fencing.ts"
import { driveMandates, mandateOccasions, moveOf, releaseMandate } from "./mandate.ts"
import { memoWritten, type Plan, performWaitingActs } from "./memo.ts"
import { failbacks, isSettled, type Placement, placementOf } from "./placement.ts"
import { hasMandate, hasVoice, mandateUntil, needsMandate } from "./rights.ts"
import { order } from "./ring.ts"
import { type Lasting, lastedAt, noteSince } from "./since.ts"
import type { NodeState, TicketState } from "./state.ts"
import { report, type Turn, upcoming, withEntry } from "./turn.ts"
import { beginAct, isDriving, updateView } from "./view.ts"
import { postIfDue } from "./witness.ts"

export function coordinate(turn: Turn): void {
  const { node, now } = turn
  if (!isDriving(node)) return
  watchDualActive(turn)
  noteSince(node, lastingOf(node, now), now)
  const decisions = decisionsOf(node, now)
  if (hasVoice(node, now)) act(turn, decisions)
  postIfDue(turn, decisions.plans)
}

const lasting: Derivation<readonly Lasting[]> = {
  parts: ["config", "ordered", "view"],
  derive: (node) => ({ value: [...agingFailures(node), ...failbacks(node)], until: undefined }),
}

const lastingOf = keeping(lasting)

/** What is to be done with each service, as things stand. */
interface Decisions {
  readonly placements: readonly Placed[]
  /** What is about to be assigned, a proof's wait included: the memo names it before it happens. */
  readonly plans: readonly Plan[]
}

interface Placed {
  readonly service: ServiceConfig
  readonly placement: Placement
}

const decisions: Derivation<Decisions> = {
  parts: ["config", "self", "view", "ordered", "tickets", "peers", "sites", "health"],
  derive: (node, now) => {
    const placements = placementsOf(node, now)
    return { value: { placements, plans: plansOf(placements) }, until: standingUntil(node, placements, now) }
  },
}

const decisionsOf = keeping(decisions)

/** One after the other: what is decided for one counts for those that must not share a node with it (SPEC S18). */
function placementsOf(node: NodeState, now: Instant): readonly Placed[] {
  const planned = new Map(node.view?.assigning)
  return node.config.services.map((service) => {
    const placement = placementOf(node, service, now, planned)
    if (placement.kind === "assign" || placement.kind === "wait") planned.set(service.name, placement.node)
    return { service, placement }
  })
}

function plansOf(placements: readonly Placed[]): readonly Plan[] {
  return placements.flatMap(({ service, placement }) =>
    placement.kind === "assign" || placement.kind === "wait"
      ? [{ service: service.name, node: placement.node }]
      : [],
  )
}

/** The first of the instants ahead that a placement compares with the present: a mandate's end, a proof, what lasts. */
function standingUntil(node: NodeState, placements: readonly Placed[], now: Instant): Instant | undefined {
  const instants = [
    ...[...node.tickets.values()].map((ticket) => mandateUntil(node, ticket)),
    ...placements.map(({ placement }) => (placement.kind === "wait" ? placement.at : undefined)),
    ...lastingOf(node, now).map((each) => lastedAt(node, each)),
  ]
  return earliest(...instants.filter((each) => each !== undefined && each > now))
}

function act(turn: Turn, { placements, plans }: Decisions): void {
  const { node } = turn
  driveMandates(turn)
  performWaitingActs(turn, plans)
  giveMandatesUp(turn)
  forgetFailures(turn)
  const written = plans.length === 0 || memoWritten(turn, plans)
  let lookAgain: Instant | undefined
  for (const { service, placement } of placements) {
    if (placement.kind === "blocked") fenceNodes(turn, placement.nodes)
    noteBlocked(turn, service, placement)
    if (placement.kind === "wait") lookAgain = earliest(lookAgain, placement.at)
    if (placement.kind === "revoke" && beginAct(node, `revoke:${service.name}:${placement.epoch}`)) {
      order(turn, { kind: "revoke", service: service.name, epoch: placement.epoch })
    }
    if (placement.kind === "assign" && written) assign(turn, service, placement.node)
  }
  if (node.view?.lookAgain !== lookAgain) updateView(node, () => ({ lookAgain }))
}

function assign(turn: Turn, service: ServiceConfig, to: Plan["node"]): void {
  const { node } = turn
  if (mayHaveForgotten(turn)) return
  const incarnation = node.view?.incarnations.get(to)
  const ticket = node.tickets.get(service.ticket)
  if (incarnation === undefined || ticket === undefined || !beginAct(node, `assign:${service.name}`)) return
  updateView(node, (view) => ({ assigning: withEntry(view.assigning, service.name, to) }))
  const mandate = needsMandate(node, service.ticket) ? ticket.epoch : epoch(0)
  const seen = node.witness.watches.get(voiceLease(node.self.site))?.epoch ?? 0
  const voice = epoch(Math.max(node.ordered.voiceEpoch, node.view?.voice.epoch ?? 0, seen))
  order(turn, { kind: "assign", service: service.name, node: to, incarnation, mandate, voice })
}

/** A member lost its record, and the witness has not told yet which voice epochs there were: they must not fall. */
function mayHaveForgotten(turn: Turn): boolean {
  const { node, now } = turn
  const amnesiac = [...(node.view?.amnesia.values() ?? [])].some((until) => until > now)
  const told = node.witness.watches.has(voiceLease(node.self.site))
  return node.config.witness !== undefined && amnesiac && !told
}

/**
 * An operator sent the ticket elsewhere: once nothing of it runs here, the mandate is released. One that was lost meanwhile is
 * released as well, for the order ends with it; an owner that is away has outlived its rights by now.
 */
function giveMandatesUp(turn: Turn): void {
  const { node, now } = turn
  for (const state of node.tickets.values()) {
    const next = moveOf(node, state.ticket)
    if (next === undefined || !needsMandate(node, state.ticket) || isBeingReleased(node, state)) continue
    const services = node.config.services.filter((service) => service.ticket === state.ticket)
    const isHeld = hasMandate(node, state, now)
    const running = services.some((service) =>
      isHeld ? isAssigned(node, service) : isActingHere(node, service),
    )
    const starting = services.some(({ name }) => node.view?.underWay.has(`assign:${name}`))
    const stopped = services.every((service) => isSettled(node, service, now))
    if (!running && !starting && beginAct(node, `release:${state.ticket}:${state.epoch}`))
      releaseMandate(turn, state, { next, stopped })
  }
}

/** Its release was ordered, and is counted from its receipt on (SPEC M11); with its delivery the order to move ends. */
function isBeingReleased({ view }: NodeState, { ticket, epoch: at, givenUp }: TicketState): boolean {
  return at === 0 && view?.underWay.has(`release:${ticket}:${givenUp}`) === true
}

function isAssigned(node: NodeState, { name }: ServiceConfig): boolean {
  return node.ordered.services.some((record) => record.service === name && record.assignment !== undefined)
}

/** On a member that has not told that it stopped it. */
function isActingHere({ view }: NodeState, { name, nodes }: ServiceConfig): boolean {
  const members = view?.members.filter((member) => nodes.includes(member)) ?? []
  return members.some((member) => view?.phases.get(member)?.get(name)?.phase !== "stopped")
}

/** A service without proof is loud, once for each view, unless a fence device is about to give the proof. */
function noteBlocked(turn: Turn, service: ServiceConfig, placement: Placement): void {
  if (placement.kind !== "blocked") return
  if (!placement.nodes.some((id) => isPersonNeeded(turn.node, id))) return
  if (!beginAct(turn.node, `blocked:${service.name}`)) return
  const names = placement.nodes.map(
    (id) => turn.node.config.nodes.find((each) => each.id === id)?.name ?? String(id),
  )
  report(
    turn,
    "critical",
    "service-blocked",
    service.name,
    `no proof that ${names.join(", ")} stopped: fence confirm`,
  )
}

/** When the coordinator has something to do, if nothing else happens. */
export function nextCoordination(node: NodeState): Instant | undefined {
  return isDriving(node) ? upcoming(node, occasionsOf(node, node.steppedAt)) : undefined
}

/** Instants at which something may be due, past ones too. */
const occasions: Derivation<readonly (Instant | undefined)[]> = {
  parts: ["config", "self", "view", "ordered", "tickets", "witness", "fencing", "strangersFencedFrom"],
  derive: (node, now) => ({
    value: [
      node.view?.activateAt,
      node.view?.lookAgain,
      ...mandateOccasions(node),
      ...lastingOf(node, now).map((each) => lastedAt(node, each)),
      ...nextFencing(node),
    ],
    until: undefined,
  }),
}

const occasionsOf = keeping(occasions)
