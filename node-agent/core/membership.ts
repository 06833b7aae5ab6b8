/**
 * Membership (SPEC R6-R9): Totem's states. Gather agrees on a set (`gather.ts` decides), Commit tells everybody in it,
 * Recovery exchanges reports over the new ring, Operational is the installed view.
 *
 *   booting      -- boot debt over -->            gather
 *   gather       -- all agree, representative --> commit (sends)      -- commit received --> commit (forwards)
 *   commit       -- first token -->               recovery
 *   recovery     -- all reports safe -->          operational
 *   commit, recovery, operational -- silence, a join, a restarted member, a reachable outsider --> gather
 */
import {
  type CommitFrame,
  type EvidenceFrame,
  frameLimits,
  type JoinFrame,
  type PeerIncarnation,
} from "../../protocol/frame.ts"
import {
  after,
  earliest,
  elapsed,
  type Incarnation,
  type Instant,
  millis,
  type NodeId,
  ringKey,
  sameRing,
} from "../../protocol/units.ts"
import { votesOf } from "../../protocol/votes.ts"
import { compatible, isExacting, markOf, notePeerConfiguration } from "./configuration-spread.ts"
import { debtOfRing, stillRunning } from "./debts.ts"
import {
  accusations,
  agreed,
  ascending,
  isRoundSince,
  type Join,
  nextRound,
  proposalOf,
  sameMembers,
  saysTheSame,
  type Told,
} from "./gather.ts"
import { joinPace, joinRepeat } from "./gather-pace.ts"
import { mayAccuse } from "./local-health.ts"
import { parseMessage } from "./messages.ts"
import { largerRing } from "./outlook.ts"
import { heardNow, holdOff, isHeldOff, noteJoined, setPeer, tellStanding } from "./peers.ts"
import { pledgeRecovered } from "./pledges.ts"
import { createRing, firstToken } from "./ring.ts"
import { noteSequence } from "./sequence.ts"
import { peerIncarnation, versionWith } from "./session.ts"
import type { Commit, Gather, LeftRing, NodeState, Ring } from "./state.ts"
import { startToken } from "./token-visit.ts"
import { log, send, sendToAll, type Turn, withEntry, withoutEntry } from "./turn.ts"

/** Leaves whatever ring there is, for good, and gathers. `accused` did not answer; it is not waited for. */
export function enterGather(turn: Turn, reason: string, accused: NodeId | undefined): void {
  const { node, now } = turn
  if (node.membership.kind === "booting") return
  leaveRing(turn)
  const previous = node.membership.kind === "gather" ? node.membership : undefined
  node.gatherRound = nextRound(node.gatherRound)
  const blamed = new Map(previous?.accused)
  if (accused !== undefined) blamed.set(accused, node.gatherRound)
  node.membership = {
    kind: "gather",
    since: previous?.since ?? now,
    began: now,
    reason: previous?.reason ?? reason,
    joins: previous?.joins ?? new Map(),
    called: previous?.called ?? new Set(),
    accused: blamed,
    evidence: previous?.evidence ?? new Map(),
    expected: expectedPeers(node, now, reason === "started"),
    waitUntil: after(now, node.config.timings.gatherWait),
    nextJoin: now,
    lookedAt: now,
    lookAt: undefined,
    told: undefined,
  }
  log(turn, "info", "gather", { reason, accused })
  reconsider(turn)
}

/** Former members and peers lately heard, at the start also whoever said hello: worth waiting for. */
function expectedPeers(node: NodeState, now: Instant, started: boolean): readonly NodeId[] {
  const former = node.view?.members ?? []
  const heard = heardNow(node, now).map((peer) => peer.node)
  const greeted = [...node.peers.values()]
    .filter((peer) => started && peer.sameSite && peerIncarnation(node.sessions, peer.node.id) !== undefined)
    .map((peer) => peer.node.id)
  return [...new Set([...former, ...heard, ...greeted])].filter((id) => id !== node.self.id)
}

