/** A program of the operator's: its exit status for `monitor` is as in OCF, 0 running and 7 not running. */
import type { CommandResource } from "../../../../protocol/cluster.ts"
import { type ProgramAction, ProgramResource } from "./program.ts"
import type { Finding, Resource, ResourceContext } from "./resource.ts"

const notRunningStatus = 7

export function createCommand(config: CommandResource, context: ResourceContext): Resource {
  const programs = {
    line: (action: ProgramAction) => config[action],
    environment: () => config.environment,
    finding,
    failure,
  }
  return new ProgramResource(config, programs, context)
}

function finding(status: number): Finding {
  if (status === 0) return { kind: "running" }
  if (status === notRunningStatus) return { kind: "stopped" }
  return { kind: "failed", reason: `monitor: exit status ${status}` }
}

function failure(_action: ProgramAction, status: number): string | undefined {
  return status === 0 ? undefined : `exit status ${status}`
}
