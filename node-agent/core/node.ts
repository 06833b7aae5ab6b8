/**
 * A node of the cluster: one function changes it. Same state, event and `now` give the same state and effects, always.
 * The host feeds events in and carries effects out, and wakes the node at `nextDeadline`; early or late wake-ups are
 * harmless. `step` is the table of contents of the protocol (SPEC).
 */
import { never } from "../../protocol/assert.ts"
import type { Frame } from "../../protocol/frame.ts"
import { after, earliest, type Incarnation, type Instant, type NodeId } from "../../protocol/units.ts"
import {
  nextActivationWork,
  onControlConnected,
  onGateChanged,
  onServiceDied,
  onServiceFailed,
  onServiceFound,
  onServiceStarted,
  onServiceStopped,
  onStopFailed,
  renewServices,
  tellPhases,
  watchActivations,
} from "./activations.ts"
import { nextCommandWork, onOperatorCommand, tickCommands } from "./commands.ts"
import { noteConditions } from "./conditions.ts"
import { driveConfiguration, nextConfigurationWork } from "./configuration.ts"
import { adoptStored } from "./configuration-spread.ts"
import { coordinate, nextCoordination } from "./coordinator.ts"
import { departed, leave, nextLeaveWork } from "./departure.ts"
import { nextWatch, onRingProbeAnswered, ringProbeBase, watchRing } from "./detector.ts"
import type { NodeEffect } from "./effects.ts"
import { relayEvents } from "./event-relay.ts"
import type { LinkId, NodeEvent } from "./events.ts"
import { onDeviceChecked, onFenceConfirmed, onFenceFailed } from "./fencing.ts"
import { goOnUnaided, nextForgotten, remember } from "./forgotten.ts"
import { joinPace } from "./gather-pace.ts"
import { nextLinkWork, noteArrival, onLinkFrame, tickLinks } from "./links.ts"
import { waitAnewIfLate } from "./local-health.ts"
import { trackMandates } from "./mandate.ts"
import {
  clearedBy,
  considerOutsiders,
  driveCommit,
  enterGather,
  nextCommitWork,
  onCommit,
  onCommitAck,
  onEvidence,
  onJoin,
  onPeerRestarted,
  reconsider,
} from "./membership.ts"
import { nextPeerWork, onProbe, onProbeAnswered, onStanding, sayHello, tickPeers } from "./peers.ts"
import { callForToken, onTokenAck, onTokenWanted } from "./ring.ts"
import { noteReserved } from "./sequence.ts"
import { receive } from "./session.ts"
import { nextSiteWork, onSiteFrame, tickSites } from "./sites.ts"
import type { NodeState } from "./state.ts"
import { forgetStored } from "./stored.ts"
import { onSuspended } from "./suspend.ts"
import { onToken, releaseDueToken } from "./token-visit.ts"
import { log, type Turn, upcoming } from "./turn.ts"
import { nextWatchdogWork, onWatchdogArmed, onWatchdogFailed, tendWatchdog } from "./watchdog.ts"
import { nextWitnessWork, onPostFailed, onReply, tickWitness } from "./witness.ts"

export function step(node: NodeState, event: NodeEvent, now: Instant): readonly NodeEffect[] {
  const turn: Turn = { node, now, effects: [] }
  node.steppedAt = now
  handle(turn, event)
  advance(turn)
  return turn.effects
}

