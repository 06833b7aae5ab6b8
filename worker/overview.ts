/** What an operator sees of a cluster through the API. Pure; secrets do not come through here. */

import { encodeLease } from "../protocol/summaries.ts"
import type { NodeId, SiteId, WallTime } from "../protocol/units.ts"
import { describeIncident, describeLetter } from "./alert-overview.ts"
import type { Letter } from "./alert-tables.ts"
import type { Incident } from "./alerts/incidents.ts"
import { leaseSummaries } from "./arbiter.ts"
import type { WitnessConfiguration } from "./configuration.ts"
import { postingInterval, quotaPercent } from "./meter.ts"
import { arbiterState, type WitnessRecord } from "./record.ts"
import type { StoredEvent } from "./schema.ts"

export interface Overview {
  readonly cluster: string
  readonly configuration: WitnessConfiguration
  readonly record: WitnessRecord
  readonly events: readonly StoredEvent[]
  readonly incidents: readonly Incident[]
  readonly letters: readonly Letter[]
}

export function describeCluster(
  { cluster, configuration, record, events, incidents, letters }: Overview,
  now: WallTime,
): object {
  return {
    cluster,
    witness: record.witness,
    configuration,
    leases: leaseSummaries(arbiterState(configuration, record)).map(encodeLease),
    sites: configuration.sites.map((site) => describeSite(configuration, record, site, now)),
    nodes: configuration.nodes.map(({ node, site }) => ({ node, site, ...describeNode(record, node) })),
    quota: {
      percent: quotaPercent(record.meter),
      rows_written: record.meter.rowsWritten,
      posts: record.meter.posts,
      reported_events: record.meter.reportedEvents,
      interval_ms: postingInterval(configuration, record.meter, now),
    },
    events: events.map(describeEvent),
    incidents: incidents.filter(({ phase }) => phase !== "resolved").map(describeIncident),
    deliveries: letters.map(describeLetter),
  }
}

export function describeEvent({ recordedAt, at, ...event }: StoredEvent): object {
  return { ...event, at_ms: at, recorded_at_ms: recordedAt }
}

/** `late` and `suspect` are stages on the way to `silent`, shown and not yet told: three posts missed, half the time gone. */
function describeSite(
  { dead_man_ms: deadMan, interval_ms: interval }: WitnessConfiguration,
  { watch }: WitnessRecord,
  site: SiteId,
  now: WallTime,
): object {
  const known = watch.sites[site]
  if (known === undefined) return { site, state: "never-heard" }
  const silentFor = now - known.at
  const stage = silentFor >= deadMan / 2 ? "suspect" : silentFor >= 3 * interval ? "late" : "heard"
  return { site, state: known.kind === "silent" ? "silent" : stage, last_heard_at_ms: known.at }
}

function describeNode({ watch, lastDocuments }: WitnessRecord, node: NodeId): object {
  const { state, heardAt } = watch.nodes[node] ?? { state: undefined, heardAt: undefined }
  return { state: state ?? "unknown", last_heard_at_ms: heardAt, ...lastDocuments[node] }
}
