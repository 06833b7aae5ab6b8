/**
 * The node's side of the witness (SPEC W): the coordinator posts a summary with the claims that are due, and takes in
 * what comes back. A deadline counts from the FIRST sending of the claim that a grant names, whichever reply brings it.
 */
import { type LeaseAnswer, type LeaseClaim, mandateLease, voiceLease } from "../../protocol/lease.ts"
import { registrationOf } from "../../protocol/registration.ts"
import type { Reply, Summary } from "../../protocol/summaries.ts"
import {
  after,
  earliest,
  elapsed,
  epoch,
  type Instant,
  instant,
  millis,
  type NodeId,
  sameRing,
  ticketName,
} from "../../protocol/units.ts"
import { mandateVoters } from "../../protocol/votes.ts"
import { claimedConfiguration, isRegistered, isRemovalProved } from "./configuration.ts"
import { onRegistered } from "./configuration-spread.ts"
import { outnumberForgotten } from "./forgotten.ts"
import { nextMandateWork, wantsToClaim, witnessInReach } from "./mandate.ts"
import { enterGather } from "./membership.ts"
import { noteStoredMemo, type Plan } from "./memo.ts"
import { believed, endWait, highestSeen, storeEpochs } from "./pin.ts"
import { updateTicket } from "./pledges.ts"
import { hasMandate, hasVoice, needsMandate } from "./rights.ts"
import { order } from "./ring.ts"
import type { NodeState, View } from "./state.ts"
import { storeVoiceEpoch } from "./stored.ts"
import { learnVote } from "./token-entries.ts"
import { log, report, type Turn, upcoming, withEntry } from "./turn.ts"
import { beginAct, isDriving, updateView } from "./view.ts"
import { voiceClaim, voiceRelease } from "./voice.ts"
import { noteWatch, waitedOut, waitedOutAt } from "./watch.ts"
import type { SentDocument } from "./witness-state.ts"

/** Documents that may still be answered. */
const sentMax = 16
/** A reply that has not come by then will not be waited for. */
const postTimeout = millis(2000)
/** Pause before an urgent post is tried again after a failure, and between two of them. */
const urgentPause = millis(250)
/** Failures in a row after which the way to the witness counts as lost. */
const failuresMax = 2
const eventsPerPost = 16

/** Coordinator: posts if something is due and nothing (as urgent) is under way. */
export function postIfDue(turn: Turn, plans: readonly Plan[]): void {
  const { node, now } = turn
  const { witness, view } = node
  if (node.config.witness === undefined || view === undefined) return
  const due = witness.nextPost <= now || (witness.urgent && nextUrgent(node) <= now)
  const busy = witness.outstanding !== undefined && (witness.outstanding.urgent || !witness.urgent)
  if (due && !busy) post(turn, view, plans)
}

function nextUrgent(node: NodeState): Instant {
  const { failedAt } = node.witness
  return failedAt === undefined ? instant(Number.NEGATIVE_INFINITY) : after(failedAt, urgentPause)
}

function post(turn: Turn, view: View, plans: readonly Plan[]): void {
  const { node, now } = turn
  const { witness } = node
  const counter = witness.counter + 1
  const claims = claimsDue(turn, view, plans)
  const voice = claims.find((claim) => claim.kind === "voice")
  const memo = voice?.kind === "voice" ? voice.memo?.text : undefined
  const events = witness.events.slice(0, eventsPerPost)
  const sent: SentDocument = {
    at: now,
    ring: voice === undefined ? undefined : view.ring,
    waited: voice?.kind === "voice" && voice.waited !== undefined,
    memo,
    events: events.map((event) => event.id),
  }
  const timeout = after(now, postTimeout)
  node.witness = {
    ...witness,
    counter,
    sent: withEntry(new Map([...witness.sent].slice(-sentMax)), counter, sent),
    outstanding: { post: counter, timeout, urgent: witness.urgent },
    nextPost: after(now, witness.interval),
    urgent: false,
  }
  if (memo !== undefined) updateView(node, (each) => ({ memo: { ...each.memo, offered: memo } }))
  turn.effects.push({
    kind: "post-summary",
    post: counter,
    summary: summaryOf(node, view, counter, claims, events),
    timeout,
  })
}

