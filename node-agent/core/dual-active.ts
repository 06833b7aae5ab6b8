/**
 * Dual active (SPEC S22): the same service active on two nodes, against every rule: a program started by hand, a wrong word of an
 * operator, a fault in this program. It is seen where it can be: in the phases that members of a view tell, and in the
 * heartbeats of the other sites. Then the lower epoch stops and people are told. Nothing is started or allowed by it.
 */
import type { ClusterConfig, ServiceConfig } from "../../protocol/cluster.ts"
import {
  after,
  epoch,
  type Instant,
  type NodeId,
  type ServiceName,
  type SiteId,
} from "../../protocol/units.ts"
import { type Derivation, keeping } from "./derived.ts"
import type { SiteMessage } from "./site-messages.ts"
import type { NodeState, ReportedPhase, View } from "./state.ts"
import { report, type Turn, withEntry } from "./turn.ts"

/** Told by a node that stops what it never started. Such a thing has no epoch: every other is higher. */
export const foundActive = "found active, nobody here started it"

/** What another site says of a service in its heartbeats. */
export interface ActiveElsewhere {
  /** Mandate epoch of its activation; 0: it was started by nobody. */
  readonly epoch: number
  /** Heartbeats in a row that said so since the service was active here. */
  readonly heartbeats: number
}

/** One heartbeat may have been on its way while the service moved. */
const heartbeatsNeeded = 2

interface Copy {
  readonly member: NodeId
  readonly epoch: string | undefined
}

/** The members that have it, by their own word. */
function copiesHere(
  { view, ordered, config }: NodeState,
  service: ServiceConfig,
  now: Instant,
): readonly Copy[] {
  if (view === undefined) return []
  const assigned = ordered.services.find((each) => each.service === service.name)?.assignment?.epoch
  // What a member brought along from the view it left had ended with its lease, and is given up now (SPEC S7).
  const isFresh = now < freshUntil(view, config)
  return view.members.flatMap((member) => {
    const told = view.phases.get(member)?.get(service.name)
    if (told === undefined || !isActive(told, service)) return []
    const isLeft = isFresh && told.epoch !== undefined && told.epoch !== assigned && endsByItself(service)
    return isLeft ? [] : [{ member, epoch: told.epoch }]
  })
}

function freshUntil(view: View, { timings }: ClusterConfig): Instant {
  return after(view.installedAt, timings.lease)
}

function endsByItself({ proof }: ServiceConfig): boolean {
  return proof.kind === "gate" || proof.kind === "self-lease"
}

/** One that is being stopped had been ended by its proof before, where that ends it by itself. */
function isActive({ phase, reason }: ReportedPhase, service: ServiceConfig): boolean {
  if (phase === "running" || phase === "starting") return true
  if (phase !== "stopping" && phase !== "failed") return false
  return reason.startsWith(foundActive) || !endsByItself(service)
}

/** Another member runs the service at a higher epoch: this node's activation is to end. */
export function isOutranked({ view, self }: NodeState, service: ServiceName, own: string): boolean {
  return (view?.members ?? []).some((member) => {
    const told = view?.phases.get(member)?.get(service)
    const runs = told?.phase === "running" || told?.phase === "starting"
    return member !== self.id && runs && told.epoch !== undefined && compareActivations(own, told.epoch) < 0
  })
}

