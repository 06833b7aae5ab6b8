/**
 * From events to incidents. Pure: incidents, an event and the time in, incidents out.
 *
 *   (none)       -- opens, and must last ---------> pending
 *   (none)       -- opens or happens -------------> open
 *   pending      -- has lasted -------------------> open
 *   pending      -- ended before that ------------> resolved      (nobody heard of it; its notes say why)
 *   open         -- ended ------------------------> clearing      (still firing: it may come back)
 *   open         -- operator acknowledges --------> open, acknowledged
 *   clearing     -- happens again ----------------> open          (a flap: counted, not a new incident)
 *   clearing     -- stayed away ------------------> resolved
 *   resolved     -- again within `flapWindowMs` --> open          (the same incident)
 *
 * What flaps has to stay away longer each time before it counts as over, so that a node which comes and goes for an
 * hour is one incident with a count.
 */
import type { ReportedEvent, Severity } from "../../protocol/summaries.ts"
import type { Millis, WallTime } from "../../protocol/units.ts"
import { millis, wallTime } from "../../protocol/units.ts"
import { type CatalogueEntry, entryOfKind } from "./catalogue.ts"
import { incidentId } from "./identity.ts"
import type { Labels } from "./matchers.ts"

/** Why something was sent, or was not; oldest first. */
export interface Note {
  readonly at: WallTime
  /** `undefined`: about the incident itself. */
  readonly receiver: string | undefined
  readonly text: string
}

export interface Incident {
  readonly id: string
  readonly kind: string
  readonly severity: Severity
  /** `node a2`. */
  readonly subject: string
  readonly title: string
  readonly detail: string
  readonly labels: Labels
  readonly phase: "pending" | "open" | "clearing" | "resolved"
  readonly acknowledged: { readonly by: string; readonly at: WallTime } | undefined
  /** When its first event came. */
  readonly since: WallTime
  /** When it was first open; `undefined`: not yet, or it never was. */
  readonly openedAt: WallTime | undefined
  /** `pending`: when it opens. `clearing`, or open for a time only: when it resolves. */
  readonly dueAt: WallTime | undefined
  readonly resolvedAt: WallTime | undefined
  /** How often it began. */
  readonly count: number
  /** The latest beginnings, for flap detection. */
  readonly beginnings: readonly WallTime[]
  readonly notes: readonly Note[]
}

/** By symptom: one incident at a time for a kind and a subject. */
export type Incidents = ReadonlyMap<string, Incident>

/** An event with what is known about its place, as names. */
export interface PlacedEvent extends ReportedEvent {
  /** Of the subject if it has one, else of the reporter. */
  readonly site?: string | undefined
  /** The other site or node, where an event is about two. */
  readonly peer?: string | undefined
  readonly node?: string | undefined
}

/** A placed event of a cluster. */
export interface Signal {
  readonly event: PlacedEvent
  readonly cluster: string
}

/** What an operator changed about a kind. */
export interface KindRule {
  readonly severity?: Severity | undefined
  readonly forMs?: number | undefined
  readonly clearMs?: number | undefined
}

export const flapWindowMs = millis(3_600_000)
/** From the third beginning within the window on it flaps, and must stay away for minutes, then for half an hour. */
const flapsFrom = 3
const flapStepMs = 600_000
const flapHoldMaxMs = 1_800_000
const beginningsKept = 16
const notesKept = 40
/** A cluster of 64 nodes with every link down has fewer; more is a storm of something else. */
const incidentsMax = 400

export function symptomOf(kind: string, subject: string): string {
  return `${kind} ${subject}`
}

export function isFiring({ phase }: Incident): boolean {
  return phase === "open" || phase === "clearing"
}

/** Open for a time only: something that happened, not something that is so. */
export function isMomentary({ phase, dueAt }: Incident): boolean {
  return phase === "open" && dueAt !== undefined
}

export function isFlapping(incident: Incident, now: WallTime): boolean {
  return recentBeginnings(incident, now).length >= flapsFrom
}

/** Takes one event in. Unchanged incidents stay the same objects. */
export function takeSignal(
  incidents: Incidents,
  signal: Signal,
  rules: Readonly<Record<string, KindRule>>,
  now: WallTime,
): Incidents {
  const { event } = signal
  const entry = entryOfKind(event.kind, event.severity)
  switch (entry.effect) {
    case "noted":
      return incidents
    case "ends":
      return entry.ends.reduce((all, kind) => end(all, kind, signal, rules, now), incidents)
    case "opens":
    case "happens":
      return begin(incidents, entry, signal, rules[event.kind] ?? {}, now)
  }
}

