/** What an operator sees of a cluster through the API. Pure; secrets do not come through here. */

import { encodeLease, type ReportedEvent } from "../protocol/summaries.ts"
import type { NodeId, SiteId, WallTime } from "../protocol/units.ts"
import { leaseSummaries } from "./arbiter.ts"
import { redacted, type WitnessConfiguration } from "./configuration.ts"
import { postingInterval, quotaPercent } from "./meter.ts"
import { arbiterState, type WitnessRecord } from "./record.ts"
import type { Letter, StoredEvent } from "./schema.ts"

export interface Overview {
  readonly cluster: string
  readonly configuration: WitnessConfiguration
  readonly record: WitnessRecord
  readonly events: readonly StoredEvent[]
  readonly letters: readonly Letter[]
}

export function describeCluster(
  { cluster, configuration, record, events, letters }: Overview,
  now: WallTime,
): object {
  return {
    cluster,
    witness: record.witness,
    configuration: redacted(configuration),
    leases: leaseSummaries(arbiterState(configuration, record)).map(encodeLease),
    sites: configuration.sites.map((site) => describeSite(record, site)),
    nodes: configuration.nodes.map(({ node, site }) => ({ node, site, ...describeNode(record, node) })),
    quota: {
      percent: quotaPercent(record.meter),
      rows_written: record.meter.rowsWritten,
      posts: record.meter.posts,
      reported_events: record.meter.reportedEvents,
      interval_ms: postingInterval(configuration, record.meter, now),
    },
    events: events.map(describeEvent),
    deliveries: letters.map(describeLetter),
  }
}

export function describeEvent({
  recordedAt,
  at,
  ...event
}: ReportedEvent & { readonly recordedAt: WallTime }): object {
  return { ...event, at_ms: at, recorded_at_ms: recordedAt }
}

function describeSite({ watch }: WitnessRecord, site: SiteId): object {
  const known = watch.sites[site]
  if (known === undefined) return { site, state: "never-heard" }
  return { site, state: known.kind === "silent" ? "silent" : "heard", last_heard_at_ms: known.at }
}

function describeNode({ watch, lastDocuments }: WitnessRecord, node: NodeId): object {
  const { state, heardAt } = watch.nodes[node] ?? { state: undefined, heardAt: undefined }
  return { state: state ?? "unknown", last_heard_at_ms: heardAt, ...lastDocuments[node] }
}

function describeLetter({ eventId, nextAt, ...letter }: Letter): object {
  return { event: eventId, ...letter, next_at_ms: letter.state === "pending" ? nextAt : undefined }
}
