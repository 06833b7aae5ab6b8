/**
 * A node of the cluster: one function changes it. Same state, event and `now` give the same state and effects, always.
 * The host feeds events in and carries effects out, and wakes the node at `nextDeadline`; early or late wake-ups are
 * harmless. `step` is the table of contents of the protocol (SPEC).
 */
import { assert, never } from "../../protocol/assert.ts"
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { clusterTagOf } from "../../protocol/datagram.ts"
import type { Frame } from "../../protocol/frame.ts"
import {
  after,
  earliest,
  epoch,
  type Incarnation,
  type Instant,
  incarnation,
  millis,
  type NodeId,
  stretched,
  type WallTime,
} from "../../protocol/units.ts"
import {
  nextActivationWork,
  onControlConnected,
  onServiceFailed,
  onServiceStarted,
  onServiceStopped,
  onStopFailed,
  renewServices,
  tellPhases,
  watchActivations,
} from "./activations.ts"
import { nextCommandWork, onOperatorCommand, tickCommands } from "./commands.ts"
import { coordinate, nextCoordination } from "./coordinator.ts"
import type { Cryptography } from "./cryptography.ts"
import { debtOfRing } from "./debts.ts"
import { departed, leave, nextLeaveWork } from "./departure.ts"
import { nextWatch, onRingProbeAnswered, ringProbeBase, watchRing } from "./detector.ts"
import type { DurableState } from "./durable.ts"
import type { NodeEffect } from "./effects.ts"
import type { NodeEvent } from "./events.ts"
import { trackMandates } from "./mandate.ts"
import {
  considerOutsiders,
  driveCommit,
  enterGather,
  nextCommitWork,
  onCommit,
  onCommitAck,
  onJoin,
  onPeerRestarted,
  reconsider,
} from "./membership.ts"
import { initialState } from "./ordered.ts"
import { nextPeerWork, noteHeard, onProbeAnswered, sayHello, tickPeers } from "./peers.ts"
import { pledgeDuration } from "./pledges.ts"
import { createRandom } from "./random.ts"
import { callForToken, onTokenAck, onTokenWanted } from "./ring.ts"
import { noteReserved } from "./sequence.ts"
import { createSessions, receive } from "./session.ts"
import { nextSiteWork, onSiteFrame, tickSites } from "./sites.ts"
import type { NodeState } from "./state.ts"
import { forgetStored } from "./stored.ts"
import { onToken, releaseDueToken } from "./token-visit.ts"
import { log, send, type Turn, upcoming } from "./turn.ts"

export { statusOf } from "./status.ts"

import { nextWitnessWork, onPostFailed, onReply, tickWitness } from "./witness.ts"

export interface NodeOptions {
  readonly config: ClusterConfig
  readonly self: NodeId
  /** What was on the disk; undefined: missing or torn (SPEC M9). */
  readonly durable: DurableState | undefined
  readonly cryptography: Cryptography
  /** Ids of the ring keys, the active one first. */
  readonly ringKeys: readonly number[]
  /** 16 bytes from a cryptographic generator, drawn at each start. */
  readonly sessionNonce: Uint8Array
  readonly seed: number
  /** For people, and for the incarnation of a node that forgot its last one. */
  readonly wall: WallTime
}

/** A node that has just started: its first effect stores its new incarnation, and nothing is sent before that is done. */
export function createNode(
  options: NodeOptions,
  now: Instant,
): { readonly node: NodeState; readonly effects: readonly NodeEffect[] } {
  const node = initialNode(options, now)
  const turn: Turn = { node, now, effects: [] }
  const state = node.durable.state
  turn.effects.push({ kind: "persist", write: 1, state })
  log(turn, "info", "started", {
    incarnation: node.incarnation,
    fresh: options.durable?.fresh ?? false,
    amnesia: options.durable === undefined,
  })
  return { node, effects: turn.effects }
}

