/** All that a node may ask of the world. Effects are data, started in order, never awaited; outcomes come back as events. */
import type { ClusterConfig } from "../../protocol/cluster.ts"
import type { Summary } from "../../protocol/summaries.ts"
import type { Instant, NodeId, ServiceName } from "../../protocol/units.ts"
import type { DurableState } from "./durable.ts"
import type { LinkId } from "./events.ts"

export type LogLevel = "debug" | "info" | "warn" | "error"

/** Values that print as they are. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>

export type CommandResult =
  | { readonly kind: "done"; readonly message: string }
  | { readonly kind: "refused"; readonly reason: string; readonly message: string }

export type NodeEffect =
  | { readonly kind: "send"; readonly to: NodeId; readonly link: LinkId; readonly bytes: Uint8Array }
  /** Replaces the durable record. A later write makes an earlier one that has not begun unnecessary. */
  | { readonly kind: "persist"; readonly write: number; readonly state: DurableState }
  /** Sign the summary and post it. `timeout`: give up (and say `witness-failed`) at this instant. */
  | {
      readonly kind: "post-summary"
      readonly post: number
      readonly summary: Summary
      readonly timeout: Instant
    }
  /** `epoch` is the activation's fencing token, dotted decimal, compared number by number. */
  | {
      readonly kind: "start-service"
      readonly operation: number
      readonly service: ServiceName
      readonly epoch: string
      readonly deadline: Instant
    }
  | {
      readonly kind: "stop-service"
      readonly operation: number
      readonly service: ServiceName
      readonly epoch: string | undefined
    }
  /** Turn the node off by its fence devices, all levels if need be. */
  | { readonly kind: "fence-node"; readonly operation: number; readonly node: NodeId }
  /** Replace the service's lease file: the holder may act at `epoch` until `deadline`; `undefined`: not at all. */
  | {
      readonly kind: "write-lease"
      readonly service: ServiceName
      readonly epoch: string
      readonly deadline: Instant | undefined
    }
  /** Open the machine's watchdog and set its timeout; from then on it must be fed. */
  | { readonly kind: "arm-watchdog" }
  /** Once everything else of this step is done. */
  | { readonly kind: "feed-watchdog" }
  /** Stop it: nothing is left that it would have to end. */
  | { readonly kind: "disarm-watchdog" }
  /** A right was lost: what led to it is to be kept. */
  | { readonly kind: "keep-record"; readonly reason: string }
  | { readonly kind: "answer-operator"; readonly request: number; readonly result: CommandResult }
  | { readonly kind: "log"; readonly level: LogLevel; readonly event: string; readonly fields: LogFields }
  /** Another configuration is in use from now on; the durable record has it. */
  | { readonly kind: "reconfigure"; readonly config: ClusterConfig; readonly document: string }
  /** The node has left: everything it ran is stopped. */
  | { readonly kind: "exit"; readonly reason: string }
