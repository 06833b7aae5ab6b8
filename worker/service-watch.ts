/**
 * What the speakers of sites say about services, and the events that follow: one runs again, which ends what was wrong with
 * it; one runs elsewhere than before. Pure.
 */
import type { ServiceReport, Summary } from "../protocol/summaries.ts"
import type { NodeId, WallTime } from "../protocol/units.ts"
import type { PlacedEvent } from "./alerts/incidents.ts"

export interface ServiceWatch {
  readonly state: string
  readonly owner: NodeId | undefined
  /** The last node that ran it, and its site. */
  readonly ranOn: { readonly node: NodeId; readonly site: string } | undefined
}

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
    // A site that does not own a service calls it stopped, whoever runs it elsewhere.
    if (report.owner === undefined && before?.ranOn !== undefined && before.ranOn.site !== summary.site)
      continue
    if (before?.state === report.state && before.owner === report.owner) continue
    const runs = report.state === "running" && report.owner !== undefined
    const ranOn =
      runs && report.owner !== undefined ? { node: report.owner, site: summary.site } : before?.ranOn
    services = { ...services, [report.name]: { state: report.state, owner: report.owner, ranOn } }
    if (!runs || before === undefined) continue
    events.push(...moves(report, before, { summary, name, now }))
  }
  return { services, events }
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
