/**
 * A resource made of three programs (SPEC H7). Start and stop are recorded operations; monitor changes nothing and
 * is simply run. What each prints goes to the log.
 */
import { spawn } from "node:child_process"
import { join } from "node:path"
import type { CommandResource } from "../../../protocol/cluster.ts"
import type { Instant } from "../../../protocol/units.ts"
import { bootId, failureOf, type Operation, type Outcome, startOperation } from "./operation.ts"
import { OutputFile } from "./output-file.ts"
import { endGroup } from "./processes.ts"

export interface ResourceOptions {
  readonly resource: CommandResource
  readonly service: string
  readonly runtimeDirectory: string
  /** QUORUMBEAT_CLUSTER, _NODE, _SITE, _SERVICE, _LEASE_FILE. */
  readonly environment: Readonly<Record<string, string>>
  /** What its programs printed, line by line. */
  readonly printed: (resource: string, text: string) => void
}

export type Finding =
  | { readonly kind: "running" }
  | { readonly kind: "stopped" }
  | { readonly kind: "failed"; readonly reason: string }

export interface Look {
  readonly finding: Promise<Finding>
  cancel(): void
}

/** OCF's exit status for "not running". */
const notRunningStatus = 7

export const operationsDirectory = (runtimeDirectory: string): string => join(runtimeDirectory, "operations")

export class CommandResourceRunner {
  readonly resource: CommandResource
  readonly #options: ResourceOptions
  readonly #output: OutputFile
  #count = 0

  constructor(options: ResourceOptions) {
    this.#options = options
    this.resource = options.resource
    this.#output = new OutputFile(
      join(options.runtimeDirectory, "output"),
      `${options.service}~${this.resource.name}`,
      (text) => options.printed(this.resource.name, text),
    )
  }

  start(epoch: string, deadline: Instant): Operation {
    return this.#operate("start", epoch, deadline)
  }

  stop(epoch: string): Operation {
    return this.#operate("stop", epoch, undefined)
  }

  monitor(epoch: string): Look {
    const { monitor, monitorTimeout } = this.resource
    const [program, ...parameters] = monitor
    if (program === undefined) return finished({ kind: "failed", reason: "no monitor configured" })
    const child = spawn(program, parameters, {
      detached: true,
      stdio: ["ignore", this.#output.descriptor, this.#output.descriptor],
      env: { ...process.env, ...this.#environment("monitor", epoch) },
    })
    let cancel = (): void => undefined
    const finding = new Promise<Finding>((resolve) => {
      let isOver = false
      const conclude = (result: Finding, endsGroup: boolean): void => {
        if (isOver) return
        isOver = true
        clearTimeout(timer)
        if (endsGroup && child.pid !== undefined) void endGroup(child.pid)
        resolve(result)
      }
      const fail = (reason: string): void => conclude({ kind: "failed", reason }, true)
      const timer = setTimeout(() => fail("monitor exceeded its time limit"), monitorTimeout)
      cancel = () => fail("cancelled")
      child.on("error", (cause) => fail(`monitor cannot be run: ${cause.message}`))
      child.on("exit", (status, signal) => conclude(findingOf(status, signal), false))
    })
    return { finding, cancel: () => cancel() }
  }

  close(): void {
    this.#output.close()
  }

  #operate(action: "start" | "stop", epoch: string, deadline: Instant | undefined): Operation {
    const { resource, service, runtimeDirectory } = this.#options
    this.#count += 1
    const operation = startOperation({
      record: {
        id: `${service}.${resource.name}.${action}.${process.pid}-${this.#count}`,
        service,
        resource: resource.name,
        action,
        boot: bootId(),
      },
      directory: operationsDirectory(runtimeDirectory),
      program: resource[action],
      environment: this.#environment(action, epoch),
      timeLimit: action === "start" ? resource.startTimeout : resource.stopTimeout,
      deadline,
      output: this.#output.descriptor,
    })
    void operation.outcome.then(() => this.#output.drain())
    return operation
  }

  #environment(action: string, epoch: string): Readonly<Record<string, string>> {
    return {
      ...this.#options.environment,
      QUORUMBEAT_RESOURCE: this.resource.name,
      QUORUMBEAT_EPOCH: epoch,
      QUORUMBEAT_ACTION: action,
      ...this.resource.environment,
    }
  }
}

function findingOf(status: number | null, signal: string | null): Finding {
  if (status === 0) return { kind: "running" }
  if (status === notRunningStatus) return { kind: "stopped" }
  const outcome: Outcome =
    status === null ? { kind: "killed", signal: signal ?? "a signal" } : { kind: "exited", status }
  return { kind: "failed", reason: `monitor: ${failureOf(outcome)}` }
}

function finished(finding: Finding): Look {
  return { finding: Promise.resolve(finding), cancel: () => undefined }
}
