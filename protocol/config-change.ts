/**
 * From one configuration of a running cluster to the next (SPEC LC): what differs, and whether it may be changed live. A
 * change has the next version and adds or removes one node at most; votes, policies, tie-breakers and timings may change
 * with it, the votes of one site only: its ring orders the change. What every proof or process rests on from its start
 * (names, sites, tickets, services, keys, addresses, the witness, clock rates) needs a stop of all agents.
 */
import { canonicalJson } from "./canonical.ts"
import type { ClusterConfig, NodeConfig } from "./cluster.ts"
import type { NodeId, SiteId } from "./units.ts"
import { siteLayout, type VoteLayout } from "./votes.ts"

export interface ConfigChange {
  readonly added: NodeConfig | undefined
  readonly removed: NodeConfig | undefined
  /** The site whose ring has to order it; undefined: any. */
  readonly site: SiteId | undefined
  /** What differs, a line each, for people. */
  readonly lines: readonly string[]
  /** Why it may not be applied to a running cluster; empty: it may. */
  readonly refusals: readonly string[]
}

export function configChange(from: ClusterConfig, to: ClusterConfig): ConfigChange {
  const added = to.nodes.filter((node) => nodeOf(from, node.id) === undefined)
  const removed = from.nodes.filter((node) => nodeOf(to, node.id) === undefined)
  const sites = votingSites(from, to)
  return {
    added: added[0],
    removed: removed[0],
    site: sites[0],
    lines: [...nodeLines(from, to), ...siteLines(from, to), ...timingLines(from, to)],
    refusals: [
      ...versionRefusals(from, to),
      ...fixedRefusals(from, to),
      ...nodeRefusals(from, to),
      ...(added.length + removed.length > 1
        ? [`[LC1] ${added.length} nodes added and ${removed.length} removed: one node at a time`]
        : []),
      ...(sites.length > 1
        ? [`[LC1] the votes of ${sites.join(" and ")} change: those of one site at a time`]
        : []),
      ...sites.flatMap((site) => rivalRefusals(from, to, site)),
    ],
  }
}

function nodeOf(config: ClusterConfig, id: NodeId): NodeConfig | undefined {
  return config.nodes.find((node) => node.id === id)
}

function versionRefusals(from: ClusterConfig, to: ClusterConfig): readonly string[] {
  if (to.checksum === from.checksum) return ["nothing differs from the active configuration"]
  if (to.version === from.version + 1) return []
  return [`[LC1] version ${to.version}, expected ${from.version + 1}: one more than the active one`]
}

/** What differs although it may not, while agents run. */
function fixedRefusals(from: ClusterConfig, to: ClusterConfig): readonly string[] {
  const services = (config: ClusterConfig) => config.services.map(({ nodes: _, ...service }) => service)
  const parts: readonly (readonly [string, unknown, unknown])[] = [
    ["cluster", from.name, to.name],
    ["profile", from.profile, to.profile],
    ["the witness", from.witness, to.witness],
    ["the sites", from.sites.map(({ name }) => name), to.sites.map(({ name }) => name)],
    ["witness_url of a site", urls(from), urls(to)],
    ["the tickets", from.tickets, to.tickets],
    ["the thresholds of links", from.links, to.links],
    ["the limit of clocks", from.clockLimit, to.clockLimit],
    ["the fence devices", fencesOf(from, to), to.fences],
    ["the services", services(from), services(to)],
    ["rho_ppm", from.timings.rho, to.timings.rho],
  ]
  const differing = parts.filter(([, a, b]) => text(a) !== text(b)).map(([what]) => what)
  const able = ableRefusals(from, to)
  return [...differing.map((what) => `[LC2] ${what} may not change while agents run`), ...able]
}

/** They may lose the node that is removed. */
function fencesOf(from: ClusterConfig, to: ClusterConfig): ClusterConfig["fences"] {
  return from.fences?.map((device) => ({
    ...device,
    nodes: device.nodes.filter(({ node }) => nodeOf(to, node) !== undefined),
  }))
}

function urls(config: ClusterConfig): readonly string[] {
  return config.sites.map(({ witnessUrl }) => witnessUrl ?? "")
}

/** A service's own list may gain the node that is added and lose the one that is removed. */
function ableRefusals(from: ClusterConfig, to: ClusterConfig): readonly string[] {
  return from.services.flatMap((service) => {
    const next = to.services.find(({ name }) => name === service.name)?.nodes ?? []
    const stay = (id: NodeId) => nodeOf(from, id) !== undefined && nodeOf(to, id) !== undefined
    const same = text(service.nodes.filter(stay)) === text(next.filter(stay))
    return same ? [] : [`[LC2] the nodes of service ${service.name} may not change while agents run`]
  })
}

