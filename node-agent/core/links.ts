/**
 * The links between this node and the others (SPEC LN): every frame goes over all links of a pair and the first copy
 * counts, so a link may fail without anybody noticing but the people who are told here. Each look, one a heartbeat,
 * asks of every link whether frames came since the one before; probes over one link measure round trip and loss.
 *
 * The token's way carries frames on all its links anyway. Links off it are probed in turn, those to one peer each look, so
 * that the cost of a node does not grow with the ring.
 */
import type { LinkProbeFrame, LinkReport, LinkState } from "../../protocol/frame.ts"
import { lossMax } from "../../protocol/frame.ts"
import { linkThresholds } from "../../protocol/profiles.ts"
import { after, elapsed, type Instant, type Millis, millis, type NodeId } from "../../protocol/units.ts"
import type { LinkId } from "./events.ts"
import {
  compareCounts,
  type Judgement,
  judgeIncoming,
  judgeLink,
  underWayMax,
  withSample,
} from "./link-quality.ts"
import { type Link, type LinkLevel, linkLevels, type PeerLinks } from "./link-state.ts"
import { noteLook } from "./local-health.ts"
import { predecessor, successor } from "./ring.ts"
import { peerIncarnation, versionWith } from "./session.ts"
import type { NodeState } from "./state.ts"
import { report, sendOver, type Turn } from "./turn.ts"

/** Least distance of two looks, and from when on a timer brings one: the token's visit usually comes between. */
const lookShare = 0.75
const lookLateShare = 1.5
/** Links off the token's way are probed each look, but not more often than nodes off the ring. */
const probeEveryMin = millis(200)
/** A link of the token's way is measured so often, the only one less: what the ring sends shows that it is up. */
const measureEvery = millis(1_000)
const measureOnlyEvery = millis(5_000)
/** Looks that must find a link better before it counts as such: twice as many for each relapse, up to a minute. */
const betterLooks = 2
const relapsesMax = 8
const forgivenAfter = millis(60_000)

/** A genuine frame, or a copy of one, came from `from` over `link`. */
export function noteArrival(turn: Turn, from: NodeId, link: LinkId): void {
  const { node, now } = turn
  const peer = node.links.peers.get(from)
  if (peer === undefined) return
  const incarnation = peerIncarnation(node.sessions, from)
  if (incarnation !== peer.incarnation) {
    peer.incarnation = incarnation
    peer.newSince = now
    for (const each of peer.links) restartCounts(each)
  }
  peer.heard = now
  const found = peer.links[link === "wan" ? 0 : link]
  if (found === undefined) return
  found.received += 1
  found.heard = now
}

/** The peer counts from nothing again. */
function restartCounts(link: Link): void {
  link.received = 0
  link.receivedAtLook = 0
  link.compared = undefined
  link.told = undefined
  link.probe = undefined
}

export function heardAt(node: NodeState, peer: NodeId): Instant | undefined {
  return node.links.peers.get(peer)?.heard
}

/** `undefined`: a node that is alone at its site has no links. */
export function nextLinkWork(node: NodeState): Instant | undefined {
  if (!isLooking(node)) return undefined
  const { heartbeat } = node.config.timings
  return after(node.links.nextLook, millis(heartbeat * (lookLateShare - lookShare)))
}

/** A view was installed: while it formed nobody looked, and what was told before is old. */
export function beginLooks(node: NodeState, now: Instant): void {
  for (const [id, peer] of node.links.peers) {
    if (node.view?.members.includes(id) ?? false) peer.newSince = undefined
    for (const link of peer.links) {
      link.silent = 0
      link.told = undefined
      link.compared = undefined
      if (link.lost <= underWayMax) link.lost = 0
    }
  }
  node.links.nextLook = after(now, millis(node.config.timings.heartbeat * lookShare))
}

function isLooking(node: NodeState): boolean {
  return node.membership.kind === "operational" && (node.view?.members.length ?? 0) > 1
}

