/**
 * All that the witness knows of one cluster, besides its configuration and the alert tables: one record, stored in one
 * row, so that a post costs one write whatever it renews (SPEC W2). Pure: documents and record in, record, replies
 * and events out, and whether they must be stored before anything is said.
 */

import type { ClaimId } from "../protocol/lease.ts"
import type { Reply, Summary } from "../protocol/summaries.ts"
import type { WallTime } from "../protocol/units.ts"
import { wallTime } from "../protocol/units.ts"
import type { PlacedEvent } from "./alerts/incidents.ts"
import { ofNode, placed } from "./alerts/places.ts"
import {
  type ArbiterState,
  type Arbitration,
  arbitrate,
  documentAge,
  isNoted,
  type LastDocument,
  leaseSummaries,
  submissionOf,
  wantsArbitration,
} from "./arbiter.ts"
import { arbiterRules, type WitnessConfiguration } from "./configuration.ts"
import type { LeaseEntry } from "./lease-rules.ts"
import {
  emptyMeter,
  type Meter,
  metered,
  postingInterval,
  quotaNear,
  quotaPercent,
  reportedEventsPerDay,
} from "./meter.ts"
import { configurationTold, registered } from "./registration.ts"
import { checkSilence, emptyWatch, leaseMoves, noteSummary, rollbackSeen, type Watch } from "./watch.ts"

export interface WitnessRecord {
  /** The object's incarnation: random at its creation, kept for its life (W6). */
  readonly witness: string
  readonly leases: Readonly<Record<string, LeaseEntry>>
  readonly lastDocuments: Readonly<Record<string, LastDocument>>
  readonly watch: Watch
  readonly meter: Meter
  readonly storedAt: WallTime
}

/** What becomes of one document. A refused one left no trace. */
export type Outcome =
  | { readonly kind: "reply"; readonly reply: Reply }
  | { readonly kind: "refused"; readonly reason: "counter-not-rising" }

export interface Receipt {
  readonly record: WitnessRecord
  readonly outcomes: readonly Outcome[]
  readonly events: readonly PlacedEvent[]
  /** `required`: a right was granted, renewed, told or ended. New events require it too; the caller knows which are new. */
  readonly storing: "required" | "not-needed"
  /** A live change was registered: stored in the same transaction. */
  readonly configuration?: WitnessConfiguration | undefined
}

/** How old the stored "last heard" may become: a write of its own only when no other carries it. */
const storedEveryMs = 30_000

export function newRecord(witness: string, now: WallTime): WitnessRecord {
  return {
    witness,
    leases: {},
    lastDocuments: {},
    watch: emptyWatch,
    meter: emptyMeter(now),
    storedAt: wallTime(0),
  }
}

/** Whether one of these documents should wait for rivals before it is decided (SPEC W10). */
export function mayMeetRivals(
  configuration: WitnessConfiguration,
  record: WitnessRecord,
  summaries: readonly Summary[],
): boolean {
  const state = arbiterState(configuration, record)
  return summaries.some((summary) => wantsArbitration(state, submissionOf(summary)))
}

/** Decides the documents that met. The caller has verified who signed them and that they belong to this cluster. */
export function receive(
  stored: WitnessConfiguration,
  record: WitnessRecord,
  summaries: readonly Summary[],
  now: WallTime,
): Receipt {
  const changed = registration(stored, record, summaries)
  const configuration = changed ?? stored
  const before = arbiterState(configuration, record)
  const arbitration = arbitrate(before, summaries.map(submissionOf))
  const current = summaries.filter((_, index) => isNoted(arbitration.inadmissible[index]))
  const noted = noteAll(configuration, record, current, now)
  const { leases, lastDocuments } = arbitration.state
  const next = { ...record, leases, lastDocuments, watch: noted.watch, meter: noted.meter }
  const events = [
    ...leaseMoves(before, arbitration.state, now),
    ...current.flatMap((summary) => rollbackSeen(before, summary, now)),
    ...noted.events,
  ]
  const mustBe = changed !== undefined || mustStore(record, arbitration, { current, now })
  const storing = mustBe ? "required" : "not-needed"
  const outcomes = summaries.map((summary, index) =>
    outcomeOf(configuration, next, { arbitration, summary, index, now }),
  )
  return { record: next, outcomes, events, storing, configuration: changed }
}

