/**
 * Pledges (SPEC M3-M7): this site's vote for a ticket, bound to one site for a duration. Ordered, stored by every member
 * before it is spoken, in the memo where the view needs the witness. A member holds the site bound until TTL' after its
 * own latest delivery; of two pledges the higher number counts, of one number the later end.
 */

import type { NodeId, Ticket } from "../../protocol/units.ts"
import {
  after,
  type Epoch,
  epoch,
  type Instant,
  type Millis,
  millis,
  stretched,
} from "../../protocol/units.ts"
import type { DurablePledge } from "./durable.ts"
import { afterMemo } from "./memo.ts"
import type { Message } from "./messages.ts"
import type { Report } from "./report.ts"
import type { NodeState, Pledge, TicketState } from "./state.ts"
import { risen } from "./stored.ts"
import { learnVote } from "./token-entries.ts"
import { log, persist, report, type Turn, withEntry } from "./turn.ts"

type PledgeMessage = Message & { readonly kind: "pledge" }
type UnpledgeMessage = Message & { readonly kind: "unpledge" }

/** TTL': how long a vote stays bound after its latest delivery. */
export function pledgeDuration(node: NodeState): Millis {
  const { mandateTtl } = node.configuration.longest
  return stretched(millis(Math.max(mandateTtl, node.config.timings.mandateTtl)), node.config.timings.rho)
}

/**
 * The longest TTL that pledges which still bind the site may have been given under: of the configuration before, too, until
 * that is over (SPEC LC5). Told to those who never had that one in use.
 */
export function bindingTtl({ config, configuration, steppedAt }: NodeState): Millis {
  const { longest, settledAt } = configuration
  const { mandateTtl } = config.timings
  const isSettled = settledAt === undefined || settledAt <= steppedAt
  return isSettled ? mandateTtl : millis(Math.max(longest.mandateTtl, mandateTtl))
}

/** The site's vote may not go to another site than this one now; undefined: it is free. */
export function boundTo(state: TicketState, now: Instant): Pledge | undefined {
  return state.pledge !== undefined && state.pledge.until > now ? state.pledge : undefined
}

export function updateTicket(
  node: NodeState,
  ticket: Ticket,
  change: (state: TicketState) => Partial<TicketState>,
): void {
  const state = node.tickets.get(ticket)
  if (state !== undefined) node.tickets = withEntry(node.tickets, ticket, { ...state, ...change(state) })
}

/** At receipt: a pledge that the disk does not have yet is written. Returns the write to wait for; undefined: none. */
export function storePledge(turn: Turn, message: PledgeMessage): number | undefined {
  const { node } = turn
  const { ticket, site, number, epoch: at } = message
  const stored = node.durable.state.pledges.find((pledge) => pledge.ticket === ticket)
  const known =
    stored !== undefined && stored.site === site && stored.number === number && stored.epoch === at
  if (!known) writePledge(turn, { ticket, site, number, epoch: at })
  return node.durable.written < node.durable.pledgeWrite ? node.durable.pledgeWrite : undefined
}

function writePledge(turn: Turn, pledge: DurablePledge): void {
  const { node } = turn
  const { pledges, tickets } = node.durable.state
  const known = tickets.find((entry) => entry.ticket === pledge.ticket)
  const entry = risen(pledge.ticket, known, { epoch: pledge.epoch, pledgeNumber: pledge.number })
  const pledgeWrite = persist(turn, {
    pledges: [...pledges.filter((each) => each.ticket !== pledge.ticket), pledge],
    tickets: [...tickets.filter((each) => each.ticket !== pledge.ticket), entry],
  })
  node.durable = { ...node.durable, pledgeWrite }
}

