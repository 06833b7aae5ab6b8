/**
 * The control process: witness, resources, health, log and local API (SPEC H2). It may be slow, wedged or killed
 * without harm to the ring. When the real-time process is gone, however it went, its rights are going too: control
 * stops every service that is not known to be stopped, and ends.
 */
import { Socket } from "node:net"
import { getPriority, setPriority } from "node:os"
import { assert } from "../../../protocol/assert.ts"
import type { NodeConfig, ServiceConfig } from "../../../protocol/cluster.ts"
import type { FoundService } from "../../core/events.ts"
import { monotonicNow } from "../clock.ts"
import { readNodeKey } from "../key-file.ts"
import { leaseFilePath } from "../lease-file.ts"
import { DirectPages } from "./direct-pages.ts"
import { FenceDevices } from "./fence/fence-devices.ts"
import { healthSampler } from "./health-sampler.ts"
import { Hooks } from "./hooks/hooks.ts"
import { endLeftovers, type Leftover } from "./leftovers.ts"
import { LineReader } from "./line-reader.ts"
import { apiSocketPath, LocalApi } from "./local-api.ts"
import { createLog, type Log, writeLogLine } from "./log-writer.ts"
import type { ControlEffect, ControlSetup, FromControl, ToControl } from "./messages.ts"
import { operationsDirectory } from "./operation.ts"
import { ServiceRunner } from "./service.ts"
import { TraceFile } from "./trace-file.ts"
import { WitnessClient } from "./witness-client.ts"

/** Runs until the socket on `descriptor` closes, then until the services are stopped; ends the process. */
export function runControl(descriptor: number): void {
  takeNormalPriority()
  // The real-time process decides when to end; a signal to the whole group (Ctrl-C, a service manager) is its business.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined)
  const socket = new Socket({ fd: descriptor, readable: true, writable: true, allowHalfOpen: true })
  const send = (message: FromControl): void => {
    if (socket.writable) socket.write(`${JSON.stringify(message)}\n`)
  }
  let control: Control | undefined
  const reader = new LineReader<ToControl>((message) => {
    if (message.kind === "setup") {
      control = new Control(message.setup, send)
      void control.connect()
    } else control?.received(message)
  })
  const finish = once(() => {
    void (control?.shutDown() ?? Promise.resolve()).then(() => process.exit(0))
  })
  socket.on("data", (chunk: Buffer) => reader.push(chunk))
  socket.on("end", finish)
  socket.on("close", finish)
  socket.on("error", finish)
}

class Control {
  readonly #setup: ControlSetup
  readonly #node: NodeConfig
  readonly #send: (message: FromControl) => void
  readonly #log: Log
  readonly #trace: TraceFile | undefined
  readonly #witness: WitnessClient
  readonly #services: ReadonlyMap<string, ServiceRunner>
  readonly #fences: FenceDevices
  readonly #api: LocalApi
  /** `undefined`: this node does not page. */
  readonly #pages: DirectPages | undefined
  readonly #hooks: Hooks
  readonly #nextSample = healthSampler(monotonicNow)
  readonly #leftovers: Promise<readonly Leftover[]>

