/**
 * Peers off the ring (SPEC R5, K): hellos until there is a session, probes to nodes of the site that are not members,
 * and from their answers the two-way evidence that it is worth forming a larger ring. A peer with which Gather failed is
 * held off with growing delay, so that a one-way or flapping node does not keep a healthy ring from its work.
 */
import type { NodeConfig } from "../../protocol/cluster.ts"
import { frameLimits, type PeerIncarnation, type StandingFrame } from "../../protocol/frame.ts"
import {
  after,
  earlier,
  elapsed,
  type Instant,
  type Millis,
  millis,
  type NodeId,
} from "../../protocol/units.ts"
import { silentRange } from "../../protocol/version.ts"
import { compatible, isBehind, markOf } from "./configuration-spread.ts"
import { joinsAreProbes, probePace, sitePeers } from "./gather-pace.ts"
import { heardAt, turnLongest } from "./links.ts"
import { draw } from "./random.ts"
import { voiceUntil } from "./rights.ts"
import { helloFor, knowsVersions, peerIncarnation, versionWith } from "./session.ts"
import type { NodeState, Peer } from "./state.ts"
import { send, sendBytes, type Turn, withEntry } from "./turn.ts"

/** Probes answered in a row before a node outside the ring counts as reachable both ways. */
const answersNeeded = 2
/** Hellos to a peer without session: quick, for it may just have started; a down peer costs one small datagram each. */
const helloEvery = millis(500)
/** Idle links are probed each heartbeat, but not more often than this. */
const probeEveryMin = millis(200)
const holdOffFirst = millis(1000)
const holdOffIdle = millis(2000)
const holdOffMax = millis(60_000)

export function newPeer(peer: NodeConfig, self: NodeConfig, now: Instant): Peer {
  return {
    node: peer,
    sameSite: peer.site === self.site,
    nextHello: now,
    nextProbe: now,
    probe: 0,
    lastAnswered: 0,
    answered: 0,
    reaches: undefined,
    ring: [],
    heldOffAt: undefined,
    heldOff: 0,
    health: undefined,
    configuration: undefined,
    nextTelling: now,
  }
}

export function nextPeerWork(node: NodeState): Instant | undefined {
  let next: Instant | undefined
  for (const peer of node.peers.values()) {
    next = earlier(next, peer.nextHello)
    if (isProbed(node, peer)) next = earlier(next, peer.nextProbe)
  }
  return next
}

export function tickPeers(turn: Turn): void {
  const { node, now } = turn
  if (node.membership.kind === "booting" && node.durable.written === 0) return
  forgive(turn)
  for (const peer of node.peers.values()) {
    if (peer.nextHello <= now) greet(turn, peer)
    if (isProbed(node, peer) && peer.nextProbe <= now) probe(turn, peer)
  }
}

function greet(turn: Turn, peer: Peer): void {
  const { node, now } = turn
  const established = peerIncarnation(node.sessions, peer.node.id) !== undefined
  const heard = heardAt(node, peer.node.id)
  const silent = heard === undefined || elapsed(heard, now) > helloSilence
  // Or its range was lost on the way: until it is heard, hellos go on.
  const isOld = node.sessions.versions.max > silentRange.max && !knowsVersions(node.sessions, peer.node.id)
  if (!established || silent || isOld) sayHello(turn, peer.node.id)
  const jitter = millis(helloEvery * (0.9 + 0.2 * draw(node.random)))
  setPeer(node, peer.node.id, { nextHello: after(now, established ? helloSilence : jitter) })
}

/** A peer with a session that is silent for so long may have lost it. */
const helloSilence = millis(2000)

/**
 * Who has not shown that it knows of versions gets a plain hello as well, first: one with a range would be noise to a node of
 * version 1, and is the later one to any other.
 */
export function sayHello(turn: Turn, to: NodeId): void {
  const { sessions } = turn.node
  const isOld = !knowsVersions(sessions, to)
  if (isOld) sendBytes(turn, to, helloFor(sessions, to, silentRange))
  if (!isOld || sessions.versions.max > silentRange.max) sendBytes(turn, to, helloFor(sessions, to))
}

