/** How a node begins: its state when the process has just started, and the write that comes before anything is said. */
import { assert } from "../../protocol/assert.ts"
import type { ClusterConfig, NodeConfig } from "../../protocol/cluster.ts"
import { clusterTagOf } from "../../protocol/datagram.ts"
import {
  after,
  epoch,
  type Incarnation,
  type Instant,
  incarnation,
  millis,
  type NodeId,
  type ServiceName,
  stretched,
  type WallTime,
} from "../../protocol/units.ts"
import { protocolVersions, type VersionRange } from "../../protocol/version.ts"
import { initialConditions } from "./conditions.ts"
import { settlingEnd } from "./configuration-spread.ts"
import type { ConfigurationState } from "./configuration-state.ts"
import type { Cryptography } from "./cryptography.ts"
import { debtOfRing } from "./debts.ts"
import type { DurableState } from "./durable.ts"
import type { NodeEffect } from "./effects.ts"
import { startupGrace } from "./fencing.ts"
import { createLinks } from "./link-state.ts"
import { initialState } from "./ordered.ts"
import { newPeer } from "./peers.ts"
import { longestLease } from "./pin.ts"
import { pledgeDuration } from "./pledges.ts"
import { createRandom } from "./random.ts"
import { createSessions, type Sessions } from "./session.ts"
import type { Activation, NodeState } from "./state.ts"
import { log, report, type Turn } from "./turn.ts"
import { initialWatchdog } from "./watchdog.ts"
import { initialWitness } from "./witness-state.ts"

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
  /** What documents of configurations say (SPEC LC1). `config` is the active one of the record, if that has one. */
  readonly readConfiguration?: (document: string) => ClusterConfig | undefined
  /** What this program speaks, unless a test has it speak less. */
  readonly versions?: VersionRange
  readonly gate: NodeState["gate"]
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
    amnesia: state.forgot === true,
  })
  if (node.gate === "missing")
    report(turn, "critical", "gate-missing", node.self.name, "not there at the start")
  return { node, effects: turn.effects }
}

function initialNode(options: NodeOptions, now: Instant): NodeState {
  const { config, self: id, durable } = options
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
      forgot: true,
      pinLost: true,
      configurationForgot: true,
    }),
    incarnation: started,
    fresh: false,
  }
  const configuration = initialConfiguration(options)
  const leaseStretched = stretched(configuration.longest.lease, timings.rho)
  const others = config.nodes.filter((each) => each.id !== id)
  const node: NodeState = {
    config,
    self,
    incarnation: started,
    random: createRandom(options.seed),
    sessions: initialSessions(options, started, others),
    links: createLinks(self, others, now),
    localHealth: 0,
    leaseStretched,
    configuration,
    readConfiguration: options.readConfiguration ?? noDocument,
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
    outlook: "",
    gatherRound: 0,
    sequence: state.ringSequence,
    voiceRing: 0,
    memoVersion: 0,
    peers: new Map(others.map((peer) => [peer.id, newPeer(peer, self, now)])),
    ordered: { ...initialState(config), voiceEpoch: state.voiceEpoch },
    tickets: new Map(),
    activations: new Map(config.services.map(({ name }) => [name, unknownActivation(name)])),
    witness: {
      ...initialWitness(state.witness?.incarnation, timings.summaryInterval, now),
      believeFrom:
        state.witness?.waits === true ? after(now, longestLease({ config, configuration })) : undefined,
    },
    sites: new Map(
      config.sites
        .filter((site) => site.name !== self.site)
        .map((site) => [
          site.name,
          {
            site: site.name,
            heard: undefined,
            silent: false,
            members: [],
            active: new Map(),
            bound: new Map(),
          },
        ]),
    ),
    doubles: new Set(),
    operator: { nextNumber: 1, requests: [] },
    health: initialHealth(config),
    conditions: initialConditions(now),
    wall: options.wall,
    control: "absent",
    gate: options.gate,
    watchdog: initialWatchdog(self.watchdog, now),
    amnesiaUntil: undefined,
    unaided: false,
    pinLost: state.pinLost === true,
    leaving: "no",
    leaveBy: undefined,
    nextOperation: 1,
    strangersFencedFrom: after(now, startupGrace),
    fencing: [],
    deadDevices: new Map(),
    nextRequest: 0,
    nextWanHeartbeat: now,
    dropped: {},
    recent: [],
    nextEvent: 1,
  }
  node.tickets = initialTickets(node, now)
  const { lease, mandateTtl, voiceTtl = 0 } = configuration.longest
  if (lease > timings.lease || mandateTtl > timings.mandateTtl || voiceTtl > timings.voiceTtl)
    node.configuration = { ...configuration, settledAt: settlingEnd(node, now) }
  if (state.forgot === true) node.amnesiaUntil = after(now, pledgeDuration(node))
  return node
}

function initialSessions(
  options: NodeOptions,
  started: Incarnation,
  others: readonly NodeConfig[],
): Sessions {
  const { config, self, ringKeys, sessionNonce, cryptography, versions = protocolVersions } = options
  const [active = 0] = ringKeys
  return createSessions({
    cluster: config.name,
    clusterTag: clusterTagOf(config.name),
    self,
    incarnation: started,
    nonce: sessionNonce,
    keyRing: { active, accepted: ringKeys },
    peers: others.map((each) => each.id),
    cryptography,
    versions,
  })
}

/** What runs is known once the control process has looked. */
function unknownActivation(service: ServiceName): Activation {
  return {
    service,
    phase: "unknown",
    epoch: undefined,
    operation: undefined,
    deadline: undefined,
    written: undefined,
    reason: "",
    failed: false,
    failedResource: undefined,
    lost: false,
    stopWanted: false,
    retryAt: undefined,
    ended: undefined,
  }
}

/** Before the first sample. */
function initialHealth(config: ClusterConfig): NodeState["health"] {
  return {
    cpuLoadPercent: 0,
    memoryPressurePercent: 0,
    clockDeviationMicros: 0,
    clockSource: "none",
    lateness: millis(0),
    uplink: "unknown",
    configChecksum: config.checksum.slice(0, 8),
    services: [],
  }
}

const noDocument = (): undefined => undefined

function initialConfiguration({
  config,
  durable,
  readConfiguration = noDocument,
}: NodeOptions): ConfigurationState {
  const stored = durable?.configuration
  const { lease, mandateTtl } = config.timings
  const prepared = stored?.prepared ?? undefined
  const read = prepared === undefined ? undefined : readConfiguration(prepared.document)
  return {
    document: stored?.document ?? undefined,
    prepared: prepared === undefined || read === undefined ? undefined : { ...prepared, config: read },
    adopting: undefined,
    incoming: undefined,
    told: new Map(),
    longest: stored?.longest ?? { lease, mandateTtl },
    settledAt: undefined,
    request: undefined,
    registered: undefined,
  }
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
          heardEpoch: epoch(Math.max(known?.epoch ?? 0, known?.givenUp ?? 0)),
          pledgeNumber: known?.pledgeNumber ?? 0,
          releasedEpoch: known?.releasedEpoch ?? epoch(0),
          givenUp: known?.givenUp ?? epoch(0),
          pledge:
            pledge === undefined
              ? undefined
              : { site: pledge.site, number: pledge.number, epoch: pledge.epoch, until },
          ordering: undefined,
          votes: new Map(),
          epoch: epoch(0),
          gainedAt: undefined,
          proven: [],
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