/** A node that stays keeps its place, its addresses and its key. */
function nodeRefusals(from: ClusterConfig, to: ClusterConfig): readonly string[] {
  return from.nodes.flatMap((node) => {
    const next = nodeOf(to, node.id)
    if (next === undefined) return []
    const same = text({ ...node, votes: 0 }) === text({ ...next, votes: 0 })
    return same
      ? []
      : [`[LC2] node ${node.name}: only votes may change; remove it and add it with another id`]
  })
}

function votingSites(from: ClusterConfig, to: ClusterConfig): readonly SiteId[] {
  const known = from.sites.filter(({ name }) => to.sites.some((site) => site.name === name))
  return known
    .map(({ name }) => name)
    .filter((site) => text(layoutOf(from, site)) !== text(layoutOf(to, site)))
}

/** A site of which no node is left has no layout. */
function layoutOf(config: ClusterConfig, site: SiteId): VoteLayout | undefined {
  return config.nodes.some((node) => node.site === site) ? siteLayout(config, site) : undefined
}

function rivalRefusals(from: ClusterConfig, to: ClusterConfig, site: SiteId): readonly string[] {
  const [before, after] = [layoutOf(from, site), layoutOf(to, site)]
  if (before === undefined || after === undefined || !disjointMajorities(before, after)) return []
  return [
    `[LC3] at ${site} two sets of nodes without a common one could each reach a majority, one by the old configuration and one by the new: change fewer votes at a time`,
  ]
}

/** Are there disjoint sets of which one reaches the majority alone by `a`, the other by `b`? For each sum the best rest. */
function disjointMajorities(a: VoteLayout, b: VoteLayout): boolean {
  const nodes = new Set([...a.voters, ...b.voters].map(({ node }) => node))
  const votes = ({ voters }: VoteLayout, id: NodeId) => voters.find(({ node }) => node === id)?.votes ?? 0
  let best = new Map<number, number>([[0, 0]])
  for (const id of nodes) {
    const next = new Map<number, number>()
    const keep = (sum: number, rest: number) => next.set(sum, Math.max(rest, next.get(sum) ?? 0))
    for (const [sum, rest] of best) {
      keep(sum + votes(a, id), rest)
      keep(sum, rest + votes(b, id))
    }
    best = next
  }
  return [...best].some(([sum, rest]) => sum >= a.majority && rest >= b.majority)
}

function nodeLines(from: ClusterConfig, to: ClusterConfig): readonly string[] {
  const described = ({ name, id, site, links, votes }: NodeConfig) =>
    `${name} (id ${id}, site ${site}, ${links.map(({ host }) => host).join(" ")}, votes ${votes})`
  const added = to.nodes.filter((node) => nodeOf(from, node.id) === undefined)
  const removed = from.nodes.filter((node) => nodeOf(to, node.id) === undefined)
  const votes = from.nodes.flatMap((node) => {
    const next = nodeOf(to, node.id)
    return next === undefined || next.votes === node.votes
      ? []
      : [`~ node ${node.name}: votes ${node.votes} -> ${next.votes}`]
  })
  return [
    ...added.map((node) => `+ node ${described(node)}`),
    ...removed.map((node) => `- node ${described(node)}`),
    ...votes,
  ]
}

function siteLines(from: ClusterConfig, to: ClusterConfig): readonly string[] {
  return from.sites.flatMap((site) => {
    const next = to.sites.find(({ name }) => name === site.name)
    const [before, after] = [layoutOf(from, site.name), layoutOf(to, site.name)]
    const name = (id: NodeId | undefined) => from.nodes.find((node) => node.id === id)?.name ?? "none"
    const lines: string[] = []
    if (next !== undefined && next.policy !== site.policy)
      lines.push(`policy ${site.policy} -> ${next.policy}`)
    if (next !== undefined && next.tieBreaker !== site.tieBreaker)
      lines.push(`tie_breaker ${name(site.tieBreaker)} -> ${name(next.tieBreaker)}`)
    if (before !== undefined && after !== undefined && text(before) !== text(after))
      lines.push(
        `majority ${before.majority} -> ${after.majority}, witness ${before.weight} -> ${after.weight}`,
      )
    return lines.map((line) => `~ site ${site.name}: ${line}`)
  })
}

function timingLines(from: ClusterConfig, to: ClusterConfig): readonly string[] {
  const after = new Map<string, number>(Object.entries(to.timings))
  return Object.entries(from.timings).flatMap(([name, value]) =>
    after.get(name) === value ? [] : [`~ timings ${name}: ${value} -> ${after.get(name)}`],
  )
}

function text(value: unknown): string {
  return canonicalJson(value ?? null)
}