/** The ring is over for this node; its debt and its unsafe messages are kept (SPEC L5, R11). */
export function leaveRing(turn: Turn): void {
  const { node } = turn
  const { ring, view } = node
  if (ring === undefined) return
  node.ring = undefined
  // A ring whose token this node never handled gave nobody a lease: every lease needs everybody's handling.
  if (ring.lastHandling !== undefined) {
    const departed = view !== undefined && sameRing(view.ring, ring.id) ? view.departed : []
    const members = ring.members.filter((member) => !departed.includes(member))
    node.debts = [
      ...stillRunning(node.debts, turn.now),
      debtOfRing(ringKey(ring.id), members, ring.lastHandling, node.leaseStretched),
    ]
  }
  if (view === undefined || !sameRing(view.ring, ring.id)) return
  node.left = leftRing(ring)
  // A pledge received and not delivered may have been spoken by its origin: it binds from now.
  for (const { payload } of ring.log) {
    const parsed = parseMessage(payload)
    if (parsed.kind === "ok" && parsed.value.kind === "pledge") pledgeRecovered(turn, parsed.value)
  }
}

function leftRing(ring: Ring): LeftRing {
  return { id: ring.id, messages: ring.log }
}

/** Who sent a join, and as the how many-th of its frames to this node. */
interface Joining {
  readonly node: NodeId
  readonly incarnation: Incarnation
  readonly counter: number
}

export function onJoin(turn: Turn, { node: from, incarnation, counter }: Joining, frame: JoinFrame): void {
  const { node } = turn
  if (node.membership.kind === "booting") return
  notePeerConfiguration(turn, from, frame.configuration)
  if (!compatible(markOf(node), frame.configuration)) return
  noteSequence(turn, frame.sequence)
  // Whatever ring it told of is over.
  if (node.peers.get(from)?.ring.length !== 0) setPeer(node, from, { ring: [] })
  if (node.membership.kind !== "gather") {
    const reason = reasonToGather(turn, from, incarnation, frame)
    if (reason === undefined) return
    enterGather(turn, reason, undefined)
  }
  if (node.membership.kind !== "gather") return
  const latest = node.membership.joins.get(from)
  // Overtaken on its way by a later one.
  if (latest?.incarnation === incarnation && latest.counter > counter) return
  const { at, ...told } = { at: turn.now, incarnation, counter, ...frame }
  const before = completeness(node.membership)
  node.membership = {
    ...node.membership,
    joins: withEntry(node.membership.joins, from, { ...told, at }),
    called: new Set(node.membership.called).add(from),
    // A node of version 1 echoes nothing: its join is taken for an answer.
    accused: echoes(node, from) ? node.membership.accused : withoutEntry(node.membership.accused, from),
  }
  if (completeness(node.membership) > before) reconsider(turn)
  else lookSoon(turn, node.membership)
}

/** 1: all have joined, but for those of whom somebody says why not. 2: and all who joined hear each other, so nothing more is to come. */
function completeness({ expected, joins, accused }: Gather): 0 | 1 | 2 {
  const isAccused = (peer: NodeId): boolean =>
    accused.has(peer) || [...joins.values()].some(({ accuses }) => accuses.includes(peer))
  if (expected.some((peer) => !joins.has(peer) && !isAccused(peer))) return 0
  const hearsAll = ({ hears }: Join): boolean =>
    hears.filter(({ node }) => joins.has(node)).length === joins.size
  return [...joins.values()].every(hearsAll) ? 2 : 1
}

/** Now, or at a large site together with what else comes soon (SPEC R6); a ring that only waits to be formed does not wait for that. */
function lookSoon(turn: Turn, gather: Gather): void {
  const { node, now } = turn
  const at = after(gather.lookedAt, joinPace(node))
  const proposal = gather.told?.proposal ?? []
  const mayCommit = proposal[0] === node.self.id && proposal.length > 1
  const isAgreed = mayCommit && agreed(node.self.id, proposal, gather.joins)
  if (at <= now || isAgreed) reconsider(turn)
  else node.membership = { ...gather, lookAt: at }
}

function echoes(node: NodeState, peer: NodeId): boolean {
  return (versionWith(node.sessions, peer) ?? 1) >= 2
}

/** What came with a join. An accused node that has heard of the accusation, or of a later round, is reached both ways. */
export function onEvidence(turn: Turn, from: NodeId, frame: EvidenceFrame): void {
  const { node } = turn
  if (node.membership.kind !== "gather") return
  const { accused, evidence } = node.membership
  const since = accused.get(from)
  const echo = frame.echoes.find((each) => each.node === node.self.id)?.round ?? 0
  node.membership = {
    ...node.membership,
    evidence: withEntry(evidence, from, frame),
    accused: since !== undefined && isRoundSince(echo, since) ? withoutEntry(accused, from) : accused,
  }
  lookSoon(turn, node.membership)
}

