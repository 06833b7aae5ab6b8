/**
 * An agent of the Open Cluster Framework, as in Debian's `resource-agents` (OCF resource agent API 1.1): parameters as
 * OCF_RESKEY_*, the action as only argument, the exit status as answer. Parameters are checked against the agent's own
 * meta-data when the control process starts, off the way of a takeover; what is wrong fails each start with that reason.
 */
import type { OcfResource } from "../../../../protocol/cluster.ts"
import type { Instant } from "../../../../protocol/units.ts"
import { checkOcfParameters, ocfProgram, ocfRoot } from "./ocf-metadata.ts"
import { type ProgramAction, ProgramResource } from "./program.ts"
import {
  type Action,
  type Finding,
  failed,
  type Look,
  type Resource,
  type ResourceContext,
} from "./resource.ts"

/** OCF resource agent API 1.1, section "Return codes". */
const statusNames: Readonly<Record<number, string>> = {
  1: "error",
  2: "invalid arguments",
  3: "action not supported",
  4: "insufficient privileges",
  5: "not installed",
  6: "not configured properly",
  7: "not running",
  8: "running in promoted role",
  9: "failed in promoted role",
  190: "degraded",
  191: "degraded in promoted role",
}
const runningStatus = 0
const notRunningStatus = 7
/** It runs, but a failure is likely: an answer of `monitor` only. */
const degradedStatus = 190

export function createOcf(config: OcfResource, context: ResourceContext): Resource {
  const [, provider = "", type = ""] = config.agent.split(":")
  const reasons = new ExitReasons(context.printed)
  const timeouts = { start: config.startTimeout, stop: config.stopTimeout, monitor: config.monitorTimeout }
  const programs = {
    line: (action: ProgramAction) => [ocfProgram(config.agent), action],
    environment: (action: ProgramAction) => ({
      OCF_ROOT: ocfRoot,
      OCF_RA_VERSION_MAJOR: "1",
      OCF_RA_VERSION_MINOR: "1",
      OCF_RESOURCE_INSTANCE: `${context.service}_${config.name}`,
      OCF_RESOURCE_PROVIDER: provider,
      OCF_RESOURCE_TYPE: type,
      OCF_CHECK_LEVEL: "0",
      OCF_RESKEY_CRM_meta_timeout: String(timeouts[action]),
      OCF_RESKEY_CRM_meta_name: action,
      OCF_RESKEY_CRM_meta_interval: action === "monitor" ? String(config.monitorInterval) : "0",
      ...Object.fromEntries(
        Object.entries(config.parameters).map(([name, value]) => [`OCF_RESKEY_${name}`, value]),
      ),
    }),
    finding,
    failure: (action: ProgramAction, status: number) => reasons.added(failure(action, status)),
  }
  const program = new ProgramResource(config, programs, { ...context, printed: reasons.printed })
  return new CheckedOcf(config, program, context)
}

/** Refuses to start with parameters that the agent does not know. Stop and monitor go ahead whatever is known. */
class CheckedOcf implements Resource {
  readonly config: OcfResource
  readonly #program: Resource
  #problems: readonly string[] = []

  constructor(config: OcfResource, program: Resource, context: ResourceContext) {
    this.config = config
    this.#program = program
    void checkOcfParameters(config).then((problems) => {
      this.#problems = problems
      for (const problem of problems) context.printed(config.name, problem)
    })
  }

  start(epoch: string, deadline: Instant): Action {
    return this.#problems.length === 0
      ? this.#program.start(epoch, deadline)
      : failed(this.#problems.join("; "))
  }

  stop(epoch: string): Action {
    return this.#program.stop(epoch)
  }

  monitor(epoch: string): Look {
    return this.#program.monitor(epoch)
  }

  close(): void {
    this.#program.close()
  }
}

/** Agents print why they failed as `ocf-exit-reason:...` (resource-agents, ocf_exit_reason); it is worth more than a number. */
class ExitReasons {
  #last: string | undefined
  readonly #printed: ResourceContext["printed"]

  constructor(printed: ResourceContext["printed"]) {
    this.#printed = printed
  }

  readonly printed = (resource: string, text: string): void => {
    this.#last = /^ocf-exit-reason:(.+)/.exec(text)?.[1] ?? this.#last
    this.#printed(resource, text)
  }

  added(failure: string | undefined): string | undefined {
    const reason = this.#last
    this.#last = undefined
    return failure === undefined || reason === undefined ? failure : `${failure}: ${reason}`
  }
}

function finding(status: number): Finding {
  if (status === runningStatus || status === degradedStatus) return { kind: "running" }
  if (status === notRunningStatus) return { kind: "stopped" }
  return { kind: "failed", reason: `monitor: ${describe(status)}` }
}

/** "Not running" means safely stopped: for a stop that is what was wanted. */
function failure(action: ProgramAction, status: number): string | undefined {
  if (status === 0 || (action === "stop" && status === notRunningStatus)) return undefined
  return describe(status)
}

function describe(status: number): string {
  const name = statusNames[status]
  return name === undefined ? `exit status ${status}` : `exit status ${status}, ${name}`
}