function isProbed(node: NodeState, peer: Peer): boolean {
  if (!peer.sameSite || node.membership.kind === "booting") return false
  return !(node.ring?.members.includes(peer.node.id) ?? false)
}

/** Between two probes of one node, when all of the site are probed. */
export function probeInterval(node: NodeState): Millis {
  return intervalFor(node, sitePeers(node))
}

function intervalFor({ config }: NodeState, count: number): Millis {
  return millis(Math.max(config.timings.heartbeat, probeEveryMin, probePace(count)))
}

function nextProbe(node: NodeState, now: Instant): Instant {
  const probed = [...node.peers.values()].filter((peer) => isProbed(node, peer))
  return after(now, intervalFor(node, probed.length))
}

function probe(turn: Turn, peer: Peer): void {
  const { node, now } = turn
  const { membership } = node
  if (membership.kind === "gather" && joinsAreProbes(node)) {
    const { joins, since } = membership
    const joinedBy = after(since, node.config.timings.gatherWait)
    const hasJoined = joins.has(peer.node.id)
    if (hasJoined || now < joinedBy) {
      setPeer(node, peer.node.id, { nextProbe: hasJoined ? nextProbe(node, now) : joinedBy })
      return
    }
  }
  const id = peer.probe + 1
  // The probe before was not answered: the evidence starts anew.
  const answered = peer.lastAnswered === peer.probe ? peer.answered : 0
  setPeer(node, peer.node.id, { probe: id, answered, nextProbe: nextProbe(node, now) })
  tellStanding(turn, peer)
  send(turn, peer.node.id, { kind: "probe", id })
}

/** A member that waits for the token, or a node off the ring, which is told where this one stands. */
export function onProbe(turn: Turn, from: NodeId, id: number): void {
  const peer = turn.node.peers.get(from)
  if (peer !== undefined && isProbed(turn.node, peer)) tellStanding(turn, peer)
  send(turn, from, { kind: "probe-ack", id })
}

export function onProbeAnswered(turn: Turn, from: NodeId, id: number): void {
  const peer = turn.node.peers.get(from)
  if (peer === undefined || id !== peer.probe || id === peer.lastAnswered) return
  setPeer(turn.node, from, { lastAnswered: id, answered: peer.answered + 1 })
}

export function tellStanding(turn: Turn, peer: Peer): void {
  const { node } = turn
  if ((versionWith(node.sessions, peer.node.id) ?? 1) >= 2) send(turn, peer.node.id, standing(node))
}

export function onStanding(turn: Turn, from: NodeId, { reaches, ring }: StandingFrame): void {
  setPeer(turn.node, from, { reaches, ring })
}

/** Members of the ring whose links are not all down, and who answers steadily from outside. */
function standing(node: NodeState): StandingFrame {
  const ring = node.membership.kind === "operational" ? (node.ring?.members ?? []) : []
  const mates = ring.filter((member) => member !== node.self.id && !isCutOff(node, member))
  const answering = [...node.peers.values()]
    .filter((peer) => !ring.includes(peer.node.id) && answersSteadily(node, peer))
    .map((peer) => peer.node.id)
  return { kind: "standing", reaches: [...mates, ...answering].slice(0, frameLimits.members), ring }
}

function isCutOff(node: NodeState, member: NodeId): boolean {
  return node.links.peers.get(member)?.links.every((link) => link.level === "down") ?? true
}

function answersSteadily(node: NodeState, peer: Peer): boolean {
  return isProbed(node, peer) && peer.answered >= answersNeeded
}

/**
 * Nodes of the site outside the ring that answer steadily and are not held off. `caller`: asks for it just now. A view that does
 * not speak passes nobody over for its configuration: what a peer told of it may be long over, and where both have it from
 * elsewhere since, neither would ask the other for ever (SPEC LC6).
 */
