/** What `quorumbeat status` shows: a printable picture of one node's state, made at one instant. Decides nothing. */
import { mandateLease } from "../../protocol/lease.ts"
import type { ReportedEvent } from "../../protocol/summaries.ts"
import {
  elapsed,
  type Instant,
  type NodeId,
  ringKey,
  type SiteId,
  type WallTime,
} from "../../protocol/units.ts"
import { thresholdOf } from "./candidates.ts"
import { isPersonNeeded } from "./fencing.ts"
import { type Safety, safetyOf } from "./grade.ts"
import { type LinkStatus, linksStatus } from "./link-status.ts"
import { isLeftAlone } from "./ordered.ts"
import { probeInterval } from "./peers.ts"
import { configurationAgrees, type Placement, placementOf } from "./placement.ts"
import { hasMandate, hasVoice, mandateUntil, needsMandate, voiceUntil } from "./rights.ts"
import type { NodeState, Peer, ServiceRecord, TicketState } from "./state.ts"

export interface NodeStatus {
  readonly cluster: string
  readonly node: {
    readonly id: number
    readonly name: string
    readonly site: string
    readonly incarnation: number
    /** An operator wants no service on it. */
    readonly standby: boolean
  }
  readonly configuration: {
    readonly version: number
    readonly checksum: string
    readonly profile: string
    readonly agreed: boolean
  }
  /** `booting`, `gather`, `commit`, `recovery`, `operational`, `leaving`. */
  readonly membership: string
  readonly ring:
    | { readonly id: string; readonly members: readonly string[]; readonly representative: string }
    | undefined
  readonly rights: {
    readonly ring_lease_ms: number | undefined
    readonly active_in_ms: number
    readonly voice: {
      readonly held: boolean
      readonly by: string
      readonly remaining_ms: number | undefined
      readonly epoch: number
    }
    readonly mandates: readonly {
      readonly ticket: string
      readonly held: boolean
      readonly holder: string | undefined
      readonly epoch: number
      readonly remaining_ms: number | undefined
      readonly pledged_to: string | undefined
    }[]
  }
  readonly witness: {
    readonly state: "none" | "ok" | "unreachable" | "unknown" | "quarantined"
    readonly reporter: string | undefined
    readonly last_reply_ms: number | undefined
    readonly reason: string | undefined
  }
  readonly peers: readonly {
    readonly id: number
    readonly name: string
    readonly site: string
    readonly state: "down" | "init" | "alive"
    /** As `node.standby`; known of the own site only. */
    readonly standby: boolean
    readonly heard_ms: number | undefined
    readonly cpu_load_percent: number | undefined
    readonly memory_pressure_percent: number | undefined
    readonly clock_deviation_us: number | undefined
    readonly clock_source: string | undefined
    readonly lateness_ms: number | undefined
    readonly uplink: string | undefined
    readonly configuration_agrees: boolean | undefined
    /** The ring links to it; none to nodes of other sites. */
    readonly links: readonly LinkStatus[]
  }[]
  /** 0: its own loop is punctual; so many more silences before it accuses anybody. */
  readonly local_health: number
  /** Nothing is started, stopped or moved at this site. */
  readonly maintenance: boolean
  readonly services: readonly {
    readonly name: string
    readonly ticket: string
    readonly mode: "automatic" | "manual"
    /** By itself or with all of the site. */
    readonly maintenance: boolean
    readonly state: string
    readonly owner: string | undefined
    readonly epoch: string | undefined
    /** On each node that has any; from `migration_threshold` on it is passed over. */
    readonly failures: readonly { readonly node: string; readonly count: number }[]
    readonly migration_threshold: number
    readonly reason: string | undefined
    /** Of a service that the configuration has. */
    readonly safety: Safety | undefined
  }[]
  readonly sites: readonly {
    readonly name: string
    readonly heard_ms: number | undefined
    readonly state: "own" | "alive" | "silent"
  }[]
  readonly dropped_datagrams: Readonly<Record<string, number>>
  readonly events: readonly (Omit<ReportedEvent, "at"> & { readonly at_ms: WallTime })[]
}