/** Safe: every member has it on its disk. The coordinator now gives its answer. */
export function afterPledge(turn: Turn, origin: NodeId, message: PledgeMessage): void {
  const { node, now } = turn
  const { ticket, site, number, epoch: at, request } = message
  const before = node.tickets.get(ticket)
  const bound = before === undefined ? undefined : boundTo(before, now)
  const mine = origin === node.self.id
  if (mine && bound !== undefined && bound.site !== site) {
    // Never expected from one coordinator at a time: it asked before it ordered. A vote bound elsewhere is not spoken.
    log(turn, "error", "pledge-conflict", { ticket, bound: bound.site, asked: site })
    updateTicket(node, ticket, (state) => ({
      ordering: state.ordering?.number === number ? undefined : state.ordering,
      pledgeNumber: Math.max(state.pledgeNumber, number),
    }))
    return
  }
  // The others go by the number alone: the origin's clock has judged, and theirs may be a little behind.
  notePledge(turn, message)
  if (site !== node.self.site) {
    tellGivenAway(turn, before)
    updateTicket(node, ticket, (state) => abandoned(state, now))
  }
  if (!mine) return
  updateTicket(node, ticket, (state) => (state.ordering?.number === number ? { ordering: undefined } : {}))
  if (request.node === node.self.id)
    afterMemo(turn, { kind: "own-vote", ticket, epoch: at, request: request.id })
  else afterMemo(turn, { kind: "pledge-answer", to: request.node, ticket, epoch: at, request: request.id })
}

/** The site voted for another one: whatever it claimed itself is over, and its next claim has a higher epoch. */
function abandoned(state: TicketState, now: Instant): Partial<TicketState> {
  return {
    ...givenAway(now),
    givenUp: maxEpoch(state.givenUp, state.epoch),
    heardEpoch: maxEpoch(state.heardEpoch, state.epoch),
  }
}

/** Whatever it held or claimed: nobody here knows that it was not given up (SPEC V12). */
export function abandonMandates(turn: Turn): void {
  for (const state of turn.node.tickets.values()) {
    tellGivenAway(turn, state)
    updateTicket(turn.node, state.ticket, (each) => abandoned(each, turn.now))
  }
}

/** A pledge that its view had ordered and some member had not delivered: bound all the same. */
export function pledgeRecovered(turn: Turn, message: PledgeMessage): void {
  storePledge(turn, message)
  notePledge(turn, message)
}

/** The higher number counts. One number names one pledge: another site under the same number is never believed. */
function displaces(pledge: Pick<Pledge, "site" | "number">, known: Pledge | undefined): boolean {
  if (known === undefined || pledge.number > known.number) return true
  return pledge.number === known.number && pledge.site === known.site
}

function notePledge(turn: Turn, message: PledgeMessage): void {
  const { node, now } = turn
  const { ticket, site, number, epoch: at } = message
  updateTicket(node, ticket, (state) => ({
    knownEpoch: epoch(Math.max(state.knownEpoch, at)),
    heardEpoch: epoch(Math.max(state.heardEpoch, at)),
    pledgeNumber: Math.max(state.pledgeNumber, number),
    pledge: displaces({ site, number }, state.pledge)
      ? { site, number, epoch: at, until: after(now, pledgeDuration(node)) }
      : state.pledge,
  }))
}

/**
 * Received, not delivered yet: from here on this member counts the votes for it no more. The coordinator tells the voters once
 * every member has received it, which is when it delivers; others may deliver it much later (SPEC M11).
 */
function heardUnpledge(turn: Turn, { ticket, site, epoch: at }: UnpledgeMessage): void {
  const { node, now } = turn
  if (site !== node.self.site) return
  const before = node.tickets.get(ticket)
  if ((before?.epoch ?? 0) <= at) tellGivenAway(turn, before)
  updateTicket(node, ticket, (state) => ({
    givenUp: maxEpoch(state.givenUp, at),
    heardEpoch: maxEpoch(state.heardEpoch, at),
    ...(state.epoch <= at ? givenAway(now) : {}),
  }))
}

/**
 * At receipt of a release by the own site: it is on the disk of every member before anybody is told, for a member that was away
 * still has live votes (SPEC M11). Returns the write to wait for; undefined: none.
 */