function initialNode(options: NodeOptions, now: Instant): NodeState {
  const { config, self: id, durable, cryptography } = options
  const self = config.nodes.find((each) => each.id === id)
  assert(self !== undefined, "a node is one of its configuration")
  const { timings } = config
  const started: Incarnation = incarnation(
    durable === undefined ? Math.floor(options.wall / 1000) : durable.incarnation + 1,
  )
  const state: DurableState = {
    ...(durable ?? {
      format: 1,
      cluster: config.name,
      node: id,
      ringSequence: 0,
      voiceEpoch: epoch(0),
      tickets: [],
      pledges: [],
      witness: undefined,
    }),
    incarnation: started,
    fresh: false,
  }
  const leaseStretched = stretched(timings.lease, timings.rho)
  const [active = 0] = options.ringKeys
  const others = config.nodes.filter((each) => each.id !== id)
  const node: NodeState = {
    config,
    self,
    incarnation: started,
    random: createRandom(options.seed),
    sessions: createSessions({
      cluster: config.name,
      clusterTag: clusterTagOf(config.name),
      self: id,
      incarnation: started,
      nonce: options.sessionNonce,
      keyRing: { active, accepted: options.ringKeys },
      peers: others.map((each) => each.id),
      cryptography,
    }),
    leaseStretched,
    steppedAt: now,
    durable: {
      state,
      ordered: 1,
      written: 0,
      reserved: state.ringSequence,
      reserving: [],
      pledgeWrite: 0,
      voiceWrite: 0,
    },
    membership: { kind: "booting", until: after(now, leaseStretched) },
    ring: undefined,
    view: undefined,
    left: undefined,
    debts: [{ ...debtOfRing(`boot.${id}.${started}`, [], now, leaseStretched), members: undefined }],
    sequence: state.ringSequence,
    voiceRing: 0,
    memoVersion: 0,
    peers: new Map(
      others.map((peer) => [
        peer.id,
        {
          node: peer,
          sameSite: peer.site === self.site,
          incarnation: undefined,
          heard: undefined,
          nextHello: now,
          nextProbe: now,
          probe: 0,
          answered: 0,
          heldOffUntil: undefined,
          heldOff: 0,
          health: undefined,
        },
      ]),
    ),
    ordered: { ...initialState(config), voiceEpoch: state.voiceEpoch },
    tickets: new Map(),
    activations: new Map(
      config.services.map((service) => [
        service.name,
        {
          service: service.name,
          phase: "unknown",
          epoch: undefined,
          operation: undefined,
          deadline: undefined,
          written: undefined,
          reason: "",
          failed: false,
          stopWanted: false,
          retryAt: undefined,
          ended: undefined,
        },
      ]),
    ),
    witness: {
      counter: 0,
      sent: new Map(),
      outstanding: undefined,
      nextPost: now,
      urgent: false,
      pin: state.witness?.incarnation,
      stranger: undefined,
      quarantine: undefined,
      strangerSince: undefined,
      believeFrom: undefined,
      watches: new Map(),
      releases: [],
      lastReply: undefined,
      failures: 0,
      failedAt: undefined,
      reason: undefined,
      interval: timings.summaryInterval,
      events: [],
    },
    sites: new Map(
      config.sites
        .filter((site) => site.name !== self.site)
        .map((site) => [
          site.name,
          { site: site.name, heard: undefined, coordinator: undefined, silent: false, members: [] },
        ]),
    ),
    operator: { nextNumber: 1, requests: [] },
    health: {
      cpuLoadPercent: 0,
      memoryPressurePercent: 0,
      clockDeviationMicros: 0,
      clockSource: "none",
      lateness: millis(0),
      uplink: "unknown",
      configChecksum: config.checksum.slice(0, 8),
      services: [],
    },
    wall: options.wall,
    control: "absent",
    amnesiaUntil: undefined,
    pinLost: durable === undefined,
    leaving: "no",
    leaveBy: undefined,
    nextOperation: 1,
    nextRequest: 1,
    nextWanHeartbeat: now,
    dropped: {},
    recent: [],
    nextEvent: 1,
  }
  node.tickets = initialTickets(node, now)
  if (durable === undefined) node.amnesiaUntil = after(now, pledgeDuration(node))
  return node
}

