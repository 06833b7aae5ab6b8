/**
 * A unit of systemd. `systemctl start` and `stop` return when their job is done, and a stop takes back a start under way. A unit
 * with `KillMode=process` or `none` is "inactive" while processes of it go on: "stopped" is true when its control group is
 * empty as well. A unit is started by systemd and not by us: it gets its variables, the epoch among them, from the file
 * `<runtime dir>/<service>.env`, with `EnvironmentFile=` in the unit.
 */
import { execFile } from "node:child_process"
import { readFileSync, renameSync, writeFileSync } from "node:fs"
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

/** Where systemd is: other places only in tests. */
export interface SystemdPlaces {
  readonly systemctl: string
  /** Where control groups are mounted. */
  readonly controlGroups: string
}

const places: SystemdPlaces = { systemctl, controlGroups: "/sys/fs/cgroup" }

export class SystemdResource implements Resource {
  readonly config: SystemdConfig
  readonly #context: ResourceContext
  readonly #places: SystemdPlaces
  readonly #program: OperatedPrograms

  constructor(config: SystemdConfig, context: ResourceContext, at = places) {
    this.config = config
    this.#context = context
    this.#places = at
    const programs: Programs = {
      line: (action) => [at.systemctl, action, "--", config.unit],
      environment: () => ({}),
      failure: (_action, status) => (status === 0 ? undefined : `systemctl: exit status ${status}`),
    }
    this.#program = new OperatedPrograms(config, programs, context)
  }

  start(epoch: string, deadline: Instant): Action {
    const unwritten = this.#writeVariables(epoch)
    return unwritten === undefined ? this.#program.start(epoch, deadline) : failed(unwritten)
  }

  /** A stop that succeeded, and after which the unit is not stopped, has failed. */
  stop(epoch: string): Action {
    const { failure, cancel } = this.#program.stop(epoch)
    const surely = async (): Promise<string | undefined> => {
      const reason = await failure
      if (reason !== undefined) return reason
      const finding = await this.monitor().finding
      if (finding.kind === "stopped") return undefined
      return finding.kind === "running" ? "the unit is active again" : finding.reason
    }
    return { failure: surely(), cancel }
  }

  monitor(): Look {
    const { unit, monitorTimeout } = this.config
    let cancel = (): void => undefined
    const finding = new Promise<Finding>((resolve) => {
      const parameters = ["show", "--property=ActiveState,ControlGroup,Slice", "--", unit]
      const ended = (cause: Error | null, printed: string): void =>
        resolve(
          cause === null ? this.#findingOf(printed) : { kind: "failed", reason: `monitor: ${cause.message}` },
        )
      const child = execFile(this.#places.systemctl, parameters, { timeout: monitorTimeout }, ended)
      cancel = () => child.kill("SIGKILL")
    })
    return { finding, cancel: () => cancel() }
  }

  /** ActiveState of org.freedesktop.systemd1. On the way between two states it is neither running nor surely stopped. */
  #findingOf(printed: string): Finding {
    const properties = new Map(
      printed.split("\n").map((line): [string, string] => {
        const at = line.indexOf("=")
        return [line.slice(0, at), line.slice(at + 1).trim()]
      }),
    )
    const state = properties.get("ActiveState") ?? ""
    if (state === "active" || state === "reloading" || state === "refreshing") return { kind: "running" }
    if (state !== "inactive" && state !== "failed")
      return { kind: "failed", reason: `monitor: the unit is ${state}` }
    const named = properties.get("ControlGroup") ?? ""
    // One that systemd has forgotten may have been left all the same.
    const group = named === "" ? join(sliceFolder(properties.get("Slice") ?? ""), this.config.unit) : named
    // Beside groups of version 1 systemd keeps those of version 2 one folder down.
    const folders = [group, join("unified", group)].map((each) => join(this.#places.controlGroups, each))
    return folders.some(isPopulated)
      ? { kind: "failed", reason: `the unit is ${state}, but processes of it go on: see its KillMode` }
      : { kind: "stopped" }
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

/** systemd.slice(5): `a-b.slice` is below `a.slice`. */
function sliceFolder(slice: string): string {
  const words = slice.replace(/\.slice$/, "").split("-")
  return words.map((_, index) => `${words.slice(0, index + 1).join("-")}.slice`).join("/")
}

/** cgroups(7): `populated` counts the groups below as well. */
function isPopulated(folder: string): boolean {
  try {
    return /^populated 1$/m.test(readFileSync(join(folder, "cgroup.events"), "utf8"))
  } catch {
    // No such group: nothing is in it.
    return false
  }
}

/** systemd.exec(5), EnvironmentFile: inside double quotes a backslash escapes these. */
function quoted(value: string): string {
  return `"${value.replace(/["\\`$]/g, "\\$&")}"`
}
