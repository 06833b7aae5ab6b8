/**
 * A unit of systemd. `systemctl start` and `stop` return when their job is done, and a stop takes back a start under way, so
 * "stopped" is true when the stop has ended. A unit is started by systemd and not by us: it gets its variables, the epoch
 * among them, from the file `<runtime dir>/<service>.env`, with `EnvironmentFile=` in the unit.
 */
import { execFile } from "node:child_process"
import { renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { SystemdResource as SystemdConfig } from "../../../../protocol/cluster.ts"
import type { Instant } from "../../../../protocol/units.ts"
import { OperatedPrograms, type Programs } from "./program.ts"
import {
  type Action,
  type Finding,
  failed,
  type Look,
  type Resource,
  type ResourceContext,
} from "./resource.ts"

export const systemctl = "/usr/bin/systemctl"

export class SystemdResource implements Resource {
  readonly config: SystemdConfig
  readonly #context: ResourceContext
  readonly #program: OperatedPrograms

  constructor(config: SystemdConfig, context: ResourceContext) {
    this.config = config
    this.#context = context
    const programs: Programs = {
      line: (action) => [systemctl, action, "--", config.unit],
      environment: () => ({}),
      failure: (_action, status) => (status === 0 ? undefined : `systemctl: exit status ${status}`),
    }
    this.#program = new OperatedPrograms(config, programs, context)
  }

  start(epoch: string, deadline: Instant): Action {
    const unwritten = this.#writeVariables(epoch)
    return unwritten === undefined ? this.#program.start(epoch, deadline) : failed(unwritten)
  }

  stop(epoch: string): Action {
    return this.#program.stop(epoch)
  }

  monitor(): Look {
    const { unit, monitorTimeout } = this.config
    let cancel = (): void => undefined
    const finding = new Promise<Finding>((resolve) => {
      const parameters = ["show", "--property=ActiveState", "--value", "--", unit]
      const child = execFile(systemctl, parameters, { timeout: monitorTimeout }, (cause, printed) => {
        resolve(
          cause === null
            ? findingOf(printed.trim())
            : { kind: "failed", reason: `monitor: ${cause.message}` },
        )
      })
      cancel = () => child.kill("SIGKILL")
    })
    return { finding, cancel: () => cancel() }
  }

  close(): void {
    this.#program.close()
  }

  /** Why it could not be written; `undefined`: it was. */
  #writeVariables(epoch: string): string | undefined {
    const { environment, runtimeDirectory, service } = this.#context
    const path = join(runtimeDirectory, `${service}.env`)
    const variables = { ...environment, QUORUMBEAT_EPOCH: epoch }
    const text = Object.entries(variables).map(([name, value]) => `${name}=${quoted(value)}\n`)
    try {
      writeFileSync(`${path}.new`, text.join(""), { mode: 0o644 })
      renameSync(`${path}.new`, path)
      return undefined
    } catch (cause) {
      return cause instanceof Error ? cause.message : String(cause)
    }
  }
}

/** ActiveState of org.freedesktop.systemd1. On the way between two states it is neither running nor surely stopped. */
function findingOf(state: string): Finding {
  if (state === "active" || state === "reloading" || state === "refreshing") return { kind: "running" }
  if (state === "inactive" || state === "failed") return { kind: "stopped" }
  return { kind: "failed", reason: `monitor: the unit is ${state}` }
}

/** systemd.exec(5), EnvironmentFile: inside double quotes a backslash escapes these. */
function quoted(value: string): string {
  return `"${value.replace(/["\\`$]/g, "\\$&")}"`
}