/** A join that finds this node in a ring: does it break the ring? `undefined`: it is stale, or held off. */
function reasonToGather(
  turn: Turn,
  from: NodeId,
  incarnation: Incarnation,
  frame: JoinFrame,
): string | undefined {
  const { node, now } = turn
  const ring = node.ring
  const peer = node.peers.get(from)
  if (ring === undefined || peer === undefined) return "join-without-ring"
  if (ring.members.includes(from)) {
    if (ring.incarnations.get(from) !== incarnation) return "member-restarted"
    // Sent before its sender heard of this ring. A higher sequence: it left the ring, or cannot take it up.
    return frame.sequence < ring.id.sequence ? undefined : "member-left"
  }
  if (isHeldOff(node, peer, now, from) || node.membership.kind !== "operational") return undefined
  if (largerRing(node, now, from) !== undefined) return "join"
  // Who hears everybody is believed to be heard by them, until that has been in vain once; by a view with nothing to protect always.
  const hearsAll = ring.members.every((member) => frame.hears.some((heard) => heard.node === member))
  const isBelieved = peer.heldOff === 0 || node.view?.standing.kind === "minority" || !echoes(node, from)
  return hearsAll && isBelieved ? "join" : undefined
}

/** Gather's work: prune, propose, tell, and when all agree, commit. */
export function reconsider(turn: Turn): void {
  const { node, now } = turn
  if (node.membership.kind !== "gather") return
  const gather = prune(node, node.membership, now)
  const hears = heardIn(node, gather, now)
  const proposal = proposalOf({
    self: { node: node.self.id, incarnation: node.incarnation },
    selfOwner: ownsAny(node),
    hears,
    joins: gather.joins,
    fits: fitting(node, gather),
    votes: (members) => votesOf(node.config, node.self.site, members),
  })
  const join = joinFrame(node, gather, hears, proposal)
  const evidence = evidenceOf(node, gather)
  const told = { hears: join.hears, accuses: join.accuses, proposal, evidence }
  const waits = isWaiting(node, gather, proposal, now)
  const isTold = gather.nextJoin <= now || isNews(node, told, gather.told, waits)
  node.membership = { ...gather, told: isTold ? told : gather.told, lookedAt: now, lookAt: undefined }
  if (isTold) tellAll(turn, join, evidence)
  if (waits || !agreed(node.self.id, proposal, gather.joins)) return
  if (proposal[0] === node.self.id) commitAsRepresentative(turn, proposal, gather)
}

/**
 * Two that this node could be with, each alone, may not be in one view: a proposal of all three would never be agreed upon (SPEC
 * LC6).
 */
function fitting(node: NodeState, { joins }: Gather): ((a: NodeId, b: NodeId) => boolean) | undefined {
  const own = markOf(node)
  // Who is exacting itself counts joins of its own configuration alone.
  if (isExacting(own) || ![...joins.values()].some((join) => isExacting(join.configuration))) return undefined
  const markIn = (id: NodeId) => (id === node.self.id ? own : joins.get(id)?.configuration)
  return (a, b) => compatible(markIn(a), markIn(b))
}

/** A proposal that only grew is none at a larger site, while somebody is waited for: it goes on growing. */
function isNews(node: NodeState, told: Told, before: Told | undefined, waits: boolean): boolean {
  if (before === undefined) return true
  const isGrowing = waits && joinPace(node) > 0 && before.proposal.every((id) => told.proposal.includes(id))
  return !saysTheSame(isGrowing ? { ...told, proposal: before.proposal } : told, before)
}

/**
 * Joins that were not repeated are forgotten: their senders have gone on or away. So are those of a configuration that this node
 * had when they came, and has no more (SPEC LC6).
 */
function prune(node: NodeState, gather: Gather, now: Instant): Gather {
  const kept = (node.config.timings.misses + 1) * joinRepeat(node)
  const own = markOf(node)
  const fresh = [...gather.joins].filter(
    ([, join]) => elapsed(join.at, now) <= kept && compatible(own, join.configuration),
  )
  return fresh.length === gather.joins.size ? gather : { ...gather, joins: new Map(fresh) }
}

/** Once everybody had the time to join, only who was heard since counts: what was heard before may be one way by now. */
function heardIn(node: NodeState, gather: Gather, now: Instant): readonly PeerIncarnation[] {
  const heard = heardNow(node, now, now < gather.waitUntil ? undefined : gather.began)
  return heard.filter((peer) => !gather.accused.has(peer.node))
}

