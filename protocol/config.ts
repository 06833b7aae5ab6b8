/**
 * The cluster configuration: from the plain object of a `cluster.toml` to the completed, checked `ClusterConfig`.
 *
 * - `config-draft.ts` says what each table contains, `config-checks.ts` what must hold between them (SPEC C, V),
 *   `timings.ts` which timings agree (SPEC T), `profiles.ts` every default with its reason.
 * - The result is complete and in ONE order: nodes ascending by id; sites, tickets and services by name. Where the file's
 *   order means something (first choice first) it has gone into `ticket.sites` and `service.nodes`.
 * - The checksum is SHA-256 over the canonical JSON (`canonical.ts`) of everything else in the result. So it is the same
 *   exactly when two nodes work with the same configuration: comments, order of tables and keys, spelling of addresses
 *   and written-out defaults do not change it, everything that has an effect does. A field that a later version adds must
 *   be left out (`undefined`) where it is not configured, or a rolling upgrade would look like two configurations.
 */
import { assert } from "./assert.ts"
import { canonicalJson } from "./canonical.ts"
import type {
  ClusterConfig,
  FenceDevice,
  LinkThresholds,
  NodeConfig,
  ServiceConfig,
  SiteConfig,
  TakeoverProof,
  TicketConfig,
  WatchdogConfig,
  WitnessConfig,
} from "./cluster.ts"
import { checkDraft, nodesOfTicket } from "./config-checks.ts"
import {
  type ClockDraft,
  type Draft,
  type LinksDraft,
  type NodeDraft,
  readDraft,
  type ServiceDraft,
  type SiteDraft,
  topKeys,
  type WatchdogDraft,
  type WitnessDraft,
} from "./config-draft.ts"
import type { FenceDraft } from "./config-fences.ts"
import { checkPlacement, completePlacement } from "./config-placement.ts"
import { type ConfigError, openTable } from "./config-reader.ts"
import { checkWatchdogs } from "./config-watchdogs.ts"
import { clockLimit, defaults, linkThresholds, profiles } from "./profiles.ts"
import { err, ok, type Result } from "./result.ts"
import { timingsFrom } from "./timings.ts"
import { type Millis, millis, type NodeId, nodeId, serviceName, siteId, ticketName } from "./units.ts"
import { rivalQuorums, siteLayout } from "./votes.ts"

export type { ConfigError, ConfigPath } from "./config-reader.ts"

/**
 * Reads the plain object of a configuration file. `digest` is SHA-256 over the UTF-8 of a text, as lower-case hex.
 * Nothing is thrown for any input; the errors are all there are (what depends on a wrong value is not judged).
 */
export function parseConfig(
  value: unknown,
  digest: (text: string) => string,
): Result<ClusterConfig, readonly ConfigError[]> {
  const errors: ConfigError[] = []
  const table = openTable(value, [], topKeys, errors)
  if (table === undefined) return err(errors)
  const draft = readDraft(table)
  checkDraft(draft)
  checkPlacement(draft)
  checkWatchdogs(draft)
  if (errors.length > 0) return err(errors)
  const completed = complete(draft)
  const rivals = rivalQuorumErrors(completed)
  if (rivals.length > 0) return err(rivals)
  return ok({ ...completed, checksum: digest(canonicalJson(completed)) })
}

type Completed = Omit<ClusterConfig, "checksum">

/** Every field of a draft without errors has been read. */
function complete(draft: Draft): Completed {
  const profile = sure(draft.profile)
  return {
    name: sure(draft.name),
    version: sure(draft.version),
    profile,
    timings: timingsFrom(profiles[profile], draft.timings.written),
    links: draft.links === undefined ? undefined : completeLinks(draft.links),
    clockLimit: completeClockLimit(draft.clock),
    sites: draft.sites.map((site) => completeSite(site, draft)).sort(byName),
    nodes: draft.nodes.map(completeNode).sort((a, b) => a.id - b.id),
    witness: draft.witness === undefined ? undefined : completeWitness(draft.witness),
    tickets: completeTickets(draft).sort(byName),
    services: draft.services.map((service) => completeService(service, draft)).sort(byName),
    fences:
      draft.fences.length === 0
        ? undefined
        : draft.fences.map((fence) => completeFence(fence, draft)).sort(byName),
  }
}