export function statusOf(node: NodeState, now: Instant): NodeStatus {
  const { config, self, view } = node
  return {
    cluster: config.name,
    node: {
      id: self.id,
      name: self.name,
      site: self.site,
      incarnation: node.incarnation,
      standby: isStandby(node, self.id),
    },
    configuration: {
      version: config.version,
      checksum: config.checksum,
      profile: config.profile,
      agreed: view === undefined || configurationAgrees(node, view),
    },
    membership: node.leaving === "no" ? node.membership.kind : "leaving",
    ring:
      view === undefined || node.ring === undefined
        ? undefined
        : {
            id: ringKey(view.ring),
            members: view.members.map((id) => nameOf(node, id)),
            representative: nameOf(node, view.ring.representative),
          },
    rights: rightsStatus(node, now),
    witness: witnessStatus(node, now),
    peers: [...node.peers.values()].map((peer) => peerStatus(node, peer, now)),
    maintenance: node.ordered.maintenance === true,
    services: node.ordered.services.map((record) => serviceStatus(node, record, now)),
    sites: config.sites.map((site) => siteStatus(node, site.name, now)),
    local_health: node.localHealth,
    dropped_datagrams: node.dropped,
    events: node.recent.map(({ at, ...event }) => ({ at_ms: at, ...event })),
  }
}

function nameOf(node: NodeState, id: NodeId): string {
  return node.config.nodes.find((each) => each.id === id)?.name ?? String(id)
}

function isStandby(node: NodeState, id: NodeId): boolean {
  return node.ordered.standby?.includes(id) ?? false
}

/** What is left until `at`, in whole milliseconds; undefined when nothing is. */
function remaining(now: Instant, at: Instant | undefined): number | undefined {
  return at === undefined || at <= now || !Number.isFinite(at) ? undefined : Math.round(at - now)
}

function rightsStatus(node: NodeState, now: Instant): NodeStatus["rights"] {
  const { view } = node
  const until = voiceUntil(node)
  const by =
    view === undefined || view.standing.kind === "minority" ? "nobody" : standings[view.standing.kind]
  return {
    ring_lease_ms: remaining(now, node.ring?.lease),
    active_in_ms: view === undefined ? 0 : (remaining(now, view.activateAt) ?? 0),
    voice: {
      held: hasVoice(node, now),
      by,
      remaining_ms: remaining(now, until),
      epoch: Math.max(view?.voice.epoch ?? 0, node.ordered.voiceEpoch),
    },
    mandates: [...node.tickets.values()]
      .filter((state) => needsMandate(node, state.ticket))
      .map((state) => mandateStatus(node, state, now)),
  }
}

const standings = { "majority-alone": "majority", "needs-witness": "witness" } as const

function mandateStatus(
  node: NodeState,
  state: TicketState,
  now: Instant,
): NodeStatus["rights"]["mandates"][number] {
  const held = hasMandate(node, state, now)
  const lease = node.witness.watches.get(mandateLease(state.ticket))?.lease?.holder
  const pledged = state.pledge !== undefined && state.pledge.until > now ? state.pledge.site : undefined
  return {
    ticket: state.ticket,
    held,
    holder: held ? node.self.site : (pledged ?? (lease?.kind === "site" ? lease.site : undefined)),
    epoch: held ? state.epoch : state.heardEpoch,
    remaining_ms: held ? remaining(now, mandateUntil(node, state)) : undefined,
    pledged_to: pledged,
  }
}

const uplinks = { ok: "ok", failing: "unreachable", unknown: "unknown" } as const

/** Only the coordinator talks to the witness; the others know from its health entry how it fares. */
function coordinatorUplink(node: NodeState): keyof typeof uplinks {
  const coordinator = node.view?.coordinator
  if (coordinator === undefined || coordinator === node.self.id)
    return node.witness.failures > 0 ? "failing" : node.health.uplink
  return node.peers.get(coordinator)?.health?.uplink ?? "unknown"
}

function witnessStatus(node: NodeState, now: Instant): NodeStatus["witness"] {
  const { witness, view } = node
  const state =
    node.config.witness === undefined
      ? "none"
      : witness.quarantine !== undefined
        ? "quarantined"
        : uplinks[coordinatorUplink(node)]
  return {
    state,
    reporter: view === undefined ? undefined : nameOf(node, view.coordinator),
    last_reply_ms: witness.lastReply === undefined ? undefined : Math.round(elapsed(witness.lastReply, now)),
    reason: witness.reason,
  }
}