/**
 * Nothing where nobody is accused: then hearing a join is evidence enough. Echoed is who accuses this node, and relayed who is
 * accused and lives: a dead node costs no more than the word of its accusers.
 */
function evidenceOf(node: NodeState, gather: Gather): EvidenceFrame | undefined {
  const self = node.self.id
  const relayed = accusations(gather.joins, gather.evidence)
    .filter(({ of }) => of === self || gather.joins.has(of))
    .slice(0, frameLimits.members)
  if (gather.accused.size === 0 && relayed.length === 0) return undefined
  const echoed = relayed.flatMap(({ by, of }) => {
    const round = of === self ? gather.evidence.get(by)?.round : undefined
    return round === undefined ? [] : [{ node: by, round }]
  })
  return { kind: "evidence", round: node.gatherRound, echoes: echoed, relayed }
}

/**
 * Somebody expected has not joined yet, and there is still time. Nobody waits for a peer that a member of the proposal
 * accuses, and for one that accuses a member of it only as long as a live node may take to clear that up.
 */
function isWaiting(node: NodeState, gather: Gather, proposal: readonly NodeId[], now: Instant): boolean {
  if (now >= gather.waitUntil) return false
  const told = accusations(gather.joins, gather.evidence)
  const accused = new Set(gather.accused.keys())
  for (const { by, of } of told) if (proposal.includes(by)) accused.add(of)
  const estranged = new Set(told.filter(({ of }) => proposal.includes(of)).map(({ by }) => by))
  const isClearing = now < clearedBy(node, gather)
  return gather.expected.some(
    (peer) => !proposal.includes(peer) && !accused.has(peer) && (isClearing || !estranged.has(peer)),
  )
}

export function clearedBy(node: NodeState, gather: Gather): Instant {
  return after(gather.began, node.config.timings.lateness)
}

function joinFrame(
  node: NodeState,
  gather: Gather,
  hears: readonly PeerIncarnation[],
  proposal: readonly NodeId[],
): JoinFrame {
  return {
    kind: "join",
    sequence: node.sequence,
    hears: [...hears, { node: node.self.id, incarnation: node.incarnation }],
    accuses: [...gather.accused.keys()].sort(ascending),
    proposal,
    owner: ownsAny(node),
    configuration: markOf(node),
  }
}

function ownsAny(node: NodeState): boolean {
  return [...node.activations.values()].some((activation) => activation.phase === "running")
}

function tellAll(turn: Turn, join: JoinFrame, evidence: EvidenceFrame | undefined): void {
  const { node, now } = turn
  if (node.membership.kind !== "gather") return
  node.membership = {
    ...node.membership,
    nextJoin: after(now, joinRepeat(node)),
  }
  const peers = [...node.peers.values()].filter(({ sameSite }) => sameSite)
  if (node.membership.reason === "outsider") for (const peer of peers) tellStanding(turn, peer)
  const ids = peers.map((peer) => peer.node.id)
  sendToAll(turn, ids, join)
  if (evidence === undefined) return
  const readers = ids.filter((id) => echoes(node, id))
  sendToAll(turn, readers, evidence)
}

function commitAsRepresentative(turn: Turn, proposal: readonly NodeId[], gather: Gather): void {
  const { node } = turn
  const seen = [...gather.joins].filter(([from]) => proposal.includes(from)).map(([, join]) => join.sequence)
  const sequence = Math.max(node.sequence, ...seen) + 1
  const members = proposal.map((member) => ({
    node: member,
    incarnation:
      member === node.self.id
        ? node.incarnation
        : (gather.joins.get(member)?.incarnation ?? node.incarnation),
  }))
  const ring = { sequence, representative: node.self.id, incarnation: node.incarnation }
  commit(turn, gather, { kind: "commit", ring, members, committed: 0 })
}

export function onCommit(turn: Turn, from: NodeId, frame: CommitFrame): void {
  const { node } = turn
  const { membership } = node
  if (node.ring !== undefined && sameRing(node.ring.id, frame.ring)) {
    send(turn, from, { kind: "commit-ack", ring: frame.ring, committed: frame.committed })
    if (membership.kind === "commit" && frame.committed === frame.members.length) startRing(turn, membership)
    return
  }
  if (membership.kind !== "gather") return
  const self = frame.members.find((member) => member.node === node.self.id)
  const members = frame.members.map((member) => member.node)
  const isProposed = sameMembers(membership.told?.proposal ?? [], members)
  if (self?.incarnation !== node.incarnation || !isProposed || frame.ring.sequence <= node.sequence) {
    // Our mind has changed since: the representative learns it from our join.
    node.membership = { ...membership, told: undefined }
    reconsider(turn)
    return
  }
  send(turn, from, { kind: "commit-ack", ring: frame.ring, committed: frame.committed })
  commit(turn, membership, frame)
}

