/**
 * What must hold between the tables of a cluster configuration (SPEC C, T, V): names that are unique and known, sites
 * that can be reached, votes and proofs that mean something, timings that agree. Each check notes its errors and looks
 * only at fields that could be read, so that one mistake is reported once.
 */
import { addressFamily, formatUdpAddress, isWildcard } from "./address.ts"
import type { Timings, UdpAddress } from "./cluster.ts"
import { bounds } from "./config-bounds.ts"
import type { Draft, NodeDraft, SiteDraft } from "./config-draft.ts"
import { describe, dotted, has, nearest, refuse, type Table } from "./config-reader.ts"
import type { ResourceDraft } from "./config-resources.ts"
import { defaults, profiles } from "./profiles.ts"
import { brokenTimingRules, passTooShort, timingsFrom } from "./timings.ts"

export function checkDraft(draft: Draft): void {
  checkUnique(draft)
  checkReferences(draft)
  checkSites(draft)
  checkAddresses(draft)
  checkProofs(draft)
  checkLinkThresholds(draft)
  checkTimings(draft)
}

function checkUnique(draft: Draft): void {
  const field = (key: string, noun: string, drafts: readonly { readonly table: Table }[]) =>
    refuseRepeated(drafts.map(({ table }) => ({ table, path: [key], noun, value: table.fields[key] })))
  field("name", "site", draft.sites)
  field("name", "node", draft.nodes)
  field("id", "node", draft.nodes)
  field("name", "ticket", draft.tickets)
  field("name", "service", draft.services)
  field("name", "fence device", draft.fences)
  for (const service of draft.services) field("name", "resource of the service", service.resources)
  // Two holders of one key could speak for each other.
  field("public_key", "node and not the witness", [
    ...(draft.witness === undefined ? [] : [draft.witness]),
    ...draft.nodes,
  ])
}

/** One value that may stand in a file once. `undefined` was not written and repeats nothing. */
interface Occurrence {
  readonly table: Table
  readonly path: readonly (string | number)[]
  readonly noun: string
  readonly value: unknown
}

function refuseRepeated(occurrences: readonly Occurrence[]): void {
  const seen = new Map<unknown, Occurrence>()
  for (const each of occurrences) {
    if (each.value === undefined) continue
    const first = seen.get(each.value)
    if (first === undefined) {
      seen.set(each.value, each)
      continue
    }
    const where = dotted([...first.table.path, ...first.path])
    refuse(
      each.table,
      each.path,
      `found ${describe(each.value)}, which ${where} has too, expected one that no other ${each.noun} has`,
    )
  }
}

function checkReferences(draft: Draft): void {
  const sites = namesOf(draft.sites)
  const nodes = namesOf(draft.nodes)
  for (const node of draft.nodes) refuseUnknown(node.table, ["site"], node.site, sites)
  for (const site of draft.sites) refuseUnknown(site.table, ["tie_breaker"], site.tieBreaker, nodes)
  for (const ticket of draft.tickets) checkNameList(ticket.table, "sites", ticket.sites ?? [], sites)
  const tickets = draft.tickets.length === 0 ? [defaults.ticket] : namesOf(draft.tickets)
  for (const service of draft.services) {
    refuseUnknown(service.table, ["ticket"], service.ticket, tickets)
    const able = namesOf(nodesOfTicket(draft, service.ticket))
    // An unknown ticket or site is one error; that its nodes are then nowhere is not another.
    checkNameList(service.table, "nodes", service.nodes ?? [], able.length === 0 ? nodes : able)
  }
  for (const fence of draft.fences) {
    checkNameList(fence.table, "nodes", fence.nodes ?? [], nodes)
    const own = (fence.nodes ?? []).flatMap((name) => (name === undefined ? [] : [name]))
    for (const name of fence.plugs.keys()) refuseUnknown(fence.table, ["plugs", name], name, own)
  }
}

export function checkNameList(
  table: Table,
  key: string,
  names: readonly (string | undefined)[],
  known: readonly string[],
): void {
  names.forEach((name, index) => {
    refuseUnknown(table, [key, index], name, known)
  })
  refuseRepeated(names.map((value, index) => ({ table, path: [key, index], noun: "of the list", value })))
}

/** The nodes at the sites of a ticket, in file order; without `[[ticket]]` tables there is one ticket for all sites. */
export function nodesOfTicket(draft: Draft, ticket: string | undefined): readonly NodeDraft[] {
  if (draft.tickets.length === 0) return draft.nodes
  const sites = draft.tickets.find((each) => each.name === ticket)?.sites ?? []
  return draft.nodes.filter((node) => node.site !== undefined && sites.includes(node.site))
}