/** The first of them that changes the configuration, if one does. */
function registration(
  stored: WitnessConfiguration,
  record: WitnessRecord,
  summaries: readonly Summary[],
): WitnessConfiguration | undefined {
  const state = arbiterState(stored, record)
  for (const summary of summaries) {
    const { id, challenge } = submissionOf(summary)
    if (challenge !== record.witness || documentAge(state, id) === "older") continue
    const next = registered(stored, record.leases, summary)
    if (next !== undefined) return next
  }
  return undefined
}

/** The dead-man check: what the alarm finds at `now`. */
export function expire(
  configuration: WitnessConfiguration,
  record: WitnessRecord,
  now: WallTime,
): Omit<Receipt, "outcomes"> {
  const { watch, events } = checkSilence(record.watch, configuration, now)
  const changed = configuration.sites.some(
    (site) => watch.sites[site]?.kind !== record.watch.sites[site]?.kind,
  )
  if (!changed) return { record, events, storing: "not-needed" }
  return { record: { ...record, watch }, events, storing: "required" }
}

export function arbiterState(configuration: WitnessConfiguration, record: WitnessRecord): ArbiterState {
  const { witness, leases, lastDocuments } = record
  return { witness, rules: arbiterRules(configuration), leases, lastDocuments }
}

function claimIdOf({ node, incarnation, counter }: Summary): ClaimId {
  return { node, incarnation, counter }
}

/** A replay, or a document made for another object, is not evidence of anything, not even that its node lives. */
interface Noted {
  readonly watch: Watch
  readonly meter: Meter
  readonly events: readonly PlacedEvent[]
}

function noteAll(
  configuration: WitnessConfiguration,
  record: WitnessRecord,
  summaries: readonly Summary[],
  now: WallTime,
): Noted {
  let { watch } = record
  let meter = metered(record.meter, now, {})
  const events: PlacedEvent[] = []
  for (const summary of summaries) {
    const noted = noteSummary(watch, configuration, summary, now)
    watch = noted.watch
    const room = Math.max(0, reportedEventsPerDay - meter.reportedEvents)
    const reported = summary.events
      .slice(0, room)
      .map((event) => placed(ofNode(event, summary.node), configuration, summary.site))
    meter = metered(meter, now, { reportedEvents: reported.length })
    events.push(...noted.events, ...reported)
  }
  if (summaries.length > 0 && quotaNear(meter, now)) events.push(quotaEvent(meter, now))
  return { watch, meter, events }
}

function quotaEvent(meter: Meter, now: WallTime): PlacedEvent {
  return {
    id: `quota-near:${meter.day}`,
    kind: "quota-near",
    subject: "witness",
    severity: "warning",
    at: now,
    detail: `${quotaPercent(meter)} % of the free plan's day are used; posts are asked for less often`,
  }
}

interface Circumstances {
  readonly current: readonly Summary[]
  readonly now: WallTime
}

function mustStore(
  record: WitnessRecord,
  arbitration: Arbitration,
  { current, now }: Circumstances,
): boolean {
  if (arbitration.answers.flat().some(({ kind }) => kind !== "refused")) return true
  return current.length > 0 && Math.abs(now - record.storedAt) >= storedEveryMs
}

interface Decided {
  readonly arbitration: Arbitration
  readonly summary: Summary
  readonly index: number
  readonly now: WallTime
}

function outcomeOf(
  configuration: WitnessConfiguration,
  record: WitnessRecord,
  { arbitration, summary, index, now }: Decided,
): Outcome {
  if (arbitration.inadmissible[index] === "counter-not-rising")
    return { kind: "refused", reason: "counter-not-rising" }
  const reply: Reply = {
    ...claimIdOf(summary),
    cluster: summary.cluster,
    witness: record.witness,
    leases: leaseSummaries(arbitration.state),
    answers: arbitration.answers[index] ?? [],
    interval: postingInterval(configuration, record.meter, now),
    quotaPercent: quotaPercent(record.meter),
    configuration: configurationTold(configuration, summary),
  }
  return { kind: "reply", reply }
}