/** The node is bound to the new ring: stored first, then passed on. */
function commit(turn: Turn, gather: Gather, frame: CommitFrame): void {
  const { node, now } = turn
  const members = frame.members.map((member) => member.node)
  const incarnations = new Map(frame.members.map((member) => [member.node, member.incarnation]))
  const { gatherWait } = node.config.timings
  const storedBy = noteSequence(turn, frame.ring.sequence)
  holdOffTheLost(turn, gather, members)
  node.ring = createRing(frame.ring, members, incarnations, gather.since, now)
  const next = members[(members.indexOf(node.self.id) + 1) % members.length]
  node.membership = {
    kind: "commit",
    ring: frame.ring,
    members,
    incarnations,
    sending:
      next === undefined || next === node.self.id
        ? undefined
        : { to: next, frame: { ...frame, committed: frame.committed + 1 }, sendings: 0, nextAt: now },
    after: storedBy,
    until: after(now, millis(3 * gatherWait)),
  }
  log(turn, "info", "commit", { ring: ringKey(frame.ring), members: members.join(",") })
  driveCommit(turn)
}

/** Gather was begun for the sake of outsiders; those that it did not bring are held off, those it brought are forgiven. */
function holdOffTheLost(turn: Turn, gather: Gather, members: readonly NodeId[]): void {
  const { node, now } = turn
  for (const peer of node.peers.values()) {
    if (members.includes(peer.node.id)) noteJoined(node, peer.node.id)
    else if (gather.called.has(peer.node.id) || gather.reason === "outsider") holdOff(node, peer.node.id, now)
  }
}

/** Sends the commit token when what it announces is on the disk, again while nobody answers, and gives up in the end. */
export function driveCommit(turn: Turn): void {
  const { node, now } = turn
  const { membership } = node
  if (membership.kind !== "commit") return
  if (now >= membership.until) {
    enterGather(turn, "commit-expired", undefined)
    return
  }
  if (node.durable.written < membership.after) return
  const { sending } = membership
  if (sending === undefined) {
    if (membership.members.length === 1) startRing(turn, membership)
    return
  }
  if (sending.nextAt > now) return
  if (sending.sendings > 0 && mayAccuse(turn, sending.sendings, sending.nextAt)) {
    enterGather(turn, "commit-unanswered", sending.to)
    return
  }
  const nextAt = after(now, node.config.timings.retransmit)
  node.membership = { ...membership, sending: { ...sending, sendings: sending.sendings + 1, nextAt } }
  send(turn, sending.to, sending.frame)
}

/** Nothing is sent before the write it announces is on the disk: `persisted` brings the next step. */
export function nextCommitWork(node: NodeState, membership: Commit): Instant | undefined {
  const stored = node.durable.written >= membership.after
  return earliest(stored ? membership.sending?.nextAt : undefined, membership.until)
}

export function onCommitAck(
  turn: Turn,
  frame: { readonly ring: Commit["ring"]; readonly committed: number },
): void {
  const { node } = turn
  const { membership } = node
  if (membership.kind !== "commit" || !sameRing(membership.ring, frame.ring)) return
  if (membership.sending?.frame.committed === frame.committed)
    node.membership = { ...membership, sending: undefined }
}

/** The commit token is back: all are bound, the first token goes out. */
function startRing(turn: Turn, membership: Commit): void {
  const { node } = turn
  if (node.ring === undefined || node.durable.written < membership.after) return
  startToken(turn, firstToken(node.ring))
}

/** A member's new start was proved: its former self is gone from the ring. */
export function onPeerRestarted(turn: Turn, peer: NodeId): void {
  const { node } = turn
  if (node.ring?.members.includes(peer) ?? false) enterGather(turn, "member-restarted", peer)
}

/** An Operational node whose site has more to offer gathers for it. Called when an outsider has answered. */
export function considerOutsiders(turn: Turn): void {
  const { node, now } = turn
  if (node.membership.kind !== "operational" || node.leaving !== "no") return
  if (largerRing(node, now) !== undefined) enterGather(turn, "outsider", undefined)
}
