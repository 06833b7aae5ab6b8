/**
 * The mandate (SPEC M): which site runs a ticket's services. The coordinator of a site with voice asks every voter for
 * its vote all the time while the site holds or wants the mandate; the mandate stands until the majority-th latest of
 * the deadlines, each counted from the first sending of its request.
 */
import { mandateLease } from "../../protocol/lease.ts"
import {
  after,
  elapsed,
  epoch,
  type Instant,
  instant,
  millis,
  type NodeId,
  type SiteId,
  type Ticket,
} from "../../protocol/units.ts"
import { mandateMajority, mandateVoters } from "../../protocol/votes.ts"
import { markOf } from "./configuration-spread.ts"
import { boundTo, updateTicket } from "./pledges.ts"
import { hasMandate, hasVoice, needsMandate } from "./rights.ts"
import { order } from "./ring.ts"
import { sendSiteMessage } from "./site-messages.ts"
import { siteStanding } from "./standing.ts"
import type { NodeState, TicketState } from "./state.ts"
import { report, type Turn, upcoming, withEntry } from "./turn.ts"
import { isHeldUp } from "./view.ts"
import { waitedOut, waitedOutAt } from "./watch.ts"

/** Requests that may still be answered; older ones are forgotten. */
const requestsMax = 24

/** Coordinator with voice: renews what is held, claims what is wanted. */
export function driveMandates(turn: Turn): void {
  const { node, now } = turn
  for (const state of node.tickets.values()) {
    if (!needsMandate(node, state.ticket)) continue
    if (!wantsToClaim(turn, state)) {
      if (state.claimingSince !== undefined)
        updateTicket(node, state.ticket, () => ({ claimingSince: undefined }))
      continue
    }
    if (state.nextClaim > now) continue
    if (claimsInVain(node, state, now)) standBack(turn, state)
    else claim(turn, state)
  }
}

/** Renewals without a majority after which a site stops claiming, so that two claimants cannot block each other. */
const patience = { first: 4, others: 2 }

function claimsInVain(node: NodeState, state: TicketState, now: Instant): boolean {
  if (state.claimingSince === undefined || hasMandate(node, state, now)) return false
  const renewals = rankOf(node, state) === 0 ? patience.first : patience.others
  return elapsed(state.claimingSince, now) > renewals * node.config.timings.renewal
}

/** Its own vote is free again for the other claimant; what was gathered for this epoch is void. */
function standBack(turn: Turn, state: TicketState): void {
  const { node, now } = turn
  const { renewal } = node.config.timings
  const holdOff = after(now, millis(2 * (rankOf(node, state) + 1) * renewal))
  updateTicket(node, state.ticket, () => ({ holdOff, claimingSince: undefined, nextClaim: holdOff }))
  const { ticket, epoch: at } = state
  order(turn, { kind: "unpledge", ticket, site: node.self.site, epoch: at, stopped: false, next: undefined })
}

/** Position among the ticket's sites: the first is preferred. */
function rankOf(node: NodeState, state: TicketState): number {
  const sites = node.config.tickets.find((ticket) => ticket.name === state.ticket)?.sites ?? []
  return Math.max(0, sites.indexOf(node.self.site))
}

/** Renewing, or worth trying: free to vote for itself, its turn has come, and a majority may be had. */
export function wantsToClaim(turn: Turn, state: TicketState): boolean {
  const { node, now } = turn
  if (moveOf(node, state.ticket) !== undefined) return false
  if (hasMandate(node, state, now)) return true
  // In maintenance it starts nothing: the mandate is for others (SPEC S17).
  if (node.ordered.maintenance === true) return false
  // A site that forgot its own votes forgot epochs too: by the end of its amnesia it has heard the others'.
  if (!mayPledge(node, now)) return false
  const bound = boundTo(state, now)
  if (bound !== undefined && bound.site !== node.self.site) return false
  if (state.holdOff !== undefined && state.holdOff > now) return false
  return (
    now >= claimFrom(node, state) && votesInReach(turn, state) >= mandateMajority(node.config, state.ticket)
  )
}

/** The site another one is to have the ticket, by order of an operator; undefined: none. */
export function moveOf(node: NodeState, ticket: Ticket): SiteId | undefined {
  const to = node.ordered.moves.find((move) => move.ticket === ticket)?.site
  return to === node.self.site ? undefined : to
}

/** Heartbeats of the other sites that must be missing before a holder seen in them counts as gone. */
const heartbeatsMissing = 3

/** Sites claim in the ticket's order of preference, one stagger apart, from when no other holder is seen any more. */
function claimFrom(node: NodeState, state: TicketState): Instant {
  const { claimStagger, wanHeartbeat } = node.config.timings
  const wait = millis(rankOf(node, state) * claimStagger)
  const sites = node.config.tickets.find((ticket) => ticket.name === state.ticket)?.sites ?? []
  const bound =
    state.pledge !== undefined && state.pledge.site !== node.self.site ? state.pledge.until : undefined
  // Of three sites two become free at the same time: the better one goes first.
  if (sites.length > 2 && bound !== undefined) return after(bound, wait)
  if (state.otherSeen !== undefined)
    return after(state.otherSeen, millis(heartbeatsMissing * wanHeartbeat + wait))
  return after(node.view?.activateAt ?? instant(Number.POSITIVE_INFINITY), wait)
}

