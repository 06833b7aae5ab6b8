/**
 * One service on this node: its resources started in order and stopped in reverse, one job after the other. Decides
 * nothing about rights: it does what the core asks and says what came of it.
 *
 * A stop overtakes a start: one that waits fails at once, one under way is ended. A start that fails takes down what
 * it had started before it is reported, so "failed" is also "stopped" unless the reason says `not-stopped`.
 */
import type { ServiceConfig } from "../../../protocol/cluster.ts"
import { type Instant, latest, type Millis, millis, type ServiceName } from "../../../protocol/units.ts"
import type { FoundService } from "../../core/events.ts"
import { readLease } from "../lease-file.ts"
import { type ActivationPhase, readActivation, removeActivation, writeActivation } from "./activation-file.ts"
import { endLeftoversOf, type Leftover } from "./leftovers.ts"
import type { ControlEvent } from "./messages.ts"
import { operationsDirectory } from "./operation.ts"
import {
  type Action,
  createResource,
  type Finding,
  type Look,
  type Resource,
  type ResourceContext,
} from "./resources/resource.ts"

export interface ServiceOptions extends Omit<ResourceContext, "service" | "printed"> {
  readonly service: ServiceConfig
  readonly printed: (service: ServiceName, resource: string, text: string) => void
  readonly emit: (event: ControlEvent) => void
  /** The least between two looks at a resource that is stopped; `undefined`: 10 s. */
  readonly stoppedIntervalMin?: Millis
}

/** Stopped resources are looked at as well, so much less often: somebody may start them by hand. */
const stoppedShare = 3
const stoppedIntervalMin = millis(10_000)

/** What is known here; `unknown`: a stop failed, or it was found so. */
type Activity = "stopped" | "starting" | "running" | "stopping" | "unknown"

export class ServiceRunner {
  readonly name: ServiceName
  readonly #options: ServiceOptions
  readonly #resources: readonly Resource[]
  #activity: Activity = "unknown"
  #epoch = "0"
  /** Jobs run one after the other, each when the one before is done. */
  #last: Promise<void> = Promise.resolve()
  /** Rises with each stop: a start that began to wait before it is overtaken. */
  #stops = 0
  #starting: Action | undefined
  readonly #looks = new Set<Look>()
  readonly #timers = new Set<NodeJS.Timeout>()

