/**
 * What the speakers of sites say about services, and the events that follow: one runs again, which ends what was wrong with
 * it; one runs elsewhere than before; one runs at two sites (SPEC S22). Pure.
 */
import type { ServiceReport, Summary } from "../protocol/summaries.ts"
import type { Epoch, NodeId, WallTime } from "../protocol/units.ts"
import type { PlacedEvent } from "./alerts/incidents.ts"

export interface ServiceWatch {
  readonly state: string
  readonly owner: NodeId | undefined
  /** The last node that ran it, and its site. */
  readonly ranOn: { readonly node: NodeId; readonly site: string } | undefined
  /** Mandate epoch it runs at. Absent in records of earlier versions, and while it does not run. */
  readonly epoch?: Epoch | undefined
  /** A site that says that it runs there, too, at a lower epoch, and how often it did. */
  readonly rival?: { readonly site: string; readonly reports: number } | undefined
}

/** A single report of the former site may have been on its way while the service moved. */
const rivalReports = 2

export type ServiceWatches = Readonly<Record<string, ServiceWatch>>

/** `name`: what people call a node. */
export function noteServices(
  known: ServiceWatches,
  summary: Summary,
  name: (node: NodeId) => string,
  now: WallTime,
): { readonly services: ServiceWatches; readonly events: readonly PlacedEvent[] } {
  let services = known
  const events: PlacedEvent[] = []
  for (const report of summary.state.services) {
    const before = known[report.name]
    const surroundings = { summary, name, now }
    if (before !== undefined && isRival(report, before, summary.site)) {
      const noted = noteRival(report, before, surroundings)
      services = { ...services, [report.name]: noted.watch }
      events.push(...noted.events)
      continue
    }
    if (before?.rival !== undefined && endsRivalry(report, before.rival, before, summary.site)) {
      services = { ...services, [report.name]: { ...before, rival: undefined } }
      if (before.rival.reports >= rivalReports)
        events.push(dualEvent("dual-active-ended", report.name, "one of them stopped", surroundings))
    }
    // A site that does not own a service calls it stopped, and one that stops it late says so, whoever runs it elsewhere.
    const elsewhere = before?.ranOn !== undefined && before.ranOn.site !== summary.site
    if (elsewhere && (report.owner === undefined || report.epoch < (before.epoch ?? 0))) continue
    if (before?.state === report.state && before.owner === report.owner) continue
    const runs = report.state === "running" && report.owner !== undefined
    const ranOn =
      runs && report.owner !== undefined ? { node: report.owner, site: summary.site } : before?.ranOn
    const epoch = runs ? report.epoch : undefined
    const rival = services[report.name]?.rival
    services = {
      ...services,
      [report.name]: { state: report.state, owner: report.owner, ranOn, epoch, rival },
    }
    if (!runs || before === undefined) continue
    events.push(...moves(report, before, surroundings))
  }
  return { services, events }
}

/** It runs at another site, at a higher epoch. */
function isRival({ state, epoch }: ServiceReport, before: ServiceWatch, site: string): boolean {
  const runsElsewhere = before.epoch !== undefined && before.ranOn !== undefined && before.ranOn.site !== site
  return state === "running" && runsElsewhere && epoch < (before.epoch ?? 0)
}

function noteRival(
  { name: service, owner, epoch }: ServiceReport,
  before: ServiceWatch,
  surroundings: Surroundings,
): { readonly watch: ServiceWatch; readonly events: readonly PlacedEvent[] } {
  const { summary, name } = surroundings
  const known = before.rival?.site === summary.site ? before.rival.reports : 0
  const reports = Math.min(known + 1, rivalReports)
  const watch = { ...before, rival: { site: summary.site, reports } }
  if (reports < rivalReports || known === rivalReports) return { watch, events: [] }
  const high = before.ranOn === undefined ? "" : `${name(before.ranOn.node)} (mandate epoch ${before.epoch})`
  const low = owner === undefined ? summary.site : name(owner)
  const detail = `active on ${high} and on ${low} of ${summary.site} (mandate epoch ${epoch})`
  const event = dualEvent("dual-active", service, detail, surroundings)
  return { watch, events: [{ ...event, cause: `e${before.epoch}` }] }
}

/** Either of the two says that it does not run there. */
function endsRivalry(
  { state }: ServiceReport,
  rival: NonNullable<ServiceWatch["rival"]>,
  before: ServiceWatch,
  site: string,
): boolean {
  return (site === rival.site || site === before.ranOn?.site) && state !== "running"
}

function dualEvent(
  kind: "dual-active" | "dual-active-ended",
  service: string,
  detail: string,
  { summary, now }: Surroundings,
): PlacedEvent {
  const severity = kind === "dual-active" ? "critical" : "info"
  return {
    id: `${kind}:${service}:${now}`,
    kind,
    subject: service,
    severity,
    at: now,
    site: summary.site,
    detail,
  }
}

interface Surroundings {
  readonly summary: Summary
  readonly name: (node: NodeId) => string
  readonly now: WallTime
}

function moves(
  { name: service, owner, epoch }: ServiceReport,
  before: ServiceWatch,
  { summary, name, now }: Surroundings,
): readonly PlacedEvent[] {
  if (owner === undefined) return []
  const id = `${service}:${epoch}-${owner}-${summary.view?.ring.sequence ?? 0}`
  const event = { subject: service, at: now, site: summary.site }
  const started: PlacedEvent = {
    ...event,
    id: `service-started:${id}`,
    kind: "service-started",
    severity: "info",
    detail: `on ${name(owner)}`,
  }
  const { ranOn } = before
  if (ranOn === undefined || ranOn.node === owner) return [started]
  const takeover: PlacedEvent = {
    ...event,
    id: `takeover:${id}`,
    kind: "takeover",
    severity: "info",
    detail: `from ${name(ranOn.node)} to ${name(owner)}`,
    cause: `e${epoch}`,
    // Of the node that lost it: what is wrong there explains it.
    site: ranOn.site,
    node: name(ranOn.node),
  }
  return [started, takeover]
}