function votesInReach(turn: Turn, state: TicketState): number {
  const { node, now } = turn
  return mandateVoters(node.config, state.ticket).filter((voter) => {
    if (voter.kind === "witness") return witnessInReach(turn, state)
    if (voter.site === node.self.site) return true
    const { heard, bound } = node.sites.get(voter.site) ?? {}
    const to = bound?.get(state.ticket)
    // One that claims too may stand back: who waits for what a claimant voted for itself waits as long as that one does.
    const isRival = to !== undefined && to.site === voter.site && !to.held
    if (to !== undefined && to.site !== node.self.site && !isRival && to.until > now) return false
    return heard !== undefined && elapsed(heard, now) < node.config.timings.wanSilent
  }).length
}

/** Vacant, ours, or waited out; an unknown lease may be vacant, while the witness answers at all. */
export function witnessInReach(turn: Turn, state: TicketState): boolean {
  const { node, now } = turn
  const name = mandateLease(state.ticket)
  const lease = node.witness.watches.get(name)?.lease
  if (node.witness.failures > 2 || node.witness.lastReply === undefined) return false
  if (lease?.holder === undefined) return true
  if (lease.holder.kind === "site" && lease.holder.site === node.self.site) return true
  return waitedOut(node, name, now) !== undefined
}

function claim(turn: Turn, state: TicketState): void {
  const { node, now } = turn
  const held = hasMandate(node, state, now)
  const at =
    held || (state.epoch > 0 && state.epoch >= state.heardEpoch) ? state.epoch : epoch(state.heardEpoch + 1)
  updateTicket(node, state.ticket, () => ({
    epoch: at,
    heardEpoch: epoch(Math.max(at, state.heardEpoch)),
    nextClaim: after(now, node.config.timings.renewal),
    claimingSince: held ? undefined : (state.claimingSince ?? now),
  }))
  if (!held) node.witness = { ...node.witness, urgent: true }
  for (const voter of mandateVoters(node.config, state.ticket)) {
    if (voter.kind === "witness") continue
    const id = noteRequest(turn, state.ticket, voter.site, at)
    if (voter.site === node.self.site)
      answerPledge(turn, node.self.id, { ticket: state.ticket, site: node.self.site, epoch: at, id })
    else askSite(turn, voter.site, { id, ticket: state.ticket, site: node.self.site, epoch: at })
  }
}

function noteRequest(turn: Turn, ticket: Ticket, voter: string, at: TicketState["epoch"]): number {
  const { node, now } = turn
  const id = node.incarnation * requestsOfStart + node.nextRequest
  node.nextRequest = (node.nextRequest + 1) % requestsOfStart
  updateTicket(node, ticket, (state) => {
    const kept = [...state.requests].slice(-requestsMax)
    return { requests: withEntry(new Map(kept), id, { voter, sent: now, epoch: at }) }
  })
  return id
}

/** Answers may come long after (they wait for the memo): none is taken for one to a request of a later start. */
const requestsOfStart = 2 ** 21

interface PledgeRequest {
  readonly id: number
  readonly ticket: Ticket
  readonly site: SiteId
  readonly epoch: TicketState["epoch"]
  readonly configuration?: string | undefined
  readonly file?: string | undefined
}

function askSite(turn: Turn, site: SiteId, request: PledgeRequest): void {
  for (const peer of turn.node.peers.values()) {
    if (peer.node.site !== site) continue
    const { checksum, confirmed } = markOf(turn.node)
    const own = confirmed ? { configuration: checksum } : { file: checksum }
    sendSiteMessage(turn, peer.node.id, { kind: "pledge-request", ...request, ...own })
  }
}

/** Coordinator: orders the pledge that `request` asks for, or says why not. Without voice the site is silent. */
export function answerPledge(turn: Turn, from: NodeId, request: PledgeRequest): void {
  const { node, now } = turn
  const state = node.tickets.get(request.ticket)
  if (state === undefined || !hasVoice(node, now) || node.view?.coordinator !== node.self.id) return
  if (isHeldUp(node.view)) return
  const refusal = refusalOf(turn, state, request)
  if (refusal !== undefined) {
    const answer = { granted: false, epoch: request.epoch, known: state.knownEpoch, reason: refusal }
    if (from !== node.self.id)
      sendSiteMessage(turn, from, {
        kind: "pledge-answer",
        id: request.id,
        ticket: request.ticket,
        ...answer,
      })
    return
  }
  const number = pledgeNumber(node, state, request, now)
  const { ticket, site, epoch: at, id } = request
  updateTicket(node, ticket, () => ({ ordering: { site, epoch: at, number } }))
  order(turn, { kind: "pledge", ticket, site, number, epoch: at, request: { node: from, id } })
}