function claimsDue(turn: Turn, view: View, plans: readonly Plan[]): readonly LeaseClaim[] {
  const { node } = turn
  // An accepted object knows nothing of what the one before granted.
  if (node.witness.believeFrom !== undefined && node.witness.believeFrom > turn.now) return []
  const claims: (LeaseClaim | undefined)[] = [voiceClaim(turn, view, plans) ?? voiceRelease(node, view, turn)]
  for (const state of node.tickets.values()) {
    const release = node.witness.releases.find((each) => each.name === mandateLease(state.ticket))
    claims.push(release ?? mandateClaim(turn, state))
  }
  return claims.filter((claim) => claim !== undefined)
}

function mandateClaim(turn: Turn, state: Parameters<typeof wantsToClaim>[1]): LeaseClaim | undefined {
  const { node, now } = turn
  if (!needsMandate(node, state.ticket) || state.epoch === 0 || !hasVoice(node, now)) return undefined
  const votes = mandateVoters(node.config, state.ticket).some((voter) => voter.kind === "witness")
  if (!votes || !wantsToClaim(turn, state) || !witnessInReach(turn, state)) return undefined
  const name = mandateLease(state.ticket)
  const seen = node.witness.watches.get(name)
  return {
    kind: "mandate",
    name,
    site: node.self.site,
    epoch: state.epoch,
    ttl: node.config.timings.mandateTtl,
    seen: seen === undefined ? undefined : { epoch: seen.epoch, seq: seen.seq },
    waited: waitedOut(node, name, now),
  }
}

function summaryOf(
  node: NodeState,
  view: View,
  counter: number,
  claims: readonly LeaseClaim[],
  events: Summary["events"],
): Summary {
  const records = node.ordered.services
  return {
    cluster: node.config.name,
    node: node.self.id,
    incarnation: node.incarnation,
    counter,
    challenge: node.witness.pin ?? "",
    site: node.self.site,
    configuration: claimedConfiguration(node),
    view: { ring: view.ring, members: view.members },
    state: {
      voice: view.standing.kind === "minority" ? "not-held" : "held",
      tickets: [...node.tickets.values()].map((state) => {
        return { ticket: state.ticket, epoch: state.epoch, held: state.gainedAt !== undefined }
      }),
      nodes: node.config.nodes
        .filter((each) => each.site === node.self.site)
        .map(({ id }) => {
          const alive = view.members.includes(id)
          return { node: id, state: alive ? "alive" : "down", incarnation: view.incarnations.get(id) }
        }),
      services: records.map(({ service, assignment }) => {
        const owner = assignment?.owner
        const phase = owner === undefined ? undefined : view.phases.get(owner)?.get(service)?.phase
        const mandate = Number(assignment?.epoch.split(".")[0] ?? 0)
        return { name: service, state: phase ?? "stopped", owner, epoch: epoch(mandate) }
      }),
    },
    events,
    highest: highestSeen(node),
    claims,
    registration: registrationDue(node, view),
  }
}

/** A proposal that all members have stored is registered before it is activated (SPEC LC4). */
function registrationDue(node: NodeState, view: View): Summary["registration"] {
  const { prepared } = node.configuration
  if (view.proposed === undefined || prepared === undefined || isRegistered(node, prepared)) return undefined
  if (!isRemovalProved(node, view, prepared)) return undefined
  return {
    text: JSON.stringify(registrationOf(prepared.config)),
    document: prepared.document,
    majorityAlone: view.standing.kind === "majority-alone",
  }
}