/** What became due by time alone. */
export function expireIncidents(incidents: Incidents, now: WallTime): Incidents {
  let next = incidents
  for (const [symptom, incident] of incidents) {
    const { dueAt, phase } = incident
    if (phase === "resolved") {
      if (now - (incident.resolvedAt ?? now) > flapWindowMs) next = without(next, symptom)
      continue
    }
    if (dueAt === undefined || dueAt > now) continue
    const after = phase === "pending" ? opened(incident, now) : resolved(incident, "it stayed away", now)
    next = new Map(next).set(symptom, after)
  }
  return next
}

/** When `expireIncidents` has something to do; forgetting what is resolved can wait for any other occasion. */
export function nextExpiry(incidents: Incidents): WallTime | undefined {
  const due = [...incidents.values()].flatMap(({ phase, dueAt }) =>
    phase === "resolved" || dueAt === undefined ? [] : [dueAt],
  )
  return due.length === 0 ? undefined : wallTime(Math.min(...due))
}

export function acknowledged(incident: Incident, by: string, now: WallTime): Incident {
  return noted(
    { ...incident, acknowledged: { by, at: now } },
    { at: now, receiver: undefined, text: `acknowledged by ${by}` },
  )
}

/** By an operator's word; if the condition still holds, the next event about it opens a new incident at once. */
export function resolvedBy(incident: Incident, by: string, now: WallTime): Incident {
  return resolved(incident, `resolved by ${by}`, now)
}

/** With a note, unless the last one for this receiver says the same. */
export function noted(incident: Incident, note: Note): Incident {
  const last = incident.notes.findLast(({ receiver }) => receiver === note.receiver)
  if (last?.text === note.text) return incident
  return { ...incident, notes: [...incident.notes, note].slice(-notesKept) }
}

function begin(
  incidents: Incidents,
  entry: CatalogueEntry & { readonly effect: "opens" | "happens" },
  signal: Signal,
  rule: KindRule,
  now: WallTime,
): Incidents {
  const { event } = signal
  const subject = subjectOf(entry, signal)
  const symptom = symptomOf(event.kind, subject)
  const known = incidents.get(symptom)
  const forMs = entry.effect === "opens" ? (rule.forMs ?? entry.forMs) : 0
  const lasts = entry.effect === "happens" ? wallTime(now + entry.lastsMs) : undefined
  if (known === undefined) {
    if (incidents.size >= incidentsMax) return overflow(incidents, signal, now)
    const fresh = newIncident(entry, signal, rule, now)
    const incident =
      forMs > 0 ? { ...fresh, dueAt: wallTime(now + forMs) } : opened({ ...fresh, dueAt: lasts }, now)
    return new Map(incidents).set(symptom, incident)
  }
  const { detail } = event
  if (known.phase === "pending" || known.phase === "open") {
    const isNews = known.detail !== detail || lasts !== undefined
    return isNews
      ? new Map(incidents).set(symptom, { ...known, detail, dueAt: lasts ?? known.dueAt })
      : incidents
  }
  const beginnings = [...known.beginnings, now].slice(-beginningsKept)
  const again = { ...known, detail, count: known.count + 1, beginnings, resolvedAt: undefined, dueAt: lasts }
  const text = `happened again (${again.count} times)`
  const wasResolved = known.phase === "resolved"
  if (wasResolved && forMs > 0) {
    const pending: Incident = {
      ...again,
      phase: "pending",
      acknowledged: undefined,
      dueAt: wallTime(now + forMs),
    }
    return new Map(incidents).set(symptom, pending)
  }
  // Somebody who acknowledged it works on it while it comes and goes; after it was over it is news again.
  const acknowledgement = wasResolved ? undefined : known.acknowledged
  const open: Incident = {
    ...again,
    phase: "open",
    acknowledged: acknowledgement,
    openedAt: wasResolved ? now : (known.openedAt ?? now),
  }
  return new Map(incidents).set(symptom, noted(open, { at: now, receiver: undefined, text }))
}

function end(
  incidents: Incidents,
  kind: string,
  signal: Signal,
  rules: Readonly<Record<string, KindRule>>,
  now: WallTime,
): Incidents {
  const entry = entryOfKind(kind, "warning")
  const symptom = symptomOf(kind, subjectOf(entry, signal))
  const known = incidents.get(symptom)
  if (known === undefined || known.phase === "resolved" || known.phase === "clearing") return incidents
  if (known.phase === "pending") {
    const text = `it was over before it had lasted as long as \`for\` asks`
    return new Map(incidents).set(symptom, resolved(known, text, now))
  }
  const hold = clearHold(known, entry, rules[kind] ?? {}, now)
  if (hold === 0) return new Map(incidents).set(symptom, resolved(known, "it is over", now))
  const clearing: Incident = { ...known, phase: "clearing", dueAt: wallTime(now + hold) }
  const text = `over; counts as over when it stays away for ${Math.round(hold / 1_000)} s`
  return new Map(incidents).set(symptom, noted(clearing, { at: now, receiver: undefined, text }))
}