export function reachableOutsiders(node: NodeState, now: Instant, caller?: NodeId): readonly Peer[] {
  const own = markOf(node)
  const until = voiceUntil(node)
  const speaks = until !== undefined && until > now
  return [...node.peers.values()]
    .filter((peer) => answersSteadily(node, peer) && !isHeldOff(node, peer, now, caller))
    .filter(
      // One that knows of a newer configuration tells it to who asks.
      ({ configuration: mark }) =>
        !speaks || mark === undefined || compatible(own, mark) || (mark.confirmed && isBehind(own, mark)),
    )
}

/**
 * A view that does not speak for its site has nothing to protect but its peace: it holds nobody off for long. Who calls is let
 * in after half of it: two that hold each other off, and call at different times, would miss each other for ever.
 */
export function isHeldOff(node: NodeState, peer: Peer, now: Instant, caller?: NodeId): boolean {
  if (peer.heldOffAt === undefined) return false
  const speaks = node.view !== undefined && node.view.standing.kind !== "minority"
  const whole = delayAfter(peer.heldOff - 1)
  const delay = speaks ? whole : Math.min(whole / 2, holdOffIdle)
  return elapsed(peer.heldOffAt, now) < (peer.node.id === caller ? delay / 2 : delay)
}

/** Gather was entered for this peer and ended without it. */
export function holdOff(node: NodeState, id: NodeId, now: Instant): void {
  const peer = node.peers.get(id)
  if (peer === undefined) return
  setPeer(node, id, { heldOff: peer.heldOff + 1, heldOffAt: now })
}

/** It is in the ring: what its answers from outside proved is over. Forgiven it is when the ring has lasted. */
export function noteJoined(node: NodeState, id: NodeId): void {
  setPeer(node, id, { answered: 0 })
}

/** A ring has lasted when it is as old as the delay its member would otherwise be held off for. */
function forgive(turn: Turn): void {
  const { node, now } = turn
  const { membership, view } = node
  if (membership.kind !== "operational" || view === undefined) return
  for (const peer of node.peers.values()) {
    if (peer.heldOff === 0) continue
    const lasted = elapsed(membership.since, now) > delayAfter(peer.heldOff)
    if (lasted && view.members.includes(peer.node.id)) {
      setPeer(node, peer.node.id, { heldOff: 0, heldOffAt: undefined })
    }
  }
}

function delayAfter(times: number): Millis {
  return millis(Math.min(holdOffMax, holdOffFirst * 2 ** times))
}

/** Peers of the site from which frames of their present incarnation arrive now; with `since`, have arrived since then. */
export function heardNow(node: NodeState, now: Instant, since?: Instant): readonly PeerIncarnation[] {
  const heard: PeerIncarnation[] = []
  for (const peer of node.peers.values()) {
    const { heard: at, incarnation } = node.links.peers.get(peer.node.id) ?? neverHeard
    if (!peer.sameSite || at === undefined || incarnation === undefined) continue
    const window = node.view?.members.includes(peer.node.id) ? memberWindow(node) : hearWindow(node)
    const isRecent = since === undefined ? elapsed(at, now) <= window : at >= since
    if (isRecent) heard.push({ node: peer.node.id, incarnation })
  }
  return heard
}

const neverHeard = { heard: undefined, incarnation: undefined }

/** Three probes, or a heartbeat and a failed hop, whichever is longer. */
function hearWindow(node: NodeState): Millis {
  const { heartbeat, misses, retransmit } = node.config.timings
  return millis(Math.max(3 * probeInterval(node), heartbeat + misses * retransmit))
}

/** Of a member off the token's way nothing may come for a whole turn of the links' probes (SPEC LN3, R6). */
function memberWindow(node: NodeState): Millis {
  return millis(Math.max(hearWindow(node), turnLongest(node, sitePeers(node))))
}

export function setPeer(node: NodeState, id: NodeId, change: Partial<Peer>): void {
  const peer = node.peers.get(id)
  if (peer !== undefined) node.peers = withEntry(node.peers, id, { ...peer, ...change })
}