export function onReply(turn: Turn, reply: Reply): void {
  const { node, now } = turn
  const mineToo =
    reply.node === node.self.id &&
    reply.incarnation === node.incarnation &&
    reply.cluster === node.config.name
  const sent = node.witness.sent.get(reply.counter)
  if (!mineToo || sent === undefined) return onPostFailed(turn, reply.counter, "not-our-reply")
  endPost(node, reply.counter)
  const before = node.witness.pin
  if (!believed(turn, reply)) {
    node.witness = { ...node.witness, reason: node.witness.quarantine ?? node.witness.reason }
    return
  }
  const longest = millis(Math.min(node.config.timings.voiceTtl, node.config.timings.mandateTtl) / 3)
  const interval = millis(Math.max(node.config.timings.summaryInterval, Math.min(reply.interval, longest)))
  const taken = reply.witness === before ? sent.events : []
  if (node.witness.failures >= failuresMax)
    report(turn, "info", "witness-reachable", node.self.name, "it answers again")
  node.witness = {
    ...node.witness,
    lastReply: now,
    failures: 0,
    failedAt: undefined,
    reason: isUnregistered(node, reply) ? "configuration-newer" : undefined,
    interval,
    urgent: node.witness.urgent || before === undefined,
    events: node.witness.events.filter((event) => !taken.includes(event.id)),
  }
  node.health = { ...node.health, uplink: "ok" }
  for (const lease of reply.leases) {
    noteWatch(turn, lease.name, lease, reply.witness, lease)
    noteHolder(turn, lease.name, lease.holder, lease.epoch, lease.releasedEpoch)
  }
  for (const answer of reply.answers) onAnswer(turn, answer)
  if (reply.configuration !== undefined) onRegistered(turn, reply.configuration)
  handOverToFormerMember(turn)
  storeEpochs(turn, node)
}

/** The witness knows an older configuration, and no change is under way: it would refuse what is claimed by this one (W14). */
function isUnregistered(node: NodeState, { configuration }: Reply): boolean {
  const { version, active } = claimedConfiguration(node)
  return configuration !== undefined && active === undefined && configuration.version < version
}

/** Epochs heard of, and another site seen to hold a ticket. */
function noteHolder(turn: Turn, name: string, holder: unknown, at: number, releasedEpoch: number): void {
  const { node } = turn
  if (!name.startsWith("mandate:")) return
  const ticket = ticketName(name.slice("mandate:".length))
  const watch = node.witness.watches.get(mandateLease(ticket))
  const other =
    watch?.lease?.holder?.kind === "site" &&
    watch.lease.holder.site !== node.self.site &&
    holder !== undefined
  updateTicket(node, ticket, (state) => ({
    heardEpoch: epoch(Math.max(state.heardEpoch, at)),
    releasedEpoch: epoch(Math.max(state.releasedEpoch, releasedEpoch)),
    otherSeen:
      other && watch !== undefined ? instant(Math.max(watch.since, state.otherSeen ?? 0)) : state.otherSeen,
  }))
}

function onAnswer(turn: Turn, answer: LeaseAnswer): void {
  const { node } = turn
  switch (answer.kind) {
    case "granted":
    case "renewed":
    case "repeated": {
      if (answer.claim.node !== node.self.id || answer.claim.incarnation !== node.incarnation) return
      const sent = node.witness.sent.get(answer.claim.counter)
      if (sent === undefined) return
      const isVoice = answer.name === voiceLease(node.self.site)
      const { voiceTtl, mandateTtl } = node.config.timings
      // It may have been sent under a longer TTL, the rest of which was given up (SPEC W9).
      const until = after(sent.at, millis(Math.min(answer.ttl, isVoice ? voiceTtl : mandateTtl)))
      if (isVoice) onVoice(turn, answer, sent, until)
      else onMandate(turn, answer.name, answer.epoch, until)
      return
    }
    case "released":
      node.witness = {
        ...node.witness,
        releases: node.witness.releases.filter((each) => each.name !== answer.name),
      }
      return
    case "refused":
      return onRefusal(turn, answer)
  }
}

