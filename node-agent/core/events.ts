/** All that can happen to a node. The host turns the world's doings, failures included, into these and nothing else. */

import type { ClockSource } from "../../protocol/health.ts"
import type { Reply } from "../../protocol/summaries.ts"
import type {
  Epoch,
  Incarnation,
  Millis,
  NodeId,
  ServiceName,
  SiteId,
  Ticket,
  WallTime,
} from "../../protocol/units.ts"

/** A ring link by its index, or the path between sites. */
export type LinkId = number | "wan"

export type OperatorCommand =
  | SettingCommand
  | {
      readonly kind:
        | "service-start"
        | "service-stop"
        | "service-automatic"
        | "service-manual"
        | "service-cleanup"
      readonly service: ServiceName
    }
  /** To a node of the same site. */
  | { readonly kind: "service-move"; readonly service: ServiceName; readonly to: NodeId }
  /** All services of the ticket go to another site: they stop here, then the mandate is released to it. */
  | { readonly kind: "ticket-move"; readonly ticket: Ticket; readonly to: SiteId }
  /**
   * The operator vouches that the node, up to this incarnation, no longer acts (SPEC S5). `undefined`: the incarnation
   * this node knows of; filled in before it is ordered.
   */
  | ({ readonly kind: "fence-confirm"; readonly node: NodeId } & Partial<Vouched>)
  /** Change the configuration of the running cluster to this document (SPEC LC). */
  | { readonly kind: "configure"; readonly document: string }
  /** Believe the witness object seen now, although another one was pinned (SPEC W6). */
  | { readonly kind: "witness-accept" }

/** Settings that agents of version 1 do not know; ordered as messages of a kind of their own (SPEC N6). */
export type SettingCommand =
  /** To a node of the own site: it runs no service from here on, or may again (SPEC S16). */
  | { readonly kind: "node-standby" | "node-online"; readonly node: NodeId }
  /** Nothing is started, stopped or moved (SPEC S17); without a service: none of this site's. */
  | { readonly kind: "maintenance-on" | "maintenance-off"; readonly service: ServiceName | undefined }

/** What a confirmation vouches for: starts up to this one, and takeovers at these mandate epochs. */
export interface Vouched {
  readonly incarnation: Incarnation
  readonly mandates: readonly { readonly ticket: Ticket; readonly epoch: Epoch }[]
}

export type NodeEvent =
  | { readonly kind: "datagram-received"; readonly link: LinkId; readonly bytes: Uint8Array }
  | { readonly kind: "deadline-reached" }
  /** The write of that number, and every earlier one, is on the disk. */
  | { readonly kind: "persisted"; readonly write: number }
  | { readonly kind: "persist-failed"; readonly write: number; readonly reason: string }
  /** A verified reply (signature, cluster and addressee checked by the host) to post number `post`. */
  | { readonly kind: "witness-replied"; readonly post: number; readonly reply: Reply }
  | { readonly kind: "witness-failed"; readonly post: number; readonly reason: string }
  /** The process that runs resources is there and has looked at what runs: one entry a configured service. */
  | { readonly kind: "control-connected"; readonly found: readonly FoundService[] }
  | { readonly kind: "control-lost" }
  /** The gate for floating addresses was lost, for this reason, or is there again. */
  | { readonly kind: "gate-changed"; readonly missing: string | undefined }
  /** Outcomes of `start-service` and `stop-service`, by operation number. */
  | { readonly kind: "service-started"; readonly operation: number; readonly service: ServiceName }
  | {
      readonly kind: "service-start-failed"
      readonly operation: number
      readonly service: ServiceName
      readonly reason: string
    }
  | { readonly kind: "service-stopped"; readonly operation: number; readonly service: ServiceName }
  | {
      readonly kind: "service-stop-failed"
      readonly operation: number
      readonly service: ServiceName
      readonly reason: string
    }
  /** A monitor found it not running, or failed, while it should run. */
  | {
      readonly kind: "service-died"
      readonly service: ServiceName
      readonly resource: string
      readonly reason: string
    }
  /** A look at a service that was not started here found it running. */
  | { readonly kind: "service-found"; readonly service: ServiceName }
  /** Outcomes of `fence-node`: the devices confirmed that it is off, or not. */
  | { readonly kind: "fence-confirmed"; readonly operation: number }
  | { readonly kind: "fence-failed"; readonly operation: number; readonly reason: string }
  /** A fence device was looked at; `problem`: why it cannot be used, `undefined`: it can. Told when it changes. */
  | {
      readonly kind: "fence-device-checked"
      readonly device: string
      readonly problem: string | undefined
    }
  | { readonly kind: "operator-commanded"; readonly request: number; readonly command: OperatorCommand }
  | {
      readonly kind: "health-sampled"
      readonly cpuLoadPercent: number
      readonly memoryPressurePercent: number
      readonly clockDeviationMicros: number
      readonly clockSource: ClockSource
      /** The worst lateness of this process's own loop since the last sample. */
      readonly lateness: Millis
      readonly wall: WallTime
    }
  /**
   * The machine was suspended and its monotonic clock stood still for that long. Told before anything else that
   * happened since.
   */
  | { readonly kind: "suspended"; readonly slept: Millis }
  /** `software`: the kernel's own (softdog), which ends with the kernel. */
  | { readonly kind: "watchdog-armed"; readonly software: boolean }
  /** It could not be armed, or a feed failed. */
  | { readonly kind: "watchdog-failed"; readonly reason: string }
  /** SIGTERM: leave the ring gracefully. */
  | { readonly kind: "stop-requested" }

export interface FoundService {
  readonly service: ServiceName
  /** `unknown`: monitor failed or an operation of a former control process could not be confirmed ended. */
  readonly state: "running" | "stopped" | "unknown"
  /** The activation epoch it was started with, as noted at its start; undefined when stopped or not known. */
  readonly epoch: string | undefined
  readonly reason: string | undefined
}