/** A node that boots treats every stored pledge as renewed at that instant (SPEC M9). */
function initialTickets(node: NodeState, now: Instant): NodeState["tickets"] {
  const { tickets, pledges } = node.durable.state
  return new Map(
    node.config.tickets.map(({ name: ticket }) => {
      const known = tickets.find((each) => each.ticket === ticket)
      const pledge = pledges.find((each) => each.ticket === ticket)
      const until = after(now, pledgeDuration(node))
      return [
        ticket,
        {
          ticket,
          knownEpoch: known?.epoch ?? epoch(0),
          heardEpoch: known?.epoch ?? epoch(0),
          pledgeNumber: known?.pledgeNumber ?? 0,
          releasedEpoch: known?.releasedEpoch ?? epoch(0),
          givenUp: epoch(0),
          pledge:
            pledge === undefined
              ? undefined
              : { site: pledge.site, number: pledge.number, epoch: pledge.epoch, until },
          ordering: undefined,
          votes: new Map(),
          epoch: epoch(0),
          gainedAt: undefined,
          claimingSince: undefined,
          otherSeen: undefined,
          nextClaim: now,
          requests: new Map(),
          holdOff: undefined,
        },
      ]
    }),
  )
}

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
      return onDatagram(turn, event.bytes)
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
    case "service-started":
      return onServiceStarted(turn, event.service, event.operation)
    case "service-start-failed":
    case "service-died":
      return onServiceFailed(turn, event.service, event.reason)
    case "service-stopped":
      return onServiceStopped(turn, event.service, event.operation)
    case "service-stop-failed":
      return onStopFailed(turn, event.service, event.operation, event.reason)
    case "operator-commanded":
      return onOperatorCommand(turn, event.request, event.command)
    case "health-sampled": {
      const { kind: _, wall, ...sample } = event
      node.health = { ...node.health, ...sample }
      node.wall = wall
      return
    }
    case "stop-requested":
      return leave(turn)
    default:
      return never(event)
  }
}

function onDatagram(turn: Turn, bytes: Uint8Array): void {
  const { node } = turn
  // Nothing is said, so nothing is heard, before the raised incarnation is on the disk.
  if (node.durable.written === 0) return
  const received = receive(node.sessions, bytes)
  if (received.kind === "dropped") {
    node.dropped = { ...node.dropped, [received.reason]: (node.dropped[received.reason] ?? 0) + 1 }
    return
  }
  const { from } = received
  if (received.newIncarnation) onPeerRestarted(turn, from)
  if (received.kind === "hello-accepted") {
    if (received.replyWanted) sayHello(turn, from)
    return
  }
  noteHeard(turn, from)
  onFrame(turn, from, received.incarnation, received.frame)
}

function onFrame(turn: Turn, from: NodeId, fromIncarnation: Incarnation, frame: Frame): void {
  const { node } = turn
  const sameSite = node.peers.get(from)?.sameSite ?? false
  if (frame.kind === "site") return sameSite ? undefined : onSiteFrame(turn, from, frame.text)
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
      return send(turn, from, { kind: "probe-ack", id: frame.id })
    case "probe-ack":
      return frame.id > ringProbeBase
        ? onRingProbeAnswered(turn, from)
        : onProbeAnswered(turn, from, frame.id)
    case "join":
      return departed(node) ? undefined : onJoin(turn, from, fromIncarnation, frame)
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
}

/** What is due by now, whatever the event was. */
function advance(turn: Turn): void {
  boot(turn)
  releaseDueToken(turn)
  watchRing(turn)
  driveCommit(turn)
  driveGather(turn)
  tickPeers(turn)
  considerOutsiders(turn)
  tickSites(turn)
  tickWitness(turn)
  trackMandates(turn)
  renewServices(turn)
  watchActivations(turn)
  tickCommands(turn)
  tellPhases(turn)
  coordinate(turn)
  leaveWhenStopped(turn)
  callForToken(turn)
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
    reason: "started",
    joins: new Map(),
    accused: new Map(),
    expected: [],
    waitUntil: after(now, gatherWait),
    nextJoin: now,
    told: "",
  }
  enterGather(turn, "started", undefined)
}

function driveGather(turn: Turn): void {
  const { membership } = turn.node
  if (membership.kind !== "gather") return
  if (membership.nextJoin <= turn.now || membership.waitUntil <= turn.now) reconsider(turn)
}

function leaveWhenStopped(turn: Turn): void {
  if (turn.node.leaving !== "no") leave(turn)
}

/** When `step` is to be called at the latest, if nothing happens before; undefined: never. */
export function nextDeadline(node: NodeState): Instant | undefined {
  // Nothing is done before the raised incarnation is on the disk; `persisted` begins it.
  if (node.durable.written === 0) return undefined
  if (node.membership.kind === "booting") return earliest(node.membership.until, nextPeerWork(node))
  return earliest(
    node.membership.kind === "gather"
      ? earliest(node.membership.nextJoin, upcoming(node, [node.membership.waitUntil]))
      : undefined,
    node.membership.kind === "commit" ? nextCommitWork(node, node.membership) : undefined,
    nextWatch(node),
    nextPeerWork(node),
    nextSiteWork(node),
    nextWitnessWork(node),
    nextCoordination(node),
    nextActivationWork(node),
    nextCommandWork(node),
    nextLeaveWork(node),
  )
}
