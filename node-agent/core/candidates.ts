/**
 * Which nodes of a view may run a service, and which of them it goes to (SPEC S10, S13, S16). Pure: from ordered state,
 * what the members tell of themselves, and the configuration.
 */
import type { ServiceConfig } from "../../protocol/cluster.ts"
import type { NodeId } from "../../protocol/units.ts"
import { isUnable } from "./activations.ts"
import type { NodeState, ServiceRecord, View } from "./state.ts"

/** Failures on one node after which it is passed over until an operator cleans up. */
const failuresMax = 3

export interface Candidacy {
  readonly service: ServiceConfig
  readonly record: ServiceRecord
  readonly view: View
}

/** The operator's choice, else the fewest failures, else the first in the service's own order. */
export function targetOf(node: NodeState, candidacy: Candidacy): NodeId | undefined {
  const { service, record } = candidacy
  const able = service.nodes.filter((member) => isAble(node, candidacy, member))
  if (record.preferred !== undefined && able.includes(record.preferred)) return record.preferred
  return [...able].sort((a, b) => failuresOf(record, a) - failuresOf(record, b))[0]
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
  if (node.ordered.standby?.includes(member)) return "is in standby"
  const failures = failuresOf(record, member)
  if (failures >= failuresMax) return `failed ${failures} times`
  const told = view.phases.get(member)?.get(service.name)
  if (told?.phase !== "stopped") return "has not confirmed that it is stopped"
  return isUnable(told.reason) ? told.reason : undefined
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