export function tickLinks(turn: Turn): void {
  const { node, now } = turn
  const { links } = node
  if (!isLooking(node) || now < links.nextLook) return
  const { heartbeat } = node.config.timings
  const due = after(links.nextLook, millis(heartbeat * (lookLateShare - lookShare)))
  const isLate = noteLook(turn, due)
  links.nextLook = after(now, millis(heartbeat * lookShare))
  links.looks += 1
  const way = wayOf(node)
  const isMoving = node.ring !== undefined && node.ring.handled !== links.handled
  links.handled = node.ring?.handled ?? 0
  // While the token stands nobody says anything, and what a late node did not hear it was not there to hear.
  if (isMoving && !isLate) for (const [id, peer] of links.peers) look(turn, id, peer, way)
  probeInTurn(turn, way)
}

/** Members next to this node on the token's way, and the others. */
interface Way {
  readonly on: readonly NodeId[]
  readonly off: readonly NodeId[]
}

function wayOf(node: NodeState): Way {
  const { ring } = node
  if (ring === undefined) return { on: [], off: [] }
  const on = [...new Set([successor(ring, node.self.id), predecessor(ring, node.self.id)])]
  return { on, off: ring.members.filter((member) => member !== node.self.id && !on.includes(member)) }
}

function probeInTurn(turn: Turn, way: Way): void {
  const { links, config } = turn.node
  const every = turn.node.self.links.length === 1 ? measureOnlyEvery : measureEvery
  const measureLooks = Math.ceil(every / config.timings.heartbeat)
  const { sessions } = turn.node
  const knows = (id: NodeId): boolean => (versionWith(sessions, id) ?? 1) >= 2
  const off = way.off[links.turnOff % Math.max(way.off.length, 1)]
  if (off !== undefined && links.looks % probeLooks(turn.node) === 0) {
    links.turnOff += 1
    if (knows(off)) probeLinks(turn, off)
  }
  const on = way.on[links.turnOn % Math.max(way.on.length, 1)]
  if (on !== undefined && links.looks % measureLooks === 0) {
    links.turnOn += 1
    if (knows(on)) probeLinks(turn, on)
  }
}

function probeLooks({ config }: NodeState): number {
  return Math.ceil(probeEveryMin / config.timings.heartbeat)
}

/** The longest that a turn of the links' probes takes through so many members: each look comes as late as it may. */
export function turnLongest(node: NodeState, members: number): Millis {
  return millis(members * probeLooks(node) * node.config.timings.heartbeat * lookLateShare)
}

function probeLinks(turn: Turn, to: NodeId): void {
  const { links } = turn.node
  for (const [index, link] of (links.peers.get(to)?.links ?? []).entries()) {
    const id = links.nextId
    links.nextId = id === idMax ? 1 : id + 1
    link.probe = { id, at: turn.now }
    sendOver(turn, to, index, frameFor("link-probe", id, link, index))
  }
}

/** 32 bits on the wire. */
const idMax = 2 ** 32 - 1

function frameFor(kind: LinkProbeFrame["kind"], id: number, link: Link, index: number): LinkProbeFrame {
  return { kind, id, link: index, sent: link.sent + 1, report: reportOf(link) }
}

function reportOf(link: Link): LinkReport {
  const { expected, lost, jitter, incoming } = link
  return {
    state: incoming === "quiet" ? "up" : stateOf(incoming),
    loss: lossShare(expected, lost) * lossMax,
    jitter,
  }
}

export function lossShare(expected: number, lost: number): number {
  return expected <= 0 ? 0 : Math.min(Math.max(lost / expected, 0), 1)
}

export function stateOf(level: LinkLevel): LinkState {
  return level === "quiet" || level === "alarming" ? "suspect" : level
}