function refusalOf(turn: Turn, state: TicketState, request: PledgeRequest): string | undefined {
  const { node, now } = turn
  const bound = boundTo(state, now)
  if (differs(node, request)) return "configuration-differs"
  if (bound !== undefined && bound.site !== request.site) return "pledged-to-other"
  if (state.ordering !== undefined && state.ordering.site !== request.site) return "pledging-to-other"
  if (!mayPledge(node, now)) return "amnesia"
  // A vote on its way counts like one that was given. A member that was away may bring along one that the site has long gone
  // beyond: it binds, and is not renewed.
  const { pledge, ordering, knownEpoch } = state
  const highest = Math.max(knownEpoch, ordering?.epoch ?? 0)
  const isRenewal = [pledge, ordering].some(
    (vote) => vote?.site === request.site && vote.epoch === request.epoch && vote.epoch === highest,
  )
  return isRenewal || request.epoch > highest ? undefined : "epoch-too-low"
}

/**
 * The sites count votes and durations by their configurations: once one was changed live they must have the same, whether a
 * ring has told it or, after a lost record, a file (SPEC LC7).
 */
function differs(node: NodeState, { site, configuration, file }: PledgeRequest): boolean {
  const { checksum, confirmed } = markOf(node)
  if (site === node.self.site || (!confirmed && configuration === undefined)) return false
  return (configuration ?? file) !== checksum
}

/** Members that lost their record do not count: without them the view must still speak for the site (SPEC M9). */
function mayPledge(node: NodeState, now: Instant): boolean {
  const { view } = node
  if (view === undefined) return false
  const remembering = view.voters.filter((member) => (view.amnesia.get(member) ?? now) <= now)
  const standing = siteStanding(node, remembering, view.joint)
  return (
    standing.kind === "majority-alone" ||
    (standing.kind === "needs-witness" && view.voice.deadline !== undefined && view.voice.deadline > now)
  )
}

/** The number of the pledge that is renewed, or one greater than any ever known and any an earlier view can have given. */
function pledgeNumber(node: NodeState, state: TicketState, request: PledgeRequest, now: Instant): number {
  const { ordering } = state
  if (ordering !== undefined) return ordering.epoch === request.epoch ? ordering.number : ordering.number + 1
  const bound = boundTo(state, now)
  const renewed = bound !== undefined && bound.epoch === request.epoch && bound.number === state.pledgeNumber
  return renewed ? bound.number : Math.max(state.pledgeNumber + 1, firstNumber(node))
}

/** Below 2^53: 19 bits of voice epoch, 24 of ring sequence, 10 for the pledges of one view. */
const pledgesOfView = 2 ** 10
const ringSequences = 2 ** 24

/**
 * Views that speak are ordered by voice epoch and ring sequence, and so are the numbers they give: a pledge that a broken
 * view had ordered and nobody else received is never taken for a later view's.
 */
function firstNumber(node: NodeState): number {
  const sequence = Math.min(node.view?.ring.sequence ?? 0, ringSequences - 1)
  return (node.ordered.voiceEpoch * ringSequences + sequence) * pledgesOfView
}

/** Gained and lost, for every member alike: the instant of the gain starts the proofs (SPEC S3). */
export function trackMandates(turn: Turn): void {
  const { node, now } = turn
  for (const state of node.tickets.values()) {
    if (!needsMandate(node, state.ticket)) continue
    const held = hasMandate(node, state, now)
    if (held === (state.gainedAt !== undefined)) continue
    updateTicket(node, state.ticket, () => ({ gainedAt: held ? now : undefined, proven: [] }))
    const subject = `${state.ticket}/${node.self.site}`
    if (node.view?.coordinator === node.self.id) {
      report(
        turn,
        held ? "info" : "critical",
        held ? "mandate-gained" : "mandate-lost",
        subject,
        `epoch ${state.epoch}`,
      )
    }
  }
}

/**
 * Coordinator: nothing of the ticket runs here, the mandate goes to the site the operator named. `stopped` says that no
 * owner anywhere can act any more; without it the next site needs its own proofs.
 */
export function releaseMandate(
  turn: Turn,
  state: TicketState,
  { next, stopped }: { readonly next: SiteId; readonly stopped: boolean },
): void {
  const { node, now } = turn
  const { ticket, epoch: at } = state
  updateTicket(node, ticket, () => ({ holdOff: after(now, millis(3 * node.config.timings.claimStagger)) }))
  order(turn, { kind: "unpledge", ticket, site: node.self.site, epoch: at, stopped, next })
}

/** When the coordinator has something to do for a mandate, if nothing else happens. */
export function nextMandateWork(node: NodeState): Instant | undefined {
  return upcoming(node, mandateOccasions(node))
}

/** Past ones too. */
export function mandateOccasions(node: NodeState): readonly (Instant | undefined)[] {
  return [...node.tickets.values()].flatMap((state) => {
    if (!needsMandate(node, state.ticket)) return []
    const bound = state.pledge?.site === node.self.site ? undefined : state.pledge?.until
    return [state.nextClaim, bound, waitedOutAt(node, mandateLease(state.ticket)), claimFrom(node, state)]
  })
}
