/**
 * The rights this node has now, as deadlines on its own clock (SPEC L, VL, M): arithmetic only. A right without a live
 * deadline is no right. Acts of voice need the installed view's ring, its ring lease and its activation instant.
 */

import { earliest, type Instant, instant, sameRing, type Ticket } from "../../protocol/units.ts"
import { mandateMajority } from "../../protocol/votes.ts"
import type { NodeState, TicketState, View } from "./state.ts"

/**
 * Until when this view may speak for the site; undefined: it may not. Says nothing about `activateAt`. A view that needs the witness
 * may once it has delivered the word of the grant: before that it does not know what the memo says (SPEC VL6).
 */
export function voiceUntil(node: NodeState): Instant | undefined {
  const { view, ring } = node
  if (view === undefined || ring === undefined || !sameRing(ring.id, view.ring)) return undefined
  if (node.leaving === "departed" || ring.lease === undefined) return undefined
  switch (view.standing.kind) {
    case "majority-alone":
      return ring.lease
    case "needs-witness":
      return !isTold(view) || view.voice.deadline === undefined
        ? undefined
        : earliest(ring.lease, view.voice.deadline)
    case "minority":
      return undefined
  }
}

/** One that lost the voice and got it back has to hear of the new grant: what others decided meanwhile comes before it (SPEC VL8). */
function isTold({ entitled, entitledAt, voice }: View): boolean {
  return entitled && (entitledAt === undefined || entitledAt === voice.epoch)
}

/**
 * May this node's view act for the site at `now`? Not before it has delivered that it is entitled: then every member has
 * heard of it before anything acted upon can be safe (SPEC R14).
 */
export function hasVoice(node: NodeState, now: Instant): boolean {
  const until = voiceUntil(node)
  if (until === undefined || until <= now || node.view === undefined) return false
  return node.view.entitled && now >= node.view.activateAt
}

/** A ticket of one site needs no mandate: voice is enough (SPEC M1). */
export function needsMandate(node: NodeState, ticket: Ticket): boolean {
  for (const { name, sites } of node.config.tickets) if (name === ticket) return sites.length > 1
  return false
}

const always = instant(Number.POSITIVE_INFINITY)

/**
 * Until when a majority of the voters is pledged to this site at its epoch; undefined: never was, at this epoch. A site that
 * voted for a higher one may have acted at that, and one whose own vote is not counted yet may forget this one: neither holds
 * the mandate, or what it starts could be taken for older than what it started before (SPEC M1, I3).
 */
export function mandateUntil(node: NodeState, state: TicketState): Instant | undefined {
  if (!needsMandate(node, state.ticket)) return always
  if (state.epoch <= state.givenUp || state.epoch < state.knownEpoch) return undefined
  if (state.votes.get(node.self.site)?.epoch !== state.epoch) return undefined
  const majority = mandateMajority(node.config, state.ticket)
  let latestEnd: Instant | undefined
  for (const { epoch, until } of state.votes.values()) {
    const isLater = latestEnd === undefined || until > latestEnd
    if (epoch === state.epoch && isLater && votesLasting(state, until) >= majority) latestEnd = until
  }
  return latestEnd
}

/** How many votes at the present epoch last until then or longer. */
function votesLasting({ votes, epoch }: TicketState, until: Instant): number {
  let count = 0
  for (const vote of votes.values()) if (vote.epoch === epoch && vote.until >= until) count += 1
  return count
}

export function hasMandate(node: NodeState, state: TicketState, now: Instant): boolean {
  const until = mandateUntil(node, state)
  return until !== undefined && until > now
}

/** The deadline of a service of this ticket on this node, all rights together; undefined: some right is missing. */
export function serviceUntil(node: NodeState, state: TicketState): Instant | undefined {
  const voice = voiceUntil(node)
  const mandate = mandateUntil(node, state)
  return voice === undefined || mandate === undefined ? undefined : earliest(voice, mandate)
}