function onVoice(
  turn: Turn,
  answer: LeaseAnswer & { kind: "granted" | "renewed" | "repeated" },
  sent: SentDocument,
  until: Instant,
): void {
  const { node, now } = turn
  const { view } = node
  if (view === undefined || sent.ring === undefined || !sameRing(sent.ring, view.ring)) return
  // By an accepted object the number may be that of a former grant, the word of which all have: the next view has none.
  if (view.renumbered === true && [view.entitledAt, view.voice.epoch].includes(answer.epoch)) {
    if (view.coordinator === node.self.id && node.membership.kind === "operational")
      enterGather(turn, "witness-accepted", undefined)
    return
  }
  const first = view.voice.grantedAt === undefined
  // Lost and got back: others spoke in between, whatever rights they had ended with this grant and no earlier.
  const isBack = !first && answer.epoch !== view.voice.epoch
  const deadline =
    view.voice.deadline !== undefined && view.voice.deadline > until ? view.voice.deadline : until
  updateView(node, () => ({
    renumbered: false,
    voice: {
      deadline,
      own: view.coordinator === node.self.id,
      epoch: answer.epoch,
      grantedAt: isBack ? now : (view.voice.grantedAt ?? now),
      // Not waited out: vacant or rebound, and every former owner's rights ended with its ring's. Who is told of a grant that stood
      // before does not know how it was come by: another claim brought it, of a member that had the role perhaps. And what an accepted
      // object calls vacant was held by the grace of the one before.
      waitedOut: first
        ? sent.waited || answer.kind !== "granted" || node.witness.believeFrom !== undefined
        : isBack || view.voice.waitedOut,
    },
  }))
  storeVoiceEpoch(turn, answer.epoch)
  // It came when the role had been given away: whoever has it now asks, and tells.
  if (view.coordinator !== node.self.id) return
  // It came when the ring was left: what is ordered now is delivered in the next view, which was granted nothing (SPEC R14).
  if (node.ring !== undefined && !sameRing(node.ring.id, view.ring)) return
  // What those others decided comes first: what is ordered after the voice has higher numbers, and would outdo it (SPEC R14).
  noteStoredMemo(turn, answer.memo)
  // Once for each grant, and also one that a coordinator before was given, whose word comes too late.
  if (view.entitledAt === answer.epoch || !beginAct(node, "voice")) return
  order(turn, { kind: "voice", epoch: answer.epoch })
  log(turn, "info", "voice-granted", { epoch: answer.epoch, until: Math.round(elapsed(now, until)) })
}

function onMandate(turn: Turn, name: string, at: number, until: Instant): void {
  const ticket = name.slice("mandate:".length)
  learnVote(turn.node, ticket, witnessVoter, { epoch: epoch(at), until, own: true })
}

/** The witness among the voters of a mandate. */
const witnessVoter = "@witness"

function onRefusal(turn: Turn, answer: LeaseAnswer & { kind: "refused" }): void {
  const { node, now } = turn
  log(turn, "debug", "claim-refused", { name: answer.name, reason: answer.reason })
  node.witness = {
    ...node.witness,
    releases: node.witness.releases.filter((each) => each.name !== answer.name),
    // Shown by `status`: it goes on until an operator has registered, or applied, the configuration.
    reason: answer.reason === "configuration-newer" ? answer.reason : node.witness.reason,
  }
  if (answer.name === voiceLease(node.self.site)) return outnumberForgotten(turn, answer.current?.holder)
  if (!answer.name.startsWith("mandate:")) return
  const ticket = ticketName(answer.name.slice("mandate:".length))
  const state = node.tickets.get(ticket)
  const other = answer.current?.holder?.kind === "site" && answer.current.holder.site !== node.self.site
  if (state === undefined || hasMandate(node, state, now)) return
  // Somebody else's epoch: the next claim names a higher one.
  if (other || answer.reason === "epoch-too-low")
    updateTicket(node, ticket, () => ({ epoch: epoch(0), nextClaim: now }))
}