function refuseUnknown(
  table: Table,
  path: readonly (string | number)[],
  name: string | undefined,
  known: readonly string[],
): void {
  if (name === undefined || known.includes(name)) return
  const near = nearest(name, known)
  const hint = near === undefined ? "" : `; did you mean ${near}?`
  refuse(table, path, `found ${describe(name)}, expected one of ${known.join(", ")}${hint}`)
}

function checkSites(draft: Draft): void {
  const sites = namesOf(draft.sites)
  // A node whose site could not be read or is unknown may belong to a site that seems to have none.
  const allPlaced =
    draft.nodes.length > 0 && draft.nodes.every(({ site }) => site !== undefined && sites.includes(site))
  for (const site of draft.sites.filter((each) => each.name !== undefined)) {
    const nodes = draft.nodes.filter((node) => node.site === site.name)
    if ((nodes.length < 1 && allPlaced) || nodes.length > bounds.nodesPerSite) {
      const expected = `expected 1 to ${bounds.nodesPerSite} [[node]] tables with this site`
      refuse(site.table, "name", `found ${nodes.length}, ${expected}`)
    }
    checkVotes(draft, site, nodes)
  }
}

function checkVotes(draft: Draft, site: SiteDraft, nodes: readonly NodeDraft[]): void {
  const witness = has(draft.table, "witness")
  if (has(site.table, "witness_url") && !witness) {
    refuse(site.table, "witness_url", "found without a [witness] table, expected one beside it")
  }
  if (site.policy === "last-man-standing" && !witness) {
    refuse(
      site.table,
      "policy",
      '[V8] found "last-man-standing" without a [witness] table, expected "split": without a witness nobody can vouch for the last node',
    )
  }
  if (site.tieBreaker === undefined) return
  const votes = nodes.reduce((sum, node) => sum + (node.votes ?? 0), 0)
  if (witness) {
    refuse(
      site.table,
      "tie_breaker",
      "[V7] found beside a [witness] table, expected only one of the two: the witness breaks ties",
    )
  }
  if (nodes.every((node) => node.votes !== undefined) && votes % 2 === 1) {
    refuse(
      site.table,
      "tie_breaker",
      `[V7] found at a site with ${votes} votes, expected only where their number is even: an odd one has no ties`,
    )
  }
  const elsewhere = draft.nodes.find((node) => node.name === site.tieBreaker && node.site !== site.name)
  if (elsewhere !== undefined) {
    refuse(
      site.table,
      "tie_breaker",
      `[V7] found ${describe(site.tieBreaker)} of site ${elsewhere.site ?? "unknown"}, expected a node of this site`,
    )
  }
}

/** An address and where it stands in the file. */
interface Placed {
  readonly table: Table
  readonly path: readonly (string | number)[]
  readonly address: UdpAddress
}

function checkAddresses(draft: Draft): void {
  for (const site of namesOf(draft.sites)) {
    const nodes = draft.nodes.filter((node) => node.site === site)
    checkLinks(nodes)
    // Within a site every socket has its own address. Two sites may have the same private networks.
    refuseRepeatedAddresses(
      nodes.flatMap(sockets).filter(({ address }) => !isWildcard(address)),
      "socket of the site",
    )
  }
  const wans = draft.nodes.flatMap((node) => placed(node.table, ["wan"], node.wan))
  refuseRepeatedAddresses(wans, "node")
  refuseOtherFamilies(wans, "WAN address")
  for (const node of draft.nodes) checkWan(node, draft.sites.length)
}

/** Link k of a node talks to link k of each other node of its site. */
function checkLinks(nodes: readonly NodeDraft[]): void {
  const [first, ...others] = nodes.filter((node) => node.links !== undefined)
  if (first?.links === undefined) return
  for (const node of others) {
    if (node.links?.length === first.links.length) continue
    refuse(
      node.table,
      "links",
      `found ${node.links?.length}, expected ${first.links.length} as ${dotted([...first.table.path, "links"])} of the same site has: link k talks to link k`,
    )
  }
  for (const index of first.links.keys()) {
    const links = nodes.flatMap((node) => placed(node.table, ["links", index], node.links?.[index]))
    refuseOtherFamilies(links, `link ${index + 1} at this site`)
  }
}

function checkWan(node: NodeDraft, sites: number): void {
  if (sites >= 2 && !has(node.table, "wan")) {
    refuse(
      node.table,
      "wan",
      `missing, expected an address where the other sites reach this node, as 198.51.100.7:${defaults.wanPort}`,
    )
  }
  if (node.wanBind === undefined) return
  if (!has(node.table, "wan")) refuse(node.table, "wan_bind", "found without wan, expected both or neither")
  if (node.wan !== undefined)
    refuseOtherFamilies(
      [...placed(node.table, ["wan"], node.wan), ...placed(node.table, ["wan_bind"], node.wanBind)],
      "wan",
    )
  const clash = (node.links ?? []).find((link) => link?.port === node.wanBind?.port)
  if (isWildcard(node.wanBind) && clash !== undefined) {
    refuse(
      node.table,
      "wan_bind",
      `found ${formatUdpAddress(node.wanBind)}, which takes the port of link ${formatUdpAddress(clash)} too, expected another port`,
    )
  }
}