  constructor(options: ServiceOptions) {
    const { service } = options
    this.name = service.name
    this.#options = options
    this.#resources = service.resources.map((config) =>
      createResource(config, {
        ...options,
        service: service.name,
        printed: (from, text) => options.printed(service.name, from, text),
      }),
    )
  }

  /** What runs now. `interrupted`: a start or stop of a former control process was cut off and has been ended. */
  discover(interrupted: boolean): Promise<FoundService> {
    const found = this.#last.then(() => this.#discover(interrupted))
    this.#last = found.then(() => undefined)
    return found
  }

  start(operation: number, epoch: string, deadline: Instant): void {
    const stopsBefore = this.#stops
    this.#enqueue(async () => {
      const failure = await this.#start(epoch, deadline, () => this.#stops !== stopsBefore)
      const outcome = { operation, service: this.name }
      this.#options.emit(
        failure === undefined
          ? { kind: "service-started", ...outcome }
          : { kind: "service-start-failed", ...outcome, reason: failure },
      )
    })
  }

  stop(operation: number): void {
    this.#overtakeStart()
    this.#enqueue(async () => {
      const failure = await this.#takeDown(this.#resources)
      const outcome = { operation, service: this.name }
      this.#options.emit(
        failure === undefined
          ? { kind: "service-stopped", ...outcome }
          : { kind: "service-stop-failed", ...outcome, reason: failure },
      )
    })
  }

  /** Stops it unless it is known to be stopped; for when the real-time process is gone. */
  async shutDown(): Promise<void> {
    this.#overtakeStart()
    this.#enqueue(async () => {
      if (this.#activity !== "stopped") await this.#takeDown(this.#resources)
      this.#unwatch()
      for (const resource of this.#resources) resource.close()
    })
    await this.#last
  }

  async #discover(interrupted: boolean): Promise<FoundService> {
    const activation = readActivation(this.#options.runtimeDirectory, this.name)
    this.#epoch = activation?.epoch ?? "0"
    if (interrupted || (activation !== undefined && activation.phase !== "running")) {
      const failure = await this.#takeDown(this.#resources)
      return failure === undefined ? this.#found("stopped") : this.#found("unknown", failure)
    }
    const findings = await Promise.all(this.#resources.map((each) => each.monitor(this.#epoch).finding))
    if (findings.every((finding) => finding.kind === "running")) {
      this.#activity = "running"
      this.#watch()
      return { ...this.#found("running"), epoch: activation?.epoch }
    }
    if (findings.every((finding) => finding.kind === "stopped")) {
      this.#markStopped()
      return this.#found("stopped")
    }
    return this.#found("unknown", this.#describe(findings))
  }

  #enqueue(job: () => Promise<void>): void {
    this.#last = this.#last.then(job)
  }

  #overtakeStart(): void {
    this.#stops += 1
    this.#starting?.cancel()
  }

  async #start(epoch: string, deadline: Instant, isOvertaken: () => boolean): Promise<string | undefined> {
    if (isOvertaken()) return "overtaken by a stop"
    this.#unwatch()
    this.#epoch = epoch
    const unwritten = this.#note("starting")
    if (unwritten !== undefined) {
      this.#watch()
      return unwritten
    }
    this.#activity = "starting"
    for (const [index, resource] of this.#resources.entries()) {
      const failure = isOvertaken() ? "overtaken by a stop" : await this.#startOne(resource, epoch, deadline)
      if (failure === undefined) continue
      const reason = `start of ${resource.config.name}: ${failure}`
      const left = await this.#takeDown(this.#resources.slice(0, index + 1))
      return left === undefined ? reason : `not-stopped: ${reason}; ${left}`
    }
    this.#activity = "running"
    this.#note("running")
    this.#watch()
    return undefined
  }

  /** A later resource may begin as long as the lease goes on, whatever the deadline was when the first one began. */
  async #startOne(resource: Resource, epoch: string, deadline: Instant): Promise<string | undefined> {
    const lease = readLease(this.#options.runtimeDirectory, this.name)
    const renewed = lease?.epoch === epoch ? lease.deadline : undefined
    const action = resource.start(epoch, latest(renewed, deadline) ?? deadline)
    this.#starting = action
    const failure = await action.failure
    this.#starting = undefined
    return failure
  }

  /** Stops in reverse; goes on after a failure, to stop as much as can be. Says what could not be stopped. */
  async #takeDown(resources: readonly Resource[]): Promise<string | undefined> {
    this.#unwatch()
    this.#activity = "stopping"
    this.#note("stopping")
    const failures: string[] = []
    for (const resource of resources.toReversed()) {
      const failure = await resource.stop(this.#epoch).failure
      if (failure !== undefined) failures.push(`stop of ${resource.config.name}: ${failure}`)
    }
    // Even one that ends now has outlived the stops above: they are done once more.
    for (const { action, resource } of await this.#leftBehind())
      failures.push(`a ${action} of ${resource} outlived its end`)
    if (failures.length === 0) {
      this.#markStopped()
      return undefined
    }
    this.#activity = "unknown"
    return failures.join("; ")
  }

  #leftBehind(): Promise<readonly Leftover[]> {
    return endLeftoversOf(this.name, operationsDirectory(this.#options.runtimeDirectory))
  }

  /** Unwritten, the next control process finds less than it could, and asks the monitors. Only a start must not go on. */
  #note(phase: ActivationPhase): string | undefined {
    return writeActivation(this.#options.runtimeDirectory, this.name, { epoch: this.#epoch, phase })
  }

  #markStopped(): void {
    this.#activity = "stopped"
    removeActivation(this.#options.runtimeDirectory, this.name)
    this.#watch()
  }

  #watch(): void {
    for (const resource of this.#resources) this.#lookLater(resource)
  }

  #unwatch(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
    for (const look of this.#looks) look.cancel()
    this.#looks.clear()
  }

  #lookLater(resource: Resource): void {
    const { monitorInterval } = resource.config
    const least = this.#options.stoppedIntervalMin ?? stoppedIntervalMin
    const interval =
      this.#activity === "stopped" ? Math.max(stoppedShare * monitorInterval, least) : monitorInterval
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      void this.#look(resource)
    }, interval)
    this.#timers.add(timer)
  }

  async #look(resource: Resource): Promise<void> {
    const look = resource.monitor(this.#epoch)
    this.#looks.add(look)
    const finding = await look.finding
    // A look that was taken back says nothing.
    if (!this.#looks.delete(look)) return
    // What was found is said again until it is stopped: nobody may have acted on it.
    this.#lookLater(resource)
    if (this.#activity === "stopped") {
      if (finding.kind === "running") this.#options.emit({ kind: "service-found", service: this.name })
      return
    }
    if (finding.kind === "running") return
    const reason = finding.kind === "stopped" ? "not running" : finding.reason
    this.#options.emit({
      kind: "service-died",
      service: this.name,
      resource: resource.config.name,
      reason: `${resource.config.name}: ${reason}`,
    })
  }

  #found(state: FoundService["state"], reason?: string): FoundService {
    return { service: this.name, state, epoch: undefined, reason }
  }

  #describe(findings: readonly Finding[]): string {
    const words = findings.map((finding, index) => {
      const name = this.#resources[index]?.config.name ?? ""
      return `${name}: ${finding.kind === "failed" ? finding.reason : finding.kind}`
    })
    return words.join("; ")
  }
}