function endPost(node: NodeState, post: number): void {
  if (node.witness.outstanding?.post === post) node.witness = { ...node.witness, outstanding: undefined }
}

export function onPostFailed(turn: Turn, post: number, reason: string): void {
  const { node, now } = turn
  if (node.witness.outstanding?.post !== post) return
  endPost(node, post)
  const failures = node.witness.failures + 1
  if (failures === failuresMax) report(turn, "warning", "witness-unreachable", node.self.name, reason)
  const again = Math.min(node.witness.interval, urgentPause * 2 ** failures)
  node.witness = {
    ...node.witness,
    failures,
    failedAt: now,
    reason,
    nextPost: after(now, millis(again)),
    // What was offered may or may not have been written: it is offered again.
    urgent: node.view?.standing.kind === "needs-witness",
  }
  updateView(node, (view) => ({ memo: { ...view.memo, offered: undefined } }))
  if (failures >= failuresMax) {
    node.health = { ...node.health, uplink: "failing" }
    handOverIfBetter(turn)
  }
}

/** Another member that is not known to have lost the witness takes the role over. */
function handOverIfBetter(turn: Turn): void {
  const { node } = turn
  const { view } = node
  if (view?.coordinator !== node.self.id) return
  const better = view.members.find(
    (member) => member !== node.self.id && uplinkOf(node, member) !== "failing",
  )
  if (better !== undefined) giveRoleTo(turn, better)
}

/**
 * The voice lease belongs to a view with members of this one in it, but not this node: only one of those can have it
 * rebound, or released (SPEC W10, W13). It gets the role.
 */
function handOverToFormerMember(turn: Turn): void {
  const { node } = turn
  const { view } = node
  const holder = node.witness.watches.get(voiceLease(node.self.site))?.lease?.holder
  if (view?.coordinator !== node.self.id || holder?.kind !== "view") return
  if (sameRing(holder.ring, view.ring) || holder.members.includes(node.self.id)) return
  const former = holder.members.find(
    (member) => view.members.includes(member) && uplinkOf(node, member) !== "failing",
  )
  if (former !== undefined) giveRoleTo(turn, former)
}

function giveRoleTo(turn: Turn, member: NodeId): void {
  if (beginAct(turn.node, "coordinator")) order(turn, { kind: "coordinator", node: member })
}

function uplinkOf(node: NodeState, member: NodeId): string {
  return node.peers.get(member)?.health?.uplink ?? "unknown"
}

/** How long a failed way counts as lost before it may be tried again by a new role. */
const uplinkForgottenAfter = millis(30_000)

/** Deadlines of posts, and the memory of a lost way. */
export function tickWitness(turn: Turn): void {
  const { node, now } = turn
  const { outstanding, failedAt } = node.witness
  if (outstanding !== undefined && outstanding.timeout <= now) onPostFailed(turn, outstanding.post, "timeout")
  endWait(turn)
  const forgotten = failedAt !== undefined && elapsed(failedAt, now) > uplinkForgottenAfter
  if (forgotten && node.health.uplink === "failing") node.health = { ...node.health, uplink: "unknown" }
}

export function nextWitnessWork(node: NodeState): Instant | undefined {
  const { witness, view } = node
  if (node.config.witness === undefined || view === undefined || !isDriving(node))
    return witness.outstanding?.timeout
  const idle = witness.outstanding === undefined
  const urgent = witness.urgent && !(witness.outstanding?.urgent ?? false) ? nextUrgent(node) : undefined
  const waited =
    view.standing.kind === "needs-witness" ? waitedOutAt(node, voiceLease(node.self.site)) : undefined
  const conditions = upcoming(node, [urgent, waited, nextMandateWork(node)])
  return earliest(witness.outstanding?.timeout, idle ? witness.nextPost : undefined, conditions)
}
