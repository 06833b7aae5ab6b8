/**
 * A resource made of three programs (SPEC H7). Start and stop are recorded operations; monitor changes nothing and
 * is simply run. What each prints goes to the log.
 */
import { spawn } from "node:child_process"
import { join } from "node:path"
import type { CommandResource as CommandConfig } from "../../../../protocol/cluster.ts"
import type { Instant } from "../../../../protocol/units.ts"
import { bootId, failureOf, type Outcome, operationsDirectory, startOperation } from "../operation.ts"
import { OutputFile } from "../output-file.ts"
import { endGroup } from "../processes.ts"
import type { Action, Finding, Look, Resource, ResourceContext } from "./resource.ts"

/** OCF's exit status for "not running". */
const notRunningStatus = 7

export class CommandResource implements Resource {
  readonly config: CommandConfig
  readonly #context: ResourceContext
  readonly #output: OutputFile
  #count = 0

  constructor(config: CommandConfig, context: ResourceContext) {
    this.config = config
    this.#context = context
    this.#output = new OutputFile(
      join(context.runtimeDirectory, "output"),
      `${context.service}~${config.name}`,
      (text) => context.printed(config.name, text),
    )
  }

  start(epoch: string, deadline: Instant): Action {
    return this.#operate("start", epoch, deadline)
  }

  stop(epoch: string): Action {
    return this.#operate("stop", epoch, undefined)
  }

  monitor(epoch: string): Look {
    const { monitor, monitorTimeout } = this.config
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

  #operate(action: "start" | "stop", epoch: string, deadline: Instant | undefined): Action {
    const { config } = this
    const { service, runtimeDirectory } = this.#context
    this.#count += 1
    const operation = startOperation({
      record: {
        id: `${service}.${config.name}.${action}.${process.pid}-${this.#count}`,
        service,
        resource: config.name,
        action,
        boot: bootId(),
      },
      directory: operationsDirectory(runtimeDirectory),
      program: config[action],
      environment: this.#environment(action, epoch),
      timeLimit: action === "start" ? config.startTimeout : config.stopTimeout,
      deadline,
      output: this.#output.descriptor,
    })
    const failure = operation.outcome.then((outcome) => {
      this.#output.drain()
      return failureOf(outcome)
    })
    return { failure, cancel: () => operation.cancel() }
  }

  #environment(action: string, epoch: string): Readonly<Record<string, string>> {
    return {
      ...this.#context.environment,
      QUORUMBEAT_RESOURCE: this.config.name,
      QUORUMBEAT_EPOCH: epoch,
      QUORUMBEAT_ACTION: action,
      ...this.config.environment,
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
