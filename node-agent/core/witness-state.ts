/** What a node keeps of the witness: which object it believes, what it sent and what it saw. */
import type { LeaseClaim, LeaseName, LeaseSummary } from "../../protocol/lease.ts"
import type { ReportedEvent } from "../../protocol/summaries.ts"
import type { Epoch, Instant, Millis, RingId } from "../../protocol/units.ts"

export interface Watch {
  readonly lease: LeaseSummary | undefined
  readonly epoch: Epoch
  readonly seq: number
  readonly witness: string
  /** Receipt of the reply that first showed it (SPEC W11); memory only. */
  readonly since: Instant
}

export interface WitnessState {
  readonly counter: number
  /** First sending of each document that may still be answered. */
  readonly sent: ReadonlyMap<number, SentDocument>
  readonly outstanding:
    | { readonly post: number; readonly timeout: Instant; readonly urgent: boolean }
    | undefined
  readonly nextPost: Instant
  readonly urgent: boolean
  readonly pin: string | undefined
  /** The object seen now, while it is not believed. */
  readonly stranger: string | undefined
  readonly quarantine: string | undefined
  /** First reply of that object: leases of the one before it cannot outlive its own TTL from here. */
  readonly strangerSince: Instant | undefined
  /**
   * No claim is made before then: an accepted object knows nothing of the leases of the one before (SPEC W6). Undefined: none was
   * accepted.
   */
  readonly believeFrom: Instant | undefined
  readonly watches: ReadonlyMap<LeaseName, Watch>
  readonly releases: readonly LeaseClaim[]
  readonly lastReply: Instant | undefined
  readonly failures: number
  readonly failedAt: Instant | undefined
  readonly reason: string | undefined
  readonly interval: Millis
  readonly events: readonly ReportedEvent[]
}

export interface SentDocument {
  readonly at: Instant
  /** The ring it claimed for; undefined: it claimed no voice. */
  readonly ring: RingId | undefined
  /** The voice claim carried a proof of waiting. */
  readonly waited: boolean
  readonly memo: string | undefined
  readonly events: readonly string[]
}

/** Nothing sent, nothing seen, and the pin of the durable record. */
export function initialWitness(pin: string | undefined, interval: Millis, now: Instant): WitnessState {
  return {
    counter: 0,
    sent: new Map(),
    outstanding: undefined,
    nextPost: now,
    urgent: false,
    pin,
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
    interval,
    events: [],
  }
}
