import { describe, expect, it } from "vitest"
import type { NodeStatus } from "../../../node-agent/core/status.ts"
import { sightOf } from "../../../node-agent/paging/sight.ts"
import type { ReportedEvent, Summary } from "../../../protocol/summaries.ts"
import { nodeId, wallTime } from "../../../protocol/units.ts"
import { incidentId } from "../../../worker/alerts/identity.ts"
import type { PlacedEvent } from "../../../worker/alerts/incidents.ts"
import { parseConfiguration } from "../../../worker/configuration.ts"
import { newRecord, receive } from "../../../worker/record.ts"
import { clusterConfig, summaryOf } from "../host/fixtures.ts"

const now = wallTime(Date.UTC(2040, 0, 1))
const config = clusterConfig()

function statusOf(
  state: NodeStatus["witness"]["state"],
  events: readonly ReportedEvent[],
  self = 2,
): NodeStatus {
  const status = {
    node: { id: self, name: `a${self}`, site: "a", incarnation: 1 },
    rights: { voice: { held: true } },
    ring: { id: "1.1.1", members: ["a1", "a2"], representative: "a1" },
    sites: [
      { name: "a", state: "own" },
      { name: "north", state: "alive" },
      { name: "south", state: "silent" },
    ],
    services: [
      { name: "pump", state: "running" },
      { name: "valve", state: "stopped" },
    ],
    witness: { state },
    events: events.map(({ at, ...event }) => ({ at_ms: at, ...event })),
  }
  // What the pager does not look at is not made up here.
  return status as unknown as NodeStatus
}

const failed: ReportedEvent = {
  id: "2-1-9",
  kind: "service-failed",
  subject: "pump",
  severity: "critical",
  at: now,
  detail: "exit status 1",
}

describe("what the pager sees", () => {
  it.each([
    ["none", "none"],
    ["ok", "reachable"],
    ["unknown", "reachable"],
    ["unreachable", "away"],
    ["quarantined", "away"],
  ] as const)("a witness that is %s is %s", (state, witness) => {
    const seen = sightOf(statusOf(state, []), config)
    expect(seen).toMatchObject({ witness, hasVoice: true })
    const recoveries = ["node-up a1", "node-up a2", "service-started pump", "site-reachable north"]
    expect(seen.recoveries.map(({ kind, subject }) => `${kind} ${subject}`)).toEqual([
      ...recoveries,
      ...(state === "ok" ? ["witness-reachable a2"] : []),
    ])
  })

  it("[A6] an event is placed and identified as the witness does it, whichever node posts it there", () => {
    const [seen] = sightOf(statusOf("unreachable", [failed]), config).events
    expect(seen).toMatchObject({ kind: "service-failed", subject: "pump", site: "a" })
    const configuration = parseConfiguration(
      JSON.stringify({
        version: 1,
        checksum: "c",
        sites: ["a"],
        nodes: config.nodes.map(({ id, name, site }) => {
          return { node: id, name, site, public_key: Buffer.alloc(32, id).toString("base64url") }
        }),
      }),
    )
    if (configuration.kind === "error") throw new Error(configuration.error.detail)
    for (const poster of [1, 3]) {
      const summary: Summary = { ...summaryOf(1), node: nodeId(poster), challenge: "w", events: [failed] }
      const { events } = receive(configuration.value, newRecord("w", now), [summary], now)
      const told = events.find(({ kind }) => kind === "service-failed")
      expect(idOf(told)).toBe(idOf(seen))
    }
  })
})

function idOf(event: PlacedEvent | undefined): string {
  if (event === undefined) throw new Error("no event")
  return incidentId("lab", event.kind, `service ${event.subject}`, event.cause ?? event.id)
}