  constructor(setup: ControlSetup, send: (message: FromControl) => void) {
    const node = setup.config.nodes.find(({ id }) => id === setup.self)
    assert(node !== undefined, "the agent is a node of its configuration")
    this.#setup = setup
    this.#node = node
    this.#send = send
    this.#log = createLog(setup.self, setup.logLevel)
    this.#trace =
      setup.traceFile === undefined
        ? undefined
        : new TraceFile(setup.traceFile, (reason) => this.#log("error", "trace-failed", { reason }))
    this.#witness = this.#createWitness()
    const { config, alertsFile } = setup
    this.#pages =
      alertsFile === undefined ? undefined : new DirectPages({ config, file: alertsFile, log: this.#log })
    this.#hooks = new Hooks({
      programs: setup.hooks,
      environment: {
        QUORUMBEAT_CLUSTER: config.name,
        QUORUMBEAT_SITE: node.site,
        QUORUMBEAT_NODE: node.name,
      },
      log: this.#log,
    })
    this.#services = new Map(
      setup.config.services
        .filter((service) => service.nodes.includes(setup.self))
        .map((service) => [service.name, this.#createService(service)]),
    )
    this.#fences = new FenceDevices({
      devices: setup.config.fences ?? [],
      self: setup.self,
      log: this.#log,
      emit: (event) => send({ kind: "event", event }),
    })
    this.#api = new LocalApi(
      (request, command) => send({ kind: "command", request, command }),
      (request) => send({ kind: "keep-record", request }),
    )
    this.#api.configuration = setup.config
    this.#leftovers = endLeftovers(operationsDirectory(setup.runtimeDirectory))
  }

  /** Says what runs, after every start and stop that a former control process left behind has ended. */
  async connect(): Promise<void> {
    try {
      await this.#api.listen(apiSocketPath(this.#setup.runtimeDirectory))
    } catch (cause) {
      this.#log("error", "local-api-failed", { reason: String(cause) })
    }
    const leftovers = await this.#leftovers
    for (const { service, resource, action, ended } of leftovers) {
      this.#log("warn", "leftover-ended", { service, resource, action, ended })
    }
    const found = await Promise.all(
      this.#setup.config.services.map((service) => this.#discover(service, leftovers)),
    )
    this.#send({ kind: "event", event: { kind: "control-connected", found } })
    this.#fences.start()
  }

  received(message: Exclude<ToControl, { kind: "setup" }>): void {
    switch (message.kind) {
      case "effect":
        this.#perform(message.effect)
        break
      case "reconfigure":
        // Services, sites and the witness are the same: what a live change may change is the business of the core.
        this.#api.configuration = message.config
        break
      case "answer":
        this.#api.answered(message.request, message.result)
        break
      case "ping":
        this.#send({ kind: "pong", id: message.id })
        this.#sampleHealth()
        break
      case "log":
        writeLogLine(this.#setup.self, message.line)
        break
      case "status":
        this.#api.status = message
        this.#pages?.see(message.status)
        this.#hooks.see(message.status)
        break
      case "trace":
        this.#trace?.append(message.line)
        break
    }
  }

  #sampleHealth(): void {
    const sample = this.#nextSample()
    if (sample !== undefined) this.#send({ kind: "health", sample })
  }

  async shutDown(): Promise<void> {
    this.#api.close()
    this.#fences.close()
    // A start that a former control process left would come up after the stop.
    await this.#leftovers
    await Promise.all([...this.#services.values()].map((service) => service.shutDown()))
    this.#witness.close()
    this.#pages?.close()
    await this.#hooks.close()
    await this.#trace?.close()
  }

  async #discover(service: ServiceConfig, leftovers: readonly Leftover[]): Promise<FoundService> {
    const left = leftovers.filter((each) => each.service === service.name)
    const found = await this.#services.get(service.name)?.discover(left.length > 0)
    if (found === undefined) {
      return { service: service.name, state: "stopped", epoch: undefined, reason: "not for this node" }
    }
    const alive = left.find(({ ended }) => !ended)
    if (alive === undefined) return found
    return { ...found, state: "unknown", reason: `a ${alive.action} of ${alive.resource} does not end` }
  }

  #perform(effect: ControlEffect): void {
    switch (effect.kind) {
      case "start-service":
        this.#services.get(effect.service)?.start(effect.operation, effect.epoch, effect.deadline)
        break
      case "stop-service":
        this.#services.get(effect.service)?.stop(effect.operation)
        break
      case "fence-node":
        void this.#fences.fence(effect.operation, effect.node)
        break
      case "post-summary":
        void this.#witness.post(effect)
        break
    }
  }

  #createWitness(): WitnessClient {
    const key = readNodeKey(this.#setup.nodeKeyFile)
    if (key.kind === "error") this.#log("error", "node-key-unusable", { reason: key.error })
    return new WitnessClient({
      config: this.#setup.config,
      self: this.#node,
      key: key.kind === "ok" ? key.value : undefined,
      log: this.#log,
      emit: (event) => this.#send({ kind: "event", event }),
    })
  }

  #createService(service: ServiceConfig): ServiceRunner {
    const { config, runtimeDirectory } = this.#setup
    return new ServiceRunner({
      service,
      runtimeDirectory,
      environment: {
        QUORUMBEAT_CLUSTER: config.name,
        QUORUMBEAT_NODE: this.#node.name,
        QUORUMBEAT_SITE: this.#node.site,
        QUORUMBEAT_SERVICE: service.name,
        QUORUMBEAT_LEASE_FILE: leaseFilePath(runtimeDirectory, service.name),
      },
      printed: (name, resource, text) => {
        this.#log("info", "resource-output", { service: name, resource, text })
      },
      emit: (event) => this.#send({ kind: "event", event }),
    })
  }
}

/** nice -20 of the real-time process is inherited, by the services too; SCHED_FIFO is not (`--reset-on-fork`). */
function takeNormalPriority(): void {
  if (getPriority() < 0) setPriority(0)
}

function once(work: () => void): () => void {
  let done = false
  return () => {
    if (done) return
    done = true
    work()
  }
}
