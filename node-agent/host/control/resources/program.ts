/**
 * A resource that is started, stopped and looked at by running a program (SPEC H7). Start and stop are recorded
 * operations; monitor changes nothing and is simply run. What each prints goes to the log. What to run, and what its exit
 * status means, is each kind's own.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { join } from "node:path"
import type { ResourceConfig } from "../../../../protocol/cluster.ts"
import type { Instant } from "../../../../protocol/units.ts"
import { bootId, failureOf, operationsDirectory, startOperation } from "../operation.ts"
import { OutputFile } from "../output-file.ts"
import { endGroup } from "../processes.ts"
import type { Action, Finding, Look, Resource, ResourceContext } from "./resource.ts"

/** What a kind of resource runs to start and stop, and how it reads the outcome. */
export interface Programs {
  /** The program and its arguments. */
  readonly line: (action: ProgramAction) => readonly string[]
  readonly environment: (action: ProgramAction) => Readonly<Record<string, string>>
  /** Of a start or stop; `undefined`: it succeeded. */
  readonly failure: (action: ProgramAction, status: number) => string | undefined
}

export type ProgramAction = "start" | "stop" | "monitor"

/** A resource of programs whose `monitor` answers by its exit status. */
export class ProgramResource implements Resource {
  readonly config: ResourceConfig
  readonly #operated: OperatedPrograms
  readonly #finding: (status: number) => Finding

  constructor(
    config: ResourceConfig,
    programs: Programs & { readonly finding: (status: number) => Finding },
    context: ResourceContext,
  ) {
    this.config = config
    this.#operated = new OperatedPrograms(config, programs, context)
    this.#finding = programs.finding
  }

  start(epoch: string, deadline: Instant): Action {
    return this.#operated.start(epoch, deadline)
  }

  stop(epoch: string): Action {
    return this.#operated.stop(epoch)
  }

  monitor(epoch: string): Look {
    const { monitorTimeout } = this.config
    const child = this.#operated.spawnMonitor(epoch)
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
      child.on("exit", (status, signal) => {
        if (status === null) fail(`monitor: killed by ${signal ?? "a signal"}`)
        else conclude(this.#finding(status), false)
      })
    })
    return { finding, cancel: () => cancel() }
  }

  close(): void {
    this.#operated.close()
  }
}

/** The running of a resource's programs. */
export class OperatedPrograms {
  readonly #config: ResourceConfig
  readonly #programs: Programs
  readonly #context: ResourceContext
  readonly #output: OutputFile
  #count = 0

  constructor(config: ResourceConfig, programs: Programs, context: ResourceContext) {
    this.#config = config
    this.#programs = programs
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

  spawnMonitor(epoch: string): ChildProcess {
    const [program = "", ...parameters] = this.#programs.line("monitor")
    return spawn(program, parameters, {
      detached: true,
      stdio: ["ignore", this.#output.descriptor, this.#output.descriptor],
      env: { ...process.env, ...this.#environment("monitor", epoch) },
    })
  }

  close(): void {
    this.#output.close()
  }

  #operate(action: "start" | "stop", epoch: string, deadline: Instant | undefined): Action {
    const { startTimeout, stopTimeout, name } = this.#config
    const { service, runtimeDirectory } = this.#context
    this.#count += 1
    const operation = startOperation({
      record: {
        id: `${service}.${name}.${action}.${process.pid}-${this.#count}`,
        service,
        resource: name,
        action,
        boot: bootId(),
      },
      directory: operationsDirectory(runtimeDirectory),
      program: this.#programs.line(action),
      environment: this.#environment(action, epoch),
      timeLimit: action === "start" ? startTimeout : stopTimeout,
      deadline,
      output: this.#output.descriptor,
    })
    const failure = operation.outcome.then((outcome) => {
      this.#output.drain()
      return outcome.kind === "exited" ? this.#programs.failure(action, outcome.status) : failureOf(outcome)
    })
    return { failure, cancel: () => operation.cancel() }
  }

  #environment(action: ProgramAction, epoch: string): Readonly<Record<string, string>> {
    return {
      ...this.#context.environment,
      QUORUMBEAT_RESOURCE: this.#config.name,
      QUORUMBEAT_EPOCH: epoch,
      QUORUMBEAT_ACTION: action,
      ...this.#programs.environment(action),
    }
  }
}
