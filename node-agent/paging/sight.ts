/** What the pager sees of its node: taken from the picture that `quorumbeat status` shows too. Pure. */
import { never } from "../../protocol/assert.ts"
import type { ClusterConfig } from "../../protocol/cluster.ts"
import type { ReportedEvent } from "../../protocol/summaries.ts"
import { nodeId, wallTime } from "../../protocol/units.ts"
import { ofNode, placed } from "../../worker/alerts/places.ts"
import type { NodeStatus } from "../core/status.ts"
import type { Sight } from "./pager.ts"

export function sightOf(status: NodeStatus, config: ClusterConfig): Sight {
  const { node: self, rights, events } = status
  const places = { nodes: config.nodes.map(({ id, name, site }) => ({ node: id, name, site })) }
  const node = nodeId(self.id)
  const site = config.nodes.find(({ id }) => id === node)?.site
  return {
    witness: witnessOf(status),
    hasVoice: rights.voice.held,
    recoveries: recoveriesIn(status).map((event) => placed(event, places, site)),
    events: events.map(({ at_ms: at, ...event }) => placed(ofNode({ ...event, at }, node), places, site)),
  }
}

/** Members, services that run, sites that are heard, the witness if it answers. */
function recoveriesIn({ ring, services, sites, witness, node: self }: NodeStatus): readonly ReportedEvent[] {
  const well = (kind: string, subjects: readonly string[]): readonly ReportedEvent[] =>
    subjects.map((subject) => {
      return { id: `${kind}:${subject}`, kind, subject, severity: "info", at: wallTime(0), detail: "" }
    })
  return [
    ...well("node-up", ring?.members ?? []),
    ...well("service-started", namesOf(services.filter(({ state }) => state === "running"))),
    ...well("site-reachable", namesOf(sites.filter(({ state }) => state === "alive"))),
    ...well("witness-reachable", witness.state === "ok" ? [self.name] : []),
  ]
}

function namesOf(all: readonly { readonly name: string }[]): readonly string[] {
  return all.map(({ name }) => name)
}

function witnessOf({ witness }: NodeStatus): Sight["witness"] {
  switch (witness.state) {
    case "none":
      return "none"
    case "ok":
    case "unknown":
      return "reachable"
    case "unreachable":
    // It answers, but is not the one that the cluster trusts: what it does with events is not known.
    case "quarantined":
      return "away"
    default:
      return never(witness.state)
  }
}
