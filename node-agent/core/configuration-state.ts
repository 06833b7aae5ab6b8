/** What a node knows of configurations beside the one in use (SPEC LC). */
import type { ClusterConfig } from "../../protocol/cluster.ts"
import type { Instant, Millis, NodeId } from "../../protocol/units.ts"
import type { VoteLayout } from "../../protocol/votes.ts"

/** The configuration as something that changes (SPEC LC); what it says is in `config`. */
export interface ConfigurationState {
  /** What `readConfiguration` takes, once the configuration was changed live: it is a fact (confirmed). */
  readonly document: string | undefined
  /** Stored, and not known to be active. */
  readonly prepared: Prepared | undefined
  /** To be taken up once write `write` is on the disk. */
  readonly adopting:
    | { readonly config: ClusterConfig; readonly document: string; readonly write: number }
    | undefined
  /** Pieces of a proposal that this ring is ordering. */
  readonly incoming:
    | { readonly ring: string; readonly origin: NodeId; readonly pieces: readonly (string | undefined)[] }
    | undefined
  /** Pieces of a configuration that a peer, not the ring, is telling. */
  readonly told: ReadonlyMap<NodeId, ToldConfiguration>
  /** What obligations are counted by: the longest of this configuration, its predecessor and those before whose time is not over. */
  readonly longest: Obligations
  /** Timings do not change again before then: obligations of the one before have run out. */
  readonly settledAt: Instant | undefined
  /** An operator of this node waits for it. */
  readonly request:
    | {
        readonly request: number
        readonly version: number
        readonly checksum: string
        readonly document: string
        readonly deadline: Instant
        /** The ring that was asked to order it last. */
        readonly ring: string
      }
    | undefined
  /** The newest that the witness has registered. */
  readonly registered: { readonly version: number; readonly checksum: string } | undefined
}

export interface ToldConfiguration {
  /** Its checksum, if the peer says it. */
  readonly of: string | undefined
  readonly pieces: readonly (string | undefined)[]
}

export interface Obligations {
  readonly lease: Millis
  readonly mandateTtl: Millis
  /** Older versions do not say. */
  readonly voiceTtl?: Millis | undefined
}

export interface Prepared {
  readonly config: ClusterConfig
  readonly document: string
  /** Voice epoch and sequence of the ring that proposed it: of two proposals the later one counts (SPEC LC4). */
  readonly voice: number
  readonly ring: number
}

/** A proposal that some member of a view brought in: the view speaks only if it does by this one too. */
export interface Joint {
  readonly version: number
  readonly checksum: string
  readonly voice: number
  readonly ring: number
  readonly layout: VoteLayout
  /** The lowest member that has it: it orders it again, so that all members store it. */
  readonly holder: NodeId
}