function peerStatus(node: NodeState, peer: Peer, now: Instant): NodeStatus["peers"][number] {
  const member = node.view?.members.includes(peer.node.id) ?? false
  const heardAt = node.links.peers.get(peer.node.id)?.heard
  const heard = heardAt === undefined ? undefined : Math.round(elapsed(heardAt, now))
  const window = peer.sameSite ? 3 * probeInterval(node) : node.config.timings.wanSilent
  const recent = heard !== undefined && heard < window
  const site = node.sites.get(peer.node.site)
  const named = site !== undefined && !site.silent && site.members.includes(peer.node.id)
  const alive = peer.sameSite ? member && node.ring !== undefined : named
  return {
    id: peer.node.id,
    name: peer.node.name,
    site: peer.node.site,
    state: alive ? "alive" : recent ? "init" : "down",
    standby: isStandby(node, peer.node.id),
    heard_ms: heard,
    cpu_load_percent: peer.health?.cpuLoadPercent,
    memory_pressure_percent: peer.health?.memoryPressurePercent,
    clock_deviation_us: peer.health?.clockDeviationMicros,
    clock_source: peer.health?.clockSource,
    lateness_ms: peer.health === undefined ? undefined : Math.round(peer.health.lateness),
    uplink: peer.health?.uplink,
    configuration_agrees:
      peer.health === undefined ? undefined : peer.health.configChecksum === node.health.configChecksum,
    links: linksStatus(node, peer, alive, now),
  }
}

function serviceStatus(node: NodeState, record: ServiceRecord, now: Instant): NodeStatus["services"][number] {
  const service = node.config.services.find((each) => each.name === record.service)
  const { assignment } = record
  const phase =
    assignment === undefined ? undefined : node.view?.phases.get(assignment.owner)?.get(record.service)
  const own = node.activations.get(record.service)
  const placement = service === undefined ? undefined : placementOf(node, service, now)
  const owned = assignment?.owner === node.self.id && own !== undefined
  const state = placement?.kind === "blocked" ? "blocked" : owned ? own.phase : (phase?.phase ?? "stopped")
  return {
    name: record.service,
    ticket: service?.ticket ?? "",
    mode: record.mode,
    maintenance: isLeftAlone(node.ordered, record.service),
    state,
    owner: assignment === undefined ? undefined : nameOf(node, assignment.owner),
    epoch: assignment?.epoch,
    failures: record.failures.map(({ node: on, count }) => ({ node: nameOf(node, on), count })),
    migration_threshold: service === undefined ? 0 : thresholdOf(service),
    reason: placement === undefined ? undefined : reasonOf(node, placement),
    safety: service === undefined ? undefined : safetyOf(node, service),
  }
}

function reasonOf(node: NodeState, placement: Placement): string | undefined {
  switch (placement.kind) {
    case "hold":
      return placement.reason === "assigned" ? undefined : placement.reason
    case "wait":
      return `waits for the proof, then starts on ${nameOf(node, placement.node)}`
    case "assign":
      return `about to start on ${nameOf(node, placement.node)}`
    case "revoke":
      return placement.reason
    case "blocked":
      return blockedBy(node, placement.nodes)
  }
}

function blockedBy(node: NodeState, targets: readonly NodeId[]): string {
  const names = targets.map((id) => nameOf(node, id)).join(", ")
  return targets.some((target) => isPersonNeeded(node, target))
    ? `no proof that ${names} stopped: quorumbeat fence confirm`
    : `waits until fence devices have turned ${names} off`
}

function siteStatus(node: NodeState, name: SiteId, now: Instant): NodeStatus["sites"][number] {
  if (name === node.self.site) return { name, heard_ms: undefined, state: "own" }
  const heard = node.sites.get(name)?.heard
  const heardMs = heard === undefined ? undefined : Math.round(elapsed(heard, now))
  const alive = heardMs !== undefined && heardMs <= node.config.timings.wanSilent
  return { name, heard_ms: heardMs, state: alive ? "alive" : "silent" }
}