export function storeUnpledge(turn: Turn, message: UnpledgeMessage): number | undefined {
  const { node } = turn
  const { ticket, site, epoch: at } = message
  heardUnpledge(turn, message)
  if (site !== node.self.site) return undefined
  const { tickets } = node.durable.state
  const known = tickets.find((entry) => entry.ticket === ticket)
  if (at > (known?.givenUp ?? 0)) {
    const others = tickets.filter((each) => each.ticket !== ticket)
    const pledgeWrite = persist(turn, { tickets: [...others, risen(ticket, known, { givenUp: at })] })
    node.durable = { ...node.durable, pledgeWrite }
  }
  return node.durable.written < node.durable.pledgeWrite ? node.durable.pledgeWrite : undefined
}

/** The site it was pledged to gave the mandate up: the vote is free at once. A voter's restart forgets this: it waits. */
export function afterUnpledge(turn: Turn, message: UnpledgeMessage): void {
  const { ticket, site, epoch: at, stopped } = message
  heardUnpledge(turn, message)
  updateTicket(turn.node, ticket, (state) => ({
    pledge: state.pledge?.site === site && state.pledge.epoch <= at ? undefined : state.pledge,
    releasedEpoch: stopped ? maxEpoch(state.releasedEpoch, at) : state.releasedEpoch,
    // Heard of, not voted for: another site's claim in vain ends no vote that this one renews (SPEC M6).
    heardEpoch: maxEpoch(state.heardEpoch, at),
  }))
}

/** What the members of a new view know: highest numbers and epochs; obligations from now, rights from our own leaving. */
export function mergeTickets(turn: Turn, reports: readonly Report[], leftAt: Instant): void {
  const { node } = turn
  for (const { name } of node.config.tickets) updateTicket(node, name, () => ({ ordering: undefined }))
  for (const told of reports.flatMap((report) => report.tickets)) {
    updateTicket(node, told.ticket, (state) => ({
      knownEpoch: maxEpoch(state.knownEpoch, told.knownEpoch),
      heardEpoch: maxEpoch(state.heardEpoch, told.heardEpoch),
      pledgeNumber: Math.max(state.pledgeNumber, told.pledgeNumber),
      releasedEpoch: maxEpoch(state.releasedEpoch, told.releasedEpoch),
      givenUp: maxEpoch(state.givenUp, told.givenUp),
      ordering: undefined,
    }))
    if (told.pledge !== null) adoptPledge(turn, told.ticket, told.pledge, told.pledge.remaining)
    for (const { voter, epoch: at, remaining } of told.votes) {
      if (at === told.epoch)
        learnVote(node, told.ticket, voter, { epoch: at, until: after(leftAt, remaining), own: false })
    }
  }
}

/** A pledge known to others or to the memo: bound by it, and written, for at least `remaining` from now. */
export function adoptPledge(
  turn: Turn,
  ticket: Ticket,
  pledge: Omit<DurablePledge, "ticket">,
  remaining: Millis,
): void {
  const { node, now } = turn
  const state = node.tickets.get(ticket)
  if (state === undefined) return
  const until = after(now, remaining)
  const { site, number, epoch: at } = pledge
  const known = state.pledge
  if (!displaces(pledge, known) || (known?.number === number && known.until >= until)) return
  updateTicket(node, ticket, () => ({
    pledge: { site, number, epoch: at, until },
    pledgeNumber: Math.max(state.pledgeNumber, number),
    knownEpoch: maxEpoch(state.knownEpoch, at),
    heardEpoch: maxEpoch(state.heardEpoch, at),
  }))
  const stored = node.durable.state.pledges.find((each) => each.ticket === ticket)
  if (stored === undefined || stored.number < number) writePledge(turn, { ticket, site, number, epoch: at })
}

function maxEpoch(a: Epoch, b: Epoch): Epoch {
  return a > b ? a : b
}

/** A mandate that ends before its time, by order or by a vote for another site, is an event like any other. */
function tellGivenAway(turn: Turn, state: TicketState | undefined): void {
  const { node } = turn
  if (state?.gainedAt === undefined || node.view?.coordinator !== node.self.id) return
  report(turn, "info", "mandate-released", `${state.ticket}/${node.self.site}`, `epoch ${state.epoch}`)
}

/** What is left of a mandate that was given up. */
function givenAway(now: Instant): Partial<TicketState> {
  return { epoch: epoch(0), votes: new Map(), gainedAt: undefined, proven: [], otherSeen: now }
}