function handle(turn: Turn, event: NodeEvent): void {
  const { node } = turn
  switch (event.kind) {
    case "datagram-received":
      return onDatagram(turn, event.link, event.bytes)
    case "deadline-reached":
      return
    case "persisted":
      return onPersisted(turn, event.write)
    case "persist-failed":
      return log(turn, "error", "persist-failed", { write: event.write, reason: event.reason })
    case "witness-replied":
      return onReply(turn, event.reply)
    case "witness-failed":
      return onPostFailed(turn, event.post, event.reason)
    case "control-connected":
      return onControlConnected(turn, event.found)
    case "control-lost":
      node.control = "absent"
      return
    case "gate-changed":
      return onGateChanged(turn, event.missing)
    case "service-started":
      return onServiceStarted(turn, event.service, event.operation)
    case "service-start-failed":
      return onServiceFailed(turn, event.service, event.reason)
    case "service-died":
      return onServiceDied(turn, event)
    case "service-found":
      return onServiceFound(turn, event.service)
    case "service-stopped":
      return onServiceStopped(turn, event.service, event.operation)
    case "service-stop-failed":
      return onStopFailed(turn, event.service, event.operation, event.reason)
    case "fence-confirmed":
      return onFenceConfirmed(turn, event.operation)
    case "fence-failed":
      return onFenceFailed(turn, event.operation, event.reason)
    case "fence-device-checked":
      return onDeviceChecked(turn, event.device, event.problem)
    case "operator-commanded":
      return onOperatorCommand(turn, event.request, event.command)
    case "health-sampled": {
      const { kind: _, wall, ...sample } = event
      node.health = { ...node.health, ...sample }
      node.wall = wall
      return noteConditions(turn)
    }
    case "suspended":
      return onSuspended(turn, event.slept)
    case "watchdog-armed":
      return onWatchdogArmed(turn, event.software)
    case "watchdog-failed":
      return onWatchdogFailed(turn, event.reason)
    case "stop-requested":
      return leave(turn)
    default:
      return never(event)
  }
}

function onDatagram(turn: Turn, link: LinkId, bytes: Uint8Array): void {
  const { node } = turn
  // Nothing is said, so nothing is heard, before the raised incarnation is on the disk.
  if (node.durable.written === 0) return
  const received = receive(node.sessions, bytes, link === "wan" ? 0 : link)
  if (received.kind === "dropped") {
    node.dropped = { ...node.dropped, [received.reason]: (node.dropped[received.reason] ?? 0) + 1 }
    return
  }
  if (received.kind === "old-hello") return
  const { from } = received
  if (received.kind === "copy") return noteArrival(turn, from, link)
  if (received.newIncarnation) onPeerRestarted(turn, from)
  if (received.kind === "hello-accepted") {
    if (received.replyWanted) sayHello(turn, from)
    return
  }
  noteArrival(turn, from, link)
  const { incarnation, counter } = received
  onFrame(turn, { node: from, incarnation, counter, link }, received.frame)
}

/** Who sent a frame, as the how many-th to this node, and over which link it came. */
interface Sender {
  readonly node: NodeId
  readonly incarnation: Incarnation
  readonly counter: number
  readonly link: LinkId
}

function onFrame(turn: Turn, sender: Sender, frame: Frame): void {
  const { node } = turn
  const from = sender.node
  const sameSite = node.peers.get(from)?.sameSite ?? false
  if (frame.kind === "site") return onSiteFrame(turn, from, frame.text)
  // Ring frames come from nodes of the site only.
  if (!sameSite) return
  switch (frame.kind) {
    case "token":
      return onToken(turn, from, frame)
    case "token-ack":
      return onTokenAck(turn, frame.ring, frame.number)
    case "token-wanted":
      return onTokenWanted(turn, frame.ring)
    case "probe":
      // A node that boots cannot join yet: it gives no reason to form a larger ring.
      if (node.membership.kind === "booting") return
      return onProbe(turn, from, frame.id)
    case "probe-ack":
      if (frame.id > ringProbeBase) return onRingProbeAnswered(turn, from)
      onProbeAnswered(turn, from, frame.id)
      return considerOutsiders(turn)
    case "standing":
      return onStanding(turn, from, frame)
    case "evidence":
      return onEvidence(turn, from, frame)
    case "link-probe":
    case "link-answer":
      return onLinkFrame(turn, from, sender.link, frame)
    case "join":
      return departed(node) ? undefined : onJoin(turn, sender, frame)
    case "commit":
      return departed(node) ? undefined : onCommit(turn, from, frame)
    case "commit-ack":
      return onCommitAck(turn, frame)
    default:
      return never(frame)
  }
}

