/**
 * Which nodes of a view may run a service, and which of them it goes to (SPEC S10, S13, S16). Pure: from ordered state,
 * what the members tell of themselves, and the configuration.
 */
import type { ServiceConfig } from "../../protocol/cluster.ts"
import { defaults } from "../../protocol/profiles.ts"
import type { NodeId, ServiceName } from "../../protocol/units.ts"
import { isUnable } from "./activations.ts"
import type { Lasting } from "./since.ts"
import type { NodeState, ServiceRecord, View } from "./state.ts"

export interface Candidacy {
  readonly service: ServiceConfig
  readonly record: ServiceRecord
  readonly view: View
  /** Where other services are about to be assigned. */
  readonly planned: ReadonlyMap<ServiceName, NodeId>
}

/** The operator's choice, else where it is to be restarted, else the fewest failures, else the first in its own order. */
export function targetOf(node: NodeState, candidacy: Candidacy): NodeId | undefined {
  const { service, record } = candidacy
  const able = service.nodes.filter((member) => isAble(node, candidacy, member))
  if (record.preferred !== undefined && able.includes(record.preferred)) return record.preferred
  const again = restartedOn(service, record)
  if (again !== undefined && able.includes(again)) return again
  return [...able].sort((a, b) => failuresOf(record, a) - failuresOf(record, b))[0]
}

/** The node on which a monitor found a resource failed, as long as that has not happened too often there. */
function restartedOn(service: ServiceConfig, { failed, failures }: ServiceRecord): NodeId | undefined {
  if (failed === undefined) return undefined
  const { node, resource } = failed
  const limit = service.resources.find(({ name }) => name === resource)?.restartLimit ?? 0
  const count = failures.find((each) => each.node === node)?.count ?? 0
  return count <= limit ? node : undefined
}

export function isAble(node: NodeState, candidacy: Candidacy, member: NodeId): boolean {
  return obstacleOf(node, candidacy, member) === undefined
}

/** What keeps the service from this node; undefined: nothing. */
function obstacleOf(node: NodeState, candidacy: Candidacy, member: NodeId): string | undefined {
  const { service, record, view } = candidacy
  if (!service.nodes.includes(member)) return "is not to run it"
  if (!view.members.includes(member)) return "is away"
  if (view.departing.includes(member)) return "leaves"
  if (isBeingRemoved(view, member)) return "is being removed"
  if (node.ordered.standby?.includes(member)) return "is in standby"
  const failures = failuresOf(record, member)
  if (failures >= thresholdOf(service)) return `failed ${failures} times`
  const told = view.phases.get(member)?.get(service.name)
  if (told?.phase !== "stopped") return "has not confirmed that it is stopped"
  const rival = node.config.services.find(
    (other) => areApart(service, other) && mayRunOn(node, candidacy, other, member),
  )
  if (rival !== undefined) return `has ${rival.name} (anti-affinity)`
  return isUnable(told.reason) ? told.reason : undefined
}

/** By a proposal that a member brought: once that is a fact nobody asks what became of a service there (SPEC LC2). */
function isBeingRemoved({ joint }: View, member: NodeId): boolean {
  return joint?.layout.voters.every(({ node }) => node !== member) ?? false
}

/** Whichever of the two says so (SPEC S18). */
function areApart(service: ServiceConfig, other: ServiceConfig): boolean {
  if (service.name === other.name) return false
  return (
    (service.antiAffinity?.includes(other.name) ?? false) ||
    (other.antiAffinity?.includes(service.name) ?? false)
  )
}

/** Assigned there, about to be, or not confirmed stopped. */
function mayRunOn(
  node: NodeState,
  { view, planned }: Candidacy,
  { name }: ServiceConfig,
  member: NodeId,
): boolean {
  const assignment = node.ordered.services.find((each) => each.service === name)?.assignment
  const isOwner = assignment?.owner === member && assignment.incarnation === view.incarnations.get(member)
  return isOwner || planned.get(name) === member || view.phases.get(member)?.get(name)?.phase !== "stopped"
}

/** An earlier one of the service's nodes than its owner, able and without failures (SPEC S19); undefined: it stays. */
export function failbackOf(
  node: NodeState,
  candidacy: Candidacy,
  owner: NodeId,
): (Lasting & { readonly to: NodeId }) | undefined {
  const { service, record } = candidacy
  const { failbackAfter: wait, nodes, name } = service
  if (wait === undefined || record.preferred === owner || record.mode !== "automatic") return undefined
  const earlier = nodes.slice(0, Math.max(0, nodes.indexOf(owner)))
  const to = earlier.find((each) => isAble(node, candidacy, each) && failuresOf(record, each) === 0)
  return to === undefined ? undefined : { to, wait, what: `failback:${name}:${to}` }
}

/** Failures on one node from which on it is passed over. */
export function thresholdOf({ migrationThreshold }: ServiceConfig): number {
  return migrationThreshold ?? defaults.migrationThreshold
}

function failuresOf(record: ServiceRecord, member: NodeId): number {
  return record.failures.find((failure) => failure.node === member)?.count ?? 0
}

/** For people: why no node of the site may have it. */
export function noNodeAble(node: NodeState, candidacy: Candidacy): string {
  const here = node.config.nodes.filter(
    ({ id, site }) => site === node.self.site && candidacy.service.nodes.includes(id),
  )
  const obstacles = here.map(({ id, name }) => `${name} ${obstacleOf(node, candidacy, id)}`)
  return ["no node able to run it", ...(obstacles.length === 0 ? [] : [obstacles.join(", ")])].join(": ")
}
