/**
 * Where in the cluster an event belongs, by name, so that alerts can be matched, grouped and explained by site and node.
 * Pure.
 */
import type { ReportedEvent } from "../../protocol/summaries.ts"
import type { NodeId, SiteId } from "../../protocol/units.ts"
import { entryOfKind } from "./catalogue.ts"
import type { PlacedEvent } from "./incidents.ts"

/** What must be known of a cluster to place its events. */
export interface Places {
  readonly nodes: readonly {
    readonly node: NodeId
    readonly name?: string | undefined
    readonly site: SiteId
  }[]
}

/** The name people gave a node; its number if the witness was never told one. */
export function nameOfNode(configuration: Places, node: NodeId): string {
  return configuration.nodes.find((each) => each.node === node)?.name ?? String(node)
}

/**
 * An event as `node` tells it: no node can take another one's ids. Its own id is its cause, if it has no other, so that
 * the incident is the same whoever posts it to the witness, or pages it.
 */
export function ofNode(event: ReportedEvent, node: NodeId): ReportedEvent {
  return { ...event, id: `${node}:${event.id}`, cause: event.cause ?? event.id }
}

/** An event of a node of `reporter`; what it does not say itself follows from its subject. */
export function placed(
  event: ReportedEvent,
  configuration: Places,
  reporter: SiteId | undefined,
): PlacedEvent {
  const { noun } = entryOfKind(event.kind, event.severity)
  if (noun === "site") {
    const seenFrom = reporter !== undefined && reporter !== event.subject
    return seenFrom ? { ...event, site: reporter, peer: event.subject } : { ...event, site: event.subject }
  }
  if (noun !== "node" && noun !== "link") return { ...event, site: reporter }
  const [first, second] = namedNodes(event.subject, configuration)
  const { name, site } = first ?? { name: undefined, site: reporter }
  return { ...event, site, node: name, peer: second?.name }
}

/** A link is named by its ends, `a1-a2/0` or `a1/0`; a node by its name. */
function namedNodes(
  subject: string,
  configuration: Places,
): readonly { readonly name: string; readonly site: SiteId }[] {
  const names = configuration.nodes.map(({ node, site }) => ({ name: nameOfNode(configuration, node), site }))
  const whole = names.filter(({ name }) => name === subject)
  if (whole.length > 0) return whole
  const found = names.flatMap((each) => {
    const at = subject.search(new RegExp(`(^|[^A-Za-z0-9_.])${escaped(each.name)}($|[^A-Za-z0-9_.])`))
    return at < 0 ? [] : [{ ...each, at }]
  })
  return found.sort((a, b) => a.at - b.at)
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\-]/g, "\\$&")
}