function clearHold(incident: Incident, entry: CatalogueEntry, rule: KindRule, now: WallTime): Millis {
  const base = rule.clearMs ?? (entry.effect === "opens" ? entry.clearMs : 0)
  const excess = recentBeginnings(incident, now).length - flapsFrom + 1
  return millis(excess <= 0 ? base : Math.max(base, Math.min(flapHoldMaxMs, excess * flapStepMs)))
}

function recentBeginnings({ beginnings }: Incident, now: WallTime): readonly WallTime[] {
  return beginnings.filter((at) => now - at < flapWindowMs)
}

function newIncident(
  entry: CatalogueEntry & { readonly effect: "opens" | "happens" },
  signal: Signal,
  rule: KindRule,
  now: WallTime,
): Incident {
  const { event, cluster } = signal
  const subject = subjectOf(entry, signal)
  const severity = rule.severity ?? worse(entry.severity, event.severity)
  return {
    id: incidentId(cluster, event.kind, subject, event.cause ?? event.id),
    kind: event.kind,
    severity,
    subject,
    title: `${subject} ${entry.says}`,
    detail: event.detail,
    labels: {
      cluster,
      kind: event.kind,
      severity,
      subject,
      site: event.site ?? "",
      peer: event.peer ?? "",
      node: event.node ?? "",
    },
    phase: "pending",
    acknowledged: undefined,
    since: now,
    openedAt: undefined,
    dueAt: undefined,
    resolvedAt: undefined,
    count: 1,
    beginnings: [now],
    notes: [],
  }
}

function subjectOf({ noun }: CatalogueEntry, { event }: Signal): string {
  const { peer, site } = event
  const subject = `${noun} ${event.subject}`
  // "South cannot be reached" is another incident seen from north than seen from east.
  return peer === undefined || noun !== "site" ? subject : `${subject} from ${site ?? "elsewhere"}`
}

const severities: readonly Severity[] = ["info", "warning", "critical"]

/** A node may know that something is worse than usual; never that it is less. */
function worse(a: Severity, b: Severity): Severity {
  return severities.indexOf(a) >= severities.indexOf(b) ? a : b
}

function opened(incident: Incident, now: WallTime): Incident {
  const dueAt =
    incident.phase === "pending" && incident.dueAt !== undefined && incident.dueAt <= now
      ? undefined
      : incident.dueAt
  return noted(
    { ...incident, phase: "open", openedAt: now, dueAt },
    { at: now, receiver: undefined, text: "opened" },
  )
}

function resolved(incident: Incident, text: string, now: WallTime): Incident {
  return noted(
    { ...incident, phase: "resolved", dueAt: undefined, resolvedAt: now },
    { at: now, receiver: undefined, text: `resolved: ${text}` },
  )
}

/** What there is no room for is one incident of its own, so that it is not silence. */
function overflow(incidents: Incidents, signal: Signal, now: WallTime): Incidents {
  const [symptom] = [...incidents].find(([, { phase }]) => phase === "resolved") ?? []
  if (symptom !== undefined) {
    const room = without(incidents, symptom)
    return takeSignal(room, signal, {}, now)
  }
  const event: PlacedEvent = {
    severity: "warning",
    at: signal.event.at,
    id: `incidents-overflow:${Math.floor(now / flapWindowMs)}`,
    kind: "incidents-overflow",
    subject: "witness",
    detail: `more than ${incidentsMax} incidents; ${signal.event.kind} of ${signal.event.subject} has none of its own`,
  }
  const entry = entryOfKind(event.kind, event.severity)
  if (entry.effect !== "happens") return incidents
  const known = incidents.get(symptomOf(event.kind, subjectOf(entry, { ...signal, event })))
  if (known !== undefined) return incidents
  const fresh = newIncident(entry, { ...signal, event }, {}, now)
  return new Map(incidents).set(
    symptomOf(fresh.kind, fresh.subject),
    opened({ ...fresh, dueAt: wallTime(now + entry.lastsMs) }, now),
  )
}

function without(incidents: Incidents, symptom: string): Incidents {
  const rest = new Map(incidents)
  rest.delete(symptom)
  return rest
}