/** What a node listens on. */
function sockets(node: NodeDraft): readonly Placed[] {
  const links = (node.links ?? []).flatMap((link, index) => placed(node.table, ["links", index], link))
  const wan =
    node.wanBind === undefined
      ? placed(node.table, ["wan"], node.wan)
      : placed(node.table, ["wan_bind"], node.wanBind)
  return [...links, ...wan]
}

function placed(
  table: Table,
  path: readonly (string | number)[],
  address: UdpAddress | undefined,
): readonly Placed[] {
  return address === undefined ? [] : [{ table, path, address }]
}

function refuseRepeatedAddresses(addresses: readonly Placed[], noun: string): void {
  refuseRepeated(
    addresses.map(({ table, path, address }) => ({ table, path, noun, value: formatUdpAddress(address) })),
  )
}

function refuseOtherFamilies(addresses: readonly Placed[], noun: string): void {
  const [first, ...others] = addresses
  if (first === undefined) return
  const family = addressFamily(first.address)
  for (const { table, path, address } of others.filter((each) => addressFamily(each.address) !== family)) {
    const where = dotted([...first.table.path, ...first.path])
    refuse(
      table,
      path,
      `found ${formatUdpAddress(address)}, expected ${family === "ipv4" ? "IPv4" : "IPv6"} as ${where}: every ${noun} is of one family`,
    )
  }
}

function checkProofs(draft: Draft): void {
  refuseRepeated(draft.services.flatMap(({ resources }) => resources.flatMap(floating)))
  for (const { table, proof, resources } of draft.services) {
    const declared = has(table, "self_lease_margin_ms")
    if (proof === "self-lease" && !declared) {
      refuse(
        table,
        "self_lease_margin_ms",
        'missing, expected beside proof = "self-lease": how long after the end of its lease the command is surely gone',
      )
    }
    if (proof !== undefined && proof !== "self-lease" && declared) {
      refuse(
        table,
        "self_lease_margin_ms",
        `found beside proof = "${proof}", expected only beside proof = "self-lease"`,
      )
    }
    // A resource whose kind could not be read may have been the address.
    const isGated = resources.some(({ config }) => config === undefined || config.kind === "ip")
    if (proof === "gate" && !isGated && has(table, "proof")) {
      refuse(
        table,
        "proof",
        'found "gate" without a resource of kind "ip", expected one: the gate is for floating addresses',
      )
    }
  }
}

function checkLinkThresholds({ links }: Draft): void {
  if (links?.jitter === undefined || links.jitterCritical === undefined) return
  if (links.jitter <= links.jitterCritical) return
  refuse(
    links.table,
    has(links.table, "jitter_critical_ms") ? "jitter_critical_ms" : "jitter_ms",
    `[C11] found jitter_ms = ${links.jitter} and jitter_critical_ms = ${links.jitterCritical}, expected the critical one not below the other`,
  )
}

/** An address is gated for one service. */
function floating({ table, config }: ResourceDraft): readonly Occurrence[] {
  if (config?.kind !== "ip") return []
  return [{ table, path: ["address"], noun: "resource", value: config.address }]
}

function checkTimings(draft: Draft): void {
  const { profile, timings } = draft
  if (profile === undefined) return
  const complete = timingsFrom(profiles[profile], timings.written)
  checkPass(draft, complete)
  for (const { rule, message } of brokenTimingRules(complete)) {
    if (rule.keys.some((key) => timings.unusable.has(key))) continue
    const blamed = rule.keys.find((key) => timings.written.has(key))
    refuse(timings.table, blamed === undefined ? [] : blamed, message)
  }
}

/** One ring is one site: the largest decides. */
function checkPass({ timings, sites, nodes }: Draft, complete: Timings): void {
  if (timings.unusable.has("pass_ms")) return
  const sizes = sites.map(({ name }) => nodes.filter((node) => node.site === name).length)
  // More nodes than a site may have is an error of its own.
  const message = passTooShort(complete, Math.min(bounds.nodesPerSite, Math.max(0, ...sizes)))
  if (message !== undefined) refuse(timings.table, timings.written.has("pass_ms") ? "pass_ms" : [], message)
}

function namesOf(drafts: readonly { readonly name: string | undefined }[]): readonly string[] {
  return drafts.flatMap(({ name }) => (name === undefined ? [] : [name]))
}