/** Written-out defaults are none: they must not change the checksum. */
function completeLinks(links: LinksDraft): LinkThresholds | undefined {
  const thresholds = {
    jitter: millis(sure(links.jitter)),
    jitterCritical: millis(sure(links.jitterCritical)),
    lossPpm: sure(links.lossPpm),
    rtt: millis(sure(links.rtt)),
  }
  return canonicalJson(thresholds) === canonicalJson(linkThresholds) ? undefined : thresholds
}

function completeClockLimit(clock: ClockDraft | undefined): Millis | undefined {
  const limit = clock === undefined ? clockLimit : millis(sure(clock.limit))
  return limit === clockLimit ? undefined : limit
}

function completeSite(site: SiteDraft, draft: Draft): SiteConfig {
  return {
    name: siteId(sure(site.name)),
    policy: sure(site.policy),
    tieBreaker: site.tieBreaker === undefined ? undefined : idOf(site.tieBreaker, draft),
    witnessUrl: site.witnessUrl,
  }
}

function completeNode(node: NodeDraft): NodeConfig {
  return {
    id: nodeId(sure(node.id)),
    name: sure(node.name),
    site: siteId(sure(node.site)),
    votes: sure(node.votes),
    links: sure(node.links).map(sure),
    wan: node.wan,
    wanBind: node.wanBind,
    publicKey: sure(node.publicKey),
    watchdog: completeWatchdog(node.watchdog),
  }
}

function completeWatchdog(watchdog: WatchdogDraft | undefined): WatchdogConfig | undefined {
  if (watchdog === undefined) return undefined
  return { device: sure(watchdog.device), timeout: millis(1000 * sure(watchdog.timeoutSeconds)) }
}

function completeWitness(witness: WitnessDraft): WitnessConfig {
  return { url: sure(witness.url), publicKey: sure(witness.publicKey) }
}

/** Without `[[ticket]]` tables there is one, which every site may hold, first choice first as in the file. */
function completeTickets(draft: Draft): TicketConfig[] {
  if (draft.tickets.length === 0) {
    return [{ name: ticketName(defaults.ticket), sites: draft.sites.map((site) => siteId(sure(site.name))) }]
  }
  return draft.tickets.map((ticket) => ({
    name: ticketName(sure(ticket.name)),
    sites: sure(ticket.sites).map((site) => siteId(sure(site))),
  }))
}

function completeService(service: ServiceDraft, draft: Draft): ServiceConfig {
  const names = service.nodes ?? nodesOfTicket(draft, service.ticket).map((node) => node.name)
  return {
    name: serviceName(sure(service.name)),
    ticket: ticketName(sure(service.ticket)),
    nodes: names.map((name) => idOf(sure(name), draft)),
    mode: sure(service.mode),
    proof: completeProof(service),
    ...completePlacement(service.placement),
    resources: service.resources.map(({ config }) => sure(config)),
  }
}

function completeProof({ proof, margin }: ServiceDraft): TakeoverProof {
  const kind = sure(proof)
  return kind === "self-lease" ? { kind, margin: millis(sure(margin)) } : { kind }
}

function completeFence(fence: FenceDraft, draft: Draft): FenceDevice {
  return {
    name: sure(fence.name),
    agent: sure(fence.agent),
    nodes: sure(fence.nodes).map((name) => ({
      node: idOf(sure(name), draft),
      plug: fence.plugs.get(sure(name)),
    })),
    level: sure(fence.level),
    action: sure(fence.action),
    parameters: fence.parameters,
    secretsFile: fence.secretsFile,
    delay: millis(sure(fence.delay)),
    timeout: millis(sure(fence.timeout)),
    monitorInterval: millis(sure(fence.monitorInterval)),
  }
}

/** Two sets of nodes that could both speak for a site (SPEC V6). */
function rivalQuorumErrors(config: Completed): readonly ConfigError[] {
  return config.sites.flatMap((site) => {
    const rivals = rivalQuorums(siteLayout(config, site.name))
    if (rivals === undefined) return []
    const sets = `nodes ${rivals.alone.join(", ")} and nodes ${rivals.rival.join(", ")}`
    return [
      {
        path: ["site"],
        message: `[V6] at ${site.name} ${sets} could both speak, expected votes that forbid it`,
      },
    ]
  })
}

function idOf(name: string, draft: Draft): NodeId {
  return nodeId(sure(draft.nodes.find((node) => node.name === name)?.id))
}

function sure<T>(value: T | undefined): T {
  assert(value !== undefined, "a field of a configuration without errors has been read")
  return value
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1
}
