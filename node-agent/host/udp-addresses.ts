/** Where a node's datagrams go and where its peers' come from, as the configuration has it (SPEC LN9). */
import type { ClusterConfig, UdpAddress } from "../../protocol/cluster.ts"
import type { NodeId } from "../../protocol/units.ts"
import type { LinkId } from "../core/events.ts"

/** Of each node on each link, by `destinationKey`. */
export function destinationsOf(config: ClusterConfig): ReadonlyMap<string, UdpAddress> {
  const addresses = new Map<string, UdpAddress>()
  for (const node of config.nodes) {
    node.links.forEach((address, index) => {
      addresses.set(destinationKey(node.id, index), address)
    })
    if (node.wan !== undefined) addresses.set(destinationKey(node.id, "wan"), node.wan)
  }
  return addresses
}

export function destinationKey(node: NodeId, link: LinkId): string {
  return `${node}/${link}`
}

/**
 * Where peers send from on a link, by `sourceKey`. Between sites the port may be translated on the way, the host is as
 * configured, and several nodes may be behind one.
 */
export function sourcesOf(
  config: ClusterConfig,
  self: NodeId,
  link: LinkId,
): ReadonlyMap<string, UdpAddress> {
  const site = config.nodes.find((node) => node.id === self)?.site
  const sources = new Map<string, UdpAddress>()
  for (const node of config.nodes) {
    if (node.id === self || (node.site === site) !== (link !== "wan")) continue
    const source = link === "wan" ? node.wan : node.links[link]
    if (source !== undefined) sources.set(sourceKey(link, source.host, source.port), source)
  }
  return sources
}

export function sourceKey(link: LinkId, host: string, port: number): string {
  const address = withoutScope(host)
  return link === "wan" ? address : `${address} ${port}`
}

export function withoutScope(host: string): string {
  return host.split("%")[0] ?? host
}
