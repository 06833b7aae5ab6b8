/**
 * The safety grade of a service (SPEC S21): what proves by itself that an owner which is gone no longer acts, best first, and how
 * long a takeover then takes. From the configuration; what a node knows of its own and others' devices is added in `core/grade.ts`.
 */
import { never } from "./assert.ts"
import type { ClusterConfig, ServiceConfig } from "./cluster.ts"
import { type TakeoverBounds, takeoverBounds } from "./failover.ts"
import type { NodeId } from "./units.ts"

export type GradeWord =
  | "gate"
  | "watchdog"
  | "fence-device"
  | "self-lease"
  /** Nothing proves it: a takeover waits for a person. */
  | "operator-only"
  /** One node alone is able to run it: nobody takes over, and nothing has to be proven. */
  | "one-node"

export interface Grade {
  readonly word: GradeWord
  readonly takeover: TakeoverBounds
  /** What keeps it from being healthy, and what to do. */
  readonly problem: string | undefined
}

/** Status asks each second, for each service; a configuration is replaced whole, never changed. */
const known = new WeakMap<ClusterConfig, Map<ServiceConfig, Grade>>()

export function gradeOf(config: ClusterConfig, service: ServiceConfig): Grade {
  const grades = known.get(config) ?? new Map<ServiceConfig, Grade>()
  known.set(config, grades)
  const grade = grades.get(service) ?? computedGrade(config, service)
  grades.set(service, grade)
  return grade
}

function computedGrade(config: ClusterConfig, service: ServiceConfig): Grade {
  const takeover = takeoverBounds(config, service)
  const { kind } = service.proof
  if (service.nodes.length === 1) return { word: "one-node", takeover, problem: undefined }
  switch (kind) {
    case "gate":
    case "watchdog":
    case "self-lease":
      return { word: kind, takeover, problem: undefined }
    case "operator": {
      const without = nodesWithoutDevice(config, service)
      if (without.length === 0) return { word: "fence-device", takeover, problem: undefined }
      const names = without.length === service.nodes.length ? "its nodes" : namesOf(config, without)
      return { word: "operator-only", takeover, problem: `nothing proves that ${names} stopped: ${remedy}` }
    }
    default:
      return never(kind)
  }
}

const remedy = "give it a fence device, or another proof (gate, watchdog, self-lease)"

function nodesWithoutDevice({ fences = [] }: ClusterConfig, { nodes }: ServiceConfig): readonly NodeId[] {
  return nodes.filter((id) => !fences.some((device) => device.nodes.some(({ node }) => node === id)))
}

export function namesOf({ nodes }: ClusterConfig, ids: readonly NodeId[]): string {
  return nodes
    .filter(({ id }) => ids.includes(id))
    .map(({ name }) => name)
    .join(", ")
}
