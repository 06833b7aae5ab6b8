/** The `cluster.toml` of a laid-out cluster: the sites and nodes, and one service whose daemon is `ledger-daemon.ts`. */
import { join } from "node:path"
import type { ProfileName } from "../../../protocol/cluster.ts"
import type { ClusterLayout, NodeLayout } from "./layout.ts"

export const serviceName = "ledger"

export interface ClusterSettings {
  readonly profile: ProfileName
  /** Keys of `[timings]`. */
  readonly timings: Readonly<Record<string, number>>
  readonly hasWitness: boolean
  /** Nodes able to run the service, first choice first; all of them, in their order, if not said. */
  readonly serviceNodes?: readonly string[]
  /** A ticket for each site, of the same name, instead of one for all; the service belongs to the first. */
  readonly ticketPerSite?: boolean
}

export interface PublicKeys {
  readonly witness: string
  /** By name of the node. */
  readonly nodes: ReadonlyMap<string, string>
}

export function clusterToml(layout: ClusterLayout, settings: ClusterSettings, keys: PublicKeys): string {
  const { sites, nodes } = layout
  const { hasWitness, ticketPerSite: hasTickets = false } = settings
  const able = hasTickets ? (sites[0]?.nodes ?? []) : nodes
  const timings = Object.entries(settings.timings)
  return [
    table("", { cluster: layout.name, version: 1, profile: settings.profile }),
    timings.length === 0 ? "" : table("[timings]", Object.fromEntries(timings)),
    hasWitness ? table("[witness]", { url: layout.witnessUrl, public_key: keys.witness }) : "",
    ...sites.map(({ name, witnessUrl }) => {
      return table("[[site]]", hasWitness ? { name, witness_url: witnessUrl } : { name })
    }),
    ...nodes.map((node) => table("[[node]]", nodeFields(node, sites.length > 1, keys))),
    ...(hasTickets ? sites.map(({ name }) => table("[[ticket]]", { name, sites: [name] })) : []),
    table("[[service]]", {
      name: serviceName,
      ...(hasTickets ? { ticket: able[0]?.site ?? "" } : {}),
      nodes: settings.serviceNodes ?? able.map(({ name }) => name),
      proof: "self-lease",
      self_lease_margin_ms: 50,
    }),
    table("[[service.resource]]", resourceFields(layout)),
  ].join("")
}

function nodeFields(
  { id, name, site, link, wan, wanBind }: NodeLayout,
  hasWan: boolean,
  keys: PublicKeys,
): Fields {
  const common = { id, name, site, links: [link], public_key: keys.nodes.get(name) ?? "" }
  return hasWan ? { ...common, wan, wan_bind: wanBind } : common
}

function resourceFields({ directory }: ClusterLayout): Fields {
  const command = (action: string) => ["/bin/sh", ledgerProgram, action, directory]
  return {
    kind: "command",
    name: "daemon",
    start: command("start"),
    stop: command("stop"),
    monitor: command("monitor"),
  }
}

const ledgerProgram = join(import.meta.dirname, "ledger.sh")

type Fields = Readonly<Record<string, string | number | readonly string[]>>

/** TOML's basic strings, numbers and arrays of strings are written as JSON's are. */
function table(header: string, fields: Fields): string {
  const lines = Object.entries(fields).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`)
  return `${header}\n${lines.join("")}`
}
