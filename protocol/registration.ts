/** What of the configuration concerns the witness, by its names: as an operator registers it, or a view that changed it. */
import type { ClusterConfig } from "./cluster.ts"

export function registrationOf(config: ClusterConfig): object {
  const { timings } = config
  return {
    version: config.version,
    checksum: config.checksum,
    sites: config.sites.map((site) => site.name),
    tickets: config.tickets.map((ticket) => ticket.name),
    nodes: config.nodes.map(({ id, name, site, publicKey, votes }) => {
      return { node: id, name, site, public_key: publicKey, votes }
    }),
    rho: timings.rho,
    voice_ttl_ms: timings.voiceTtl,
    mandate_ttl_ms: timings.mandateTtl,
    interval_ms: timings.summaryInterval,
  }
}