export function onLinkFrame(turn: Turn, from: NodeId, arrived: LinkId, frame: LinkProbeFrame): void {
  const { node, now } = turn
  const link = arrived === frame.link ? node.links.peers.get(from)?.links[frame.link] : undefined
  // Sent over one link and received over another: two links share a network, and the figures would lie.
  if (link === undefined) return
  Object.assign(link, compareCounts(link, frame.sent))
  link.told = frame.report
  if (frame.kind === "link-probe") {
    sendOver(turn, from, frame.link, frameFor("link-answer", frame.id, link, frame.link))
    return
  }
  if (link.probe?.id !== frame.id) return
  Object.assign(link, withSample(link.samples, elapsed(link.probe.at, now)))
  link.probe = undefined
}

function look(turn: Turn, id: NodeId, peer: PeerLinks, way: Way): void {
  const { node, now } = turn
  const isOn = way.on.includes(id)
  // A node of version 1 does not answer probes: off the token's way nothing is due from it.
  if (!isOn && (!way.off.includes(id) || versionWith(node.sessions, id) === 1)) return
  // Off the way both sides probe in turn: a frame comes at least once in this node's own round.
  const stride = isOn ? 1 : way.off.length * probeLooks(node)
  const thresholds = node.config.links ?? linkThresholds
  for (const [index, link] of peer.links.entries()) {
    link.silent = link.received === link.receivedAtLook ? link.silent + 1 : 0
    link.receivedAtLook = link.received
    const incoming = judgeIncoming(link, thresholds, stride)
    link.incoming = incoming.level
    const found = judgeLink(incoming, link.told, thresholds)
    const before = link.level
    settle(link, found, { stride, minute: forgivenAfter / node.config.timings.heartbeat }, now)
    if (link.level !== before) tellChange(turn, id, peer, index)
  }
}

/** The worse counts at once, the better when it has lasted: a link that comes and goes has the longer to wait. */
function settle(
  link: Link,
  found: Judgement,
  { stride, minute }: { readonly stride: number; readonly minute: number },
  now: Instant,
): void {
  const change = linkLevels.indexOf(found.level) - linkLevels.indexOf(link.level)
  link.better = change < 0 ? link.better + 1 : 0
  const isSteady = elapsed(link.since, now) > forgivenAfter
  if (isSteady && link.level === "up") link.relapses = 0
  if (change === 0) link.reason = found.reason
  const looks = Math.min(betterLooks * 2 ** link.relapses, minute) * stride
  if (change === 0 || (change < 0 && link.better < looks)) return
  if (change > 0 && !isSteady) link.relapses = Math.min(link.relapses + 1, relapsesMax)
  link.level = found.level
  link.reason = found.reason
  link.better = 0
  link.since = now
  if (found.level === "down") forgetFigures(link)
}

/** What was measured before a link failed says nothing of how it is when it is back. */
function forgetFigures(link: Link): void {
  link.expected = 0
  link.lost = 0
  link.compared = undefined
  link.samples = []
  link.rtt = undefined
  link.jitter = millis(0)
}

/** Both ends see the same, as each tells the other: the one with the lower id reports. */
function tellChange(turn: Turn, id: NodeId, peer: PeerLinks, index: number): void {
  const { node } = turn
  const other = node.config.nodes.find((each) => each.id === id)
  const link = peer.links[index]
  if (other === undefined || link === undefined || id < node.self.id) return
  const subject = `${node.self.name}-${other.name} link ${index + 1}`
  if (link.level === link.reported || link.level === "quiet") return
  link.reported = link.level
  const isLast = peer.links.every((each) => each.level === "down")
  switch (link.level) {
    case "up":
      return report(turn, "info", "link-up", subject, "")
    case "suspect":
      return report(turn, "warning", "link-suspect", subject, link.reason)
    case "alarming":
      return report(turn, "critical", "link-suspect", subject, link.reason)
    case "down":
      return report(turn, isLast ? "critical" : "warning", "link-down", subject, link.reason)
  }
}
