/** One machine of the world: its clock, its disk, its services, and the process of the agent that may run on it. */

import type { ClusterConfig } from "../../protocol/cluster.ts"
import {
  epoch,
  type Instant,
  incarnation,
  instant,
  type NodeId,
  type ServiceName,
} from "../../protocol/units.ts"
import { protocolVersions, type VersionRange } from "../../protocol/version.ts"
import type { DurableState } from "../core/durable.ts"
import type { FoundService } from "../core/events.ts"
import { draw, type Random } from "../core/random.ts"
import type { NodeState } from "../core/state.ts"

/** What a lease file says: its service may act at `epoch` until `until`, in true time. */
export interface LeaseFile {
  readonly from: number
  readonly until: number
  readonly epoch: string
}

export interface Host {
  readonly id: NodeId
  readonly site: string
  /** What this machine's file says; another one than the world's for a mismatch. */
  config: ClusterConfig
  node: NodeState | undefined
  /** What the program installed here speaks. */
  versions: VersionRange
  /** Which process of this node the queued events are for. */
  life: number
  disk: DurableState | undefined
  /** When the writes ordered so far are on the disk. */
  diskFreeAt: number
  diskFull: boolean
  /** The latest write ordered. */
  ordered: number
  rate: number
  offset: number
  /** When it was suspended: its clock stands still. */
  suspendedAt: number | undefined
  /** Its whole guest stood still and nothing told it: until then it may act on what was left of its rights (SPEC, out of scope). */
  exposedUntil: number
  /** What its wall clock is off by. */
  wallOffset: number
  /** How long the process is stopped between its next decision about a lease file and the writing of it; 0: not. */
  stall: number
  /** What it then had left to do. */
  unfinished: (() => void) | undefined
  wakeAt: number
  lastWake: number
  /** Wake-ups in quick succession: a deadline that stays in the past would spin a real host. */
  wakes: number
  frozen: boolean
  readonly held: (() => void)[]
  /** Whether it has one for floating addresses: nftables, and a way to call the kernel. */
  gate: "ready" | "missing"
  /** The process that starts and stops services is there. */
  control: boolean
  /** Raised when it goes away: operations under way are lost with it. */
  controlLife: number
  /** Services that run here, by name, with their epoch. They outlive the agent, as real ones do. */
  readonly running: Map<ServiceName, string>
  readonly leases: Map<ServiceName, LeaseFile>
}

/** `rateError`: how far the clock's rate may be off, as a fraction; within rho unless a test wants it otherwise. */
export function createHost(config: ClusterConfig, id: NodeId, rateError: number, random: Random): Host {
  return {
    id,
    site: config.nodes.find((node) => node.id === id)?.site ?? "",
    config,
    node: undefined,
    versions: protocolVersions,
    life: 0,
    disk: freshState(config, id),
    diskFreeAt: 0,
    diskFull: false,
    ordered: 0,
    rate: 1 + rateError * (2 * draw(random) - 1),
    offset: 1000 + 1_000_000 * draw(random),
    suspendedAt: undefined,
    exposedUntil: 0,
    wallOffset: 0,
    stall: 0,
    unfinished: undefined,
    wakeAt: Number.POSITIVE_INFINITY,
    lastWake: 0,
    wakes: 0,
    frozen: false,
    held: [],
    gate: "ready",
    control: true,
    controlLife: 0,
    running: new Map(),
    leases: new Map(),
  }
}

/** What the host's own clock shows at the true time `now`. */
export function localTime(host: Host, now: number): Instant {
  return instant(host.offset + (host.suspendedAt ?? now) * host.rate)
}

/** The true time at which the host's clock shows `at`. */
export function trueTime(host: Host, at: Instant): number {
  return (at - host.offset) / host.rate
}

/** Instead of the epoch of a service that nobody started here. */
export const byHand = ""

/** What the process that runs services finds when it looks. */
export function foundServices(host: Host): readonly FoundService[] {
  return host.config.services.map(({ name }) => {
    const running = host.running.get(name)
    return {
      service: name,
      state: running === undefined ? "stopped" : "running",
      epoch: running === byHand ? undefined : running,
      reason: undefined,
    }
  })
}

/** As `quorumbeat init` writes it: the absence of pledges is knowledge. */
function freshState(config: ClusterConfig, id: NodeId): DurableState {
  return {
    format: 1,
    cluster: config.name,
    node: id,
    incarnation: incarnation(0),
    ringSequence: 0,
    voiceEpoch: epoch(0),
    tickets: [],
    pledges: [],
    witness: undefined,
    fresh: true,
  }
}
