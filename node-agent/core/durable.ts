/**
 * What must survive a restart, as one small record. The host writes it whole, atomically, off its loop, and says
 * `persisted`; nothing in it is spoken before (SPEC D1). A missing or torn file is amnesia (SPEC M9).
 */
import type { NamedTag } from "../../protocol/summaries.ts"
import type { Epoch, Incarnation, NodeId, SiteId, Ticket } from "../../protocol/units.ts"
import type { Obligations } from "./configuration-state.ts"

export interface DurablePledge {
  readonly ticket: Ticket
  /** To whom this site's vote is pledged. */
  readonly site: SiteId
  /** Greater than any that a member or the memo has ever known for the site and ticket. */
  readonly number: number
  readonly epoch: Epoch
}

export interface DurableTicket {
  readonly ticket: Ticket
  /** The highest mandate epoch this node has ever heard of. */
  readonly epoch: Epoch
  /** The highest pledge number this node has ever known for its own site. */
  readonly pledgeNumber: number
  /** The highest epoch known to have been released with all owners stopped. */
  readonly releasedEpoch: Epoch
  /** The highest that its own site gave up: votes for it that a member still has are void. Older versions do not say. */
  readonly givenUp?: Epoch | undefined
}

export interface PinnedWitness {
  /** The object's incarnation id; another one is quarantined until an operator says so (SPEC W6). */
  readonly incarnation: string
  readonly highest: readonly NamedTag[]
  /** Accepted by an operator's word, and what the one before granted may still be in use: a restart waits anew (SPEC W6). */
  readonly waits?: boolean | undefined
}

export interface DurableConfiguration {
  /** Of the active one; null: the node's own file. */
  readonly document: string | null
  readonly prepared: { readonly document: string; readonly voice: number; readonly ring: number } | null
  /** What obligations are counted by, until those of configurations before are over. */
  readonly longest: Obligations | null
}

export interface DurableState {
  readonly format: 1
  readonly cluster: string
  readonly node: NodeId
  /** The incarnation that last ran with this record. */
  readonly incarnation: Incarnation
  /** No ring sequence above this one was ever announced by this node (kept ahead, so that forming a view waits for no disk). */
  readonly ringSequence: number
  /** The highest epoch of the site's voice lease that this node ever acted under, or heard of from others (SPEC S8). */
  readonly voiceEpoch: Epoch
  readonly tickets: readonly DurableTicket[]
  readonly pledges: readonly DurablePledge[]
  readonly witness: PinnedWitness | undefined
  /** What live changes made of the configuration (SPEC LC7); undefined: the node's own file counts. */
  readonly configuration?: DurableConfiguration | undefined
  /** Made by `quorumbeat init` for a cluster that never ran: the absence of pledges is knowledge, not amnesia. */
  readonly fresh: boolean
  /** The record before this one was lost, and the node has not learnt since what was done: it has no vote but in a view of its whole site (SPEC V12). */
  readonly forgot?: boolean | undefined
  /** Which witness it believed was lost with it: none is believed before somebody tells one (SPEC W6). */
  readonly pinLost?: boolean | undefined
  /** What a ring may have ordered was lost with it: of the configuration the file is the only word (SPEC LC6). */
  readonly configurationForgot?: boolean | undefined
}