function onPersisted(turn: Turn, write: number): void {
  const { node } = turn
  node.durable = { ...node.durable, written: Math.max(node.durable.written, write) }
  noteReserved(node)
  forgetStored(node)
  adoptStored(turn)
}

/** What is due by now, whatever the event was. */
function advance(turn: Turn): void {
  boot(turn)
  releaseDueToken(turn)
  watchRing(turn)
  driveCommit(turn)
  driveGather(turn)
  tickLinks(turn)
  tickPeers(turn)
  tickSites(turn)
  tickWitness(turn)
  trackMandates(turn)
  renewServices(turn)
  watchActivations(turn)
  tickCommands(turn)
  driveConfiguration(turn)
  tellPhases(turn)
  coordinate(turn)
  remember(turn)
  goOnUnaided(turn)
  relayEvents(turn)
  leaveWhenStopped(turn)
  callForToken(turn)
  tendWatchdog(turn)
}

/** The incarnation is stored and nothing from before the start can still be acted upon: the node may join (SPEC L7). */
function boot(turn: Turn): void {
  const { node, now } = turn
  if (node.amnesiaUntil !== undefined && node.amnesiaUntil <= now) node.amnesiaUntil = undefined
  if (node.membership.kind !== "booting" || node.membership.until > now || node.durable.written === 0) return
  const { gatherWait } = node.config.timings
  node.membership = {
    kind: "gather",
    since: now,
    began: now,
    reason: "started",
    joins: new Map(),
    called: new Set(),
    accused: new Map(),
    evidence: new Map(),
    expected: [],
    waitUntil: after(now, gatherWait),
    nextJoin: now,
    lookedAt: now,
    lookAt: undefined,
    told: undefined,
  }
  enterGather(turn, "started", undefined)
}

function driveGather(turn: Turn): void {
  const { membership } = turn.node
  if (membership.kind !== "gather") return
  waitAnewIfLate(turn, membership)
  const { nextJoin, waitUntil, lookedAt, lookAt = nextJoin } = membership
  const cleared = clearedBy(turn.node, membership)
  // A small site looks with each step once the waiting is over: any frame may show that somebody is heard.
  const isSmall = joinPace(turn.node) === 0
  const isDue = (at: Instant): boolean => at <= turn.now && (isSmall || at > lookedAt)
  if ([nextJoin, lookAt, waitUntil, cleared].some(isDue)) reconsider(turn)
}

function leaveWhenStopped(turn: Turn): void {
  if (turn.node.leaving !== "no") leave(turn)
}

/** When `step` is to be called at the latest, if nothing happens before; undefined: never. */
export function nextDeadline(node: NodeState): Instant | undefined {
  // Nothing is done before the raised incarnation is on the disk; `persisted` begins it.
  if (node.durable.written === 0) return nextWatchdogWork(node)
  if (node.membership.kind === "booting")
    return earliest(node.membership.until, nextPeerWork(node), nextWatchdogWork(node))
  return earliest(
    node.membership.kind === "gather"
      ? earliest(
          node.membership.nextJoin,
          node.membership.lookAt,
          upcoming(node, [clearedBy(node, node.membership), node.membership.waitUntil]),
        )
      : undefined,
    node.membership.kind === "commit" ? nextCommitWork(node, node.membership) : undefined,
    nextWatch(node),
    nextLinkWork(node),
    nextPeerWork(node),
    nextSiteWork(node),
    nextWitnessWork(node),
    nextCoordination(node),
    nextForgotten(node),
    nextActivationWork(node),
    nextCommandWork(node),
    nextConfigurationWork(node),
    nextLeaveWork(node),
    nextWatchdogWork(node),
  )
}
