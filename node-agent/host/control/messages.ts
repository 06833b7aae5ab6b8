/**
 * What the real-time process and its control process say to each other: one JSON value a line over a socket pair
 * (descriptor 3 of the control process). Both are the same program, so a line that cannot be read is a broken peer:
 * the connection is given up, never patched. Instants are readings of the one CLOCK_MONOTONIC that both share.
 */
import type { ClusterConfig } from "../../../protocol/cluster.ts"
import type { Instant, NodeId, WallTime } from "../../../protocol/units.ts"
import type { CommandResult, LogFields, LogLevel, NodeEffect } from "../../core/effects.ts"
import type { NodeEvent, OperatorCommand } from "../../core/events.ts"
import type { NodeStatus } from "../../core/status.ts"
import type { GateState } from "../gate.ts"
import type { RealtimeItem } from "../realtime.ts"
import type { SocketReport } from "../udp.ts"
import type { WatchdogReport } from "../watchdog.ts"

/** What the control process must know to begin; always the first line it gets. */
export interface ControlSetup {
  readonly config: ClusterConfig
  readonly self: NodeId
  readonly runtimeDirectory: string
  readonly nodeKeyFile: string
  /** Alert rules for direct paging; `undefined`: this node does not page. */
  readonly alertsFile: string | undefined
  /** Programs to run when something changes. */
  readonly hooks: readonly string[]
  readonly logLevel: LogLevel
  readonly traceFile: string | undefined
}

/** Effects that are carried out by the control process. */
export type ControlEffect = Extract<
  NodeEffect,
  { kind: "post-summary" | "start-service" | "stop-service" | "fence-node" }
>

/** Events that the control process observes. */
export type ControlEvent = Extract<
  NodeEvent,
  {
    kind:
      | "witness-replied"
      | "witness-failed"
      | "control-connected"
      | "service-started"
      | "service-start-failed"
      | "service-stopped"
      | "service-stop-failed"
      | "service-died"
      | "service-found"
      | "fence-confirmed"
      | "fence-failed"
      | "fence-device-checked"
  }
>

export interface LogLine {
  readonly at: WallTime
  readonly level: LogLevel
  readonly event: string
  readonly fields: LogFields
}

/** What the real-time process knows about itself beside the node's own status. */
export interface HostStatus {
  readonly pid: number
  /** `fifo`, `nice` or `plain`. */
  readonly scheduling: string
  /** What was asked of the kernel and what was got. */
  readonly realtime: readonly RealtimeItem[]
  /** Worst lateness of the loop since the agent started, and in the last second. */
  readonly lateness_worst_ms: number
  readonly lateness_ms: number
  readonly wake_ups: number
  readonly send_errors: number
  readonly oversized_datagrams: number
  /** From addresses that the configuration does not have. */
  readonly foreign_datagrams: number
  /** From sources that had sent too much to refuse; what the kernel dropped meanwhile is not counted. */
  readonly shed_datagrams: number
  readonly links_reopened: number
  readonly sockets: readonly SocketReport[]
  /** `undefined`: this node declares none. */
  readonly watchdog: WatchdogReport | undefined
  /** Lines (log, status, trace) that the control process was too slow for. */
  readonly dropped_lines: number
  /** How often the control process was started. */
  readonly control_starts: number
  /** What closes floating addresses when their lease ends. */
  readonly gate: GateState
}

export interface StatusReport {
  readonly kind: "status"
  readonly at: Instant
  readonly status: NodeStatus
  readonly host: HostStatus
}

/** May be dropped when the control process does not keep up; each drop is counted. */
export type Report =
  | { readonly kind: "log"; readonly line: LogLine }
  | StatusReport
  | { readonly kind: "trace"; readonly line: string }

export type ToControl =
  | { readonly kind: "setup"; readonly setup: ControlSetup }
  | { readonly kind: "effect"; readonly effect: ControlEffect }
  | { readonly kind: "reconfigure"; readonly config: ClusterConfig }
  | { readonly kind: "answer"; readonly request: number; readonly result: CommandResult }
  | { readonly kind: "ping"; readonly id: number }
  | Report

/** One look at the machine. */
export interface HealthSample {
  readonly cpuLoadPercent: number
  readonly memoryPressurePercent: number
  readonly clockDeviationMicros: number
  readonly clockSource: Extract<NodeEvent, { kind: "health-sampled" }>["clockSource"]
}

export type FromControl =
  | { readonly kind: "event"; readonly event: ControlEvent }
  | { readonly kind: "health"; readonly sample: HealthSample }
  | { readonly kind: "command"; readonly request: number; readonly command: OperatorCommand }
  /** Keep a flight record now; answered with its path. */
  | { readonly kind: "keep-record"; readonly request: number }
  | { readonly kind: "pong"; readonly id: number }