/** Number by number from the left (SPEC S9). */
function compareActivations(a: string, b: string): number {
  const [left, right] = [a, b].map((each) => each.split(".").map(Number))
  for (const [index, number] of (left ?? []).entries()) {
    const difference = number - (right?.[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** For the heartbeat to other sites: the position of each active service in the configuration, and its mandate epoch. */
export function activeServices({ node, now }: Turn): readonly (readonly [number, number])[] {
  return node.config.services.flatMap((service, index) => {
    const copies = copiesHere(node, service, now)
    return copies.length === 0 ? [] : [[index, highestMandate(copies)] as const]
  })
}

function highestMandate(copies: readonly Copy[]): number {
  return Math.max(...copies.map((copy) => Number(copy.epoch?.split(".")[0] ?? 0)))
}

/** A heartbeat of another site: what is active there and here is counted. */
export function noteActiveElsewhere(
  turn: Turn,
  site: SiteId,
  { active }: SiteMessage & { readonly kind: "heartbeat" },
): void {
  const { node, now } = turn
  const known = node.sites.get(site)
  if (known === undefined) return
  // A node that stood still hears at once what was said meanwhile, before it knows that its rights are gone.
  const isCurrent = (node.ring?.lease ?? now) > now
  const elsewhere = new Map<ServiceName, ActiveElsewhere>()
  for (const [index, at] of active ?? []) {
    const service = node.config.services[index]
    if (service === undefined) continue
    const before = known.active.get(service.name)?.heartbeats ?? 0
    const isHere = copiesHere(node, service, now).some((copy) => !hasLapsed(node, service, copy, now))
    const counts = isCurrent && (before >= heartbeatsNeeded || isHere)
    elsewhere.set(service.name, {
      epoch: at,
      heartbeats: counts ? Math.min(before + 1, heartbeatsNeeded) : 0,
    })
  }
  node.sites = withEntry(node.sites, site, { ...known, active: elsewhere })
  watchDualActive(turn)
}

/** This node's own right is over, and its word for that is on the way. */
function hasLapsed(
  { self, activations }: NodeState,
  service: ServiceConfig,
  { member }: Copy,
  now: Instant,
): boolean {
  const deadline = activations.get(service.name)?.deadline
  return member === self.id && endsByItself(service) && (deadline === undefined || deadline <= now)
}

/** The site that has it as well and can still be heard; `undefined`: none. */
function otherSiteWith(
  { sites }: NodeState,
  service: ServiceName,
): { readonly site: SiteId; readonly epoch: number } | undefined {
  for (const { site, silent, active } of sites.values()) {
    const told = active.get(service)
    if (!silent && told !== undefined && told.heartbeats >= heartbeatsNeeded)
      return { site, epoch: told.epoch }
  }
  return undefined
}

/** A site with a higher mandate epoch than this one's has the service: here it stops, and is not started. */
export function outrankingSite(node: NodeState, service: ServiceName, mandate: number): SiteId | undefined {
  const other = otherSiteWith(node, service)
  return other !== undefined && other.epoch > mandate ? other.site : undefined
}

/** After each change of what members and sites tell: every member notes it, the coordinator tells people. */
export function watchDualActive(turn: Turn): void {
  const { node, now } = turn
  if (node.view === undefined || node.membership.kind !== "operational") return
  for (const { service, copies, other, isDouble } of changesOf(node, now)) {
    const doubles = new Set(node.doubles)
    if (isDouble) doubles.add(service)
    else doubles.delete(service)
    node.doubles = doubles
    if (node.view.coordinator !== node.self.id) continue
    if (!isDouble) report(turn, "info", "dual-active-ended", service, "one of them stopped")
    else if (other === undefined) report(turn, "critical", "dual-active", service, describe(node, copies))
    else {
      const at = epoch(Math.max(other.epoch, highestMandate(copies)))
      const where = `${describe(node, copies)}, and at site ${other.site} (mandate epoch ${other.epoch})`
      report(turn, "critical", "dual-active", service, where, `e${at}`)
    }
  }
}

/** A service that is active twice and was not noted as such, or the reverse. */
interface DoubleChange {
  readonly service: ServiceName
  readonly copies: readonly Copy[]
  readonly other: ReturnType<typeof otherSiteWith>
  readonly isDouble: boolean
}

const doubleChanges: Derivation<readonly DoubleChange[]> = {
  parts: ["config", "view", "ordered", "sites", "doubles"],
  derive: (node, now) => {
    const value = node.config.services.flatMap((service) => {
      const copies = copiesHere(node, service, now)
      const other = copies.length > 0 ? otherSiteWith(node, service.name) : undefined
      const isDouble = copies.length > 1 || other !== undefined
      return isDouble === node.doubles.has(service.name)
        ? []
        : [{ service: service.name, copies, other, isDouble }]
    })
    const until = node.view === undefined ? undefined : freshUntil(node.view, node.config)
    return { value, until: until !== undefined && until > now ? until : undefined }
  },
}

const changesOf = keeping(doubleChanges)

function describe({ config }: NodeState, copies: readonly Copy[]): string {
  const words = copies.map(({ member, epoch: at }) => {
    const name = config.nodes.find(({ id }) => id === member)?.name ?? String(member)
    return `${name} (${at === undefined ? "no epoch" : `epoch ${at}`})`
  })
  return `active on ${words.join(" and on ")}: the lower epoch stops`
}
