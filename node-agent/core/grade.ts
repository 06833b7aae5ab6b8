/**
 * The safety grade of a service as this node sees it (SPEC S21): what the configuration promises, less what nodes report: no gate,
 * no armed watchdog, a fence device that does not answer. For people; no right rests on it.
 */
import type { FenceDevice, ServiceConfig } from "../../protocol/cluster.ts"
import { type GradeWord, gradeOf, namesOf } from "../../protocol/grade.ts"
import type { NodeId } from "../../protocol/units.ts"
import { noGate, noWatchdog } from "./activations.ts"
import type { NodeState } from "./state.ts"

export interface Safety {
  /** `watchdog-hardware` and `-software` say of this node what is known of it; of others `watchdog`. */
  readonly grade: GradeWord | "watchdog-hardware" | "watchdog-software"
  /** The longest takeover by another node after the owner's death; `undefined`: none happens by itself. */
  readonly takeover_ms: number | undefined
  /** The same by another site. */
  readonly site_takeover_ms: number | undefined
  /** What is wrong with the proof, and what to do; a service that has any is not healthy. */
  readonly problems: readonly string[]
}

export function safetyOf(node: NodeState, service: ServiceConfig): Safety {
  const { word, takeover, problem } = gradeOf(node.config, service)
  const times = {
    takeover_ms: takeover.node === undefined ? undefined : Math.ceil(takeover.node),
    site_takeover_ms: takeover.site === undefined ? undefined : Math.ceil(takeover.site),
  }
  switch (word) {
    case "gate":
      return { grade: word, ...times, problems: lacking(node, service, noGate, "gate") }
    case "watchdog":
      return {
        grade: watchdogHere(node, service),
        ...times,
        problems: lacking(node, service, noWatchdog, "armed watchdog"),
      }
    case "fence-device": {
      const problems = silentDevices(node, service)
      const open = service.nodes.filter((id) => id !== node.self.id && !canBeTurnedOff(node, id))
      if (open.length === 0) return { grade: word, ...times, problems }
      return { grade: "operator-only", takeover_ms: undefined, site_takeover_ms: undefined, problems }
    }
    case "self-lease":
    case "operator-only":
    case "one-node":
      return { grade: word, ...times, problems: problem === undefined ? [] : [problem] }
  }
}

/** Members that told that they cannot run it for want of its proof; of this node its own word. */
function lacking(node: NodeState, service: ServiceConfig, reason: string, what: string): readonly string[] {
  const { view, config } = node
  if (view === undefined) return []
  const able = service.nodes.filter((id) => view.members.includes(id))
  const without = able.filter((id) => view.phases.get(id)?.get(service.name)?.reason === reason)
  if (without.length === 0) return []
  const names = namesOf(config, without)
  const rest = without.length === able.length ? "it cannot run at all" : "it cannot run there"
  return [`no ${what} on ${names}: ${rest} with proof "${service.proof.kind}"`]
}

function watchdogHere({ self, watchdog }: NodeState, { nodes }: ServiceConfig): Safety["grade"] {
  if (!nodes.includes(self.id) || watchdog.kind !== "armed") return "watchdog"
  return watchdog.software ? "watchdog-software" : "watchdog-hardware"
}

function devicesOf({ config }: NodeState, id: NodeId): readonly FenceDevice[] {
  return (config.fences ?? []).filter((device) => device.nodes.some(({ node }) => node === id))
}

/** As this node's own looks at them say. */
function silentDevices(node: NodeState, { nodes }: ServiceConfig): readonly string[] {
  const devices = new Set(nodes.flatMap((id) => devicesOf(node, id)))
  return [...devices].flatMap(({ name }) => {
    const problem = node.deadDevices.get(name)
    return problem === undefined ? [] : [`fence device ${name} does not answer: ${problem}`]
  })
}

/** Some level is left, all of whose devices answer. */
function canBeTurnedOff(node: NodeState, id: NodeId): boolean {
  const devices = devicesOf(node, id)
  return devices.some(({ level }) =>
    devices.filter((each) => each.level === level).every(({ name }) => !node.deadDevices.has(name)),
  )
}
