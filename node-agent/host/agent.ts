/**
 * The real-time process: wires the core to sockets, disk and the control process, and runs it. Decides nothing: what
 * happens becomes an event, what the core answers is carried out.
 */

import { randomBytes } from "node:crypto"
import { never } from "../../protocol/assert.ts"
import type { ClusterConfig, ServiceConfig } from "../../protocol/cluster.ts"
import { after, earliest, type Instant, millis, type NodeId } from "../../protocol/units.ts"
import type { LogLevel, NodeEffect } from "../core/effects.ts"
import type { LinkId, NodeEvent } from "../core/events.ts"
import { nextDeadline, step } from "../core/node.ts"
import { createNode } from "../core/start.ts"
import type { NodeState } from "../core/state.ts"
import { statusOf } from "../core/status.ts"
import { monotonicNow, wallNow } from "./clock.ts"
import { readDocument } from "./configuration-document.ts"
import { replaceConfigFile } from "./configuration-file.ts"
import { isLogged, writeLogLine } from "./control/log-writer.ts"
import type { HealthSample, HostStatus, LogLine } from "./control/messages.ts"
import { ControlLink } from "./control-link.ts"
import { ownProgram, spawnControl } from "./control-process.ts"
import { createCryptography, type RingKey } from "./cryptography.ts"
import { FlightFiles } from "./flight-files.ts"
import { FlightRecorder } from "./flight-recorder.ts"
import { Gate } from "./gate.ts"
import { closeLeases, createRuntimeDirectory, LeaseFiles } from "./lease-file.ts"
import type { Native } from "./native.ts"
import type { RealtimeReport } from "./realtime.ts"
import { RunLoop } from "./run-loop.ts"
import { type StateLoad, StateWriter } from "./state-file.ts"
import { machineClocks, SuspendWatch } from "./suspend-watch.ts"
import { readBootId, Tracer } from "./trace.ts"
import { Udp } from "./udp.ts"
import { Watchdog } from "./watchdog.ts"

export interface AgentOptions {
  /** The active one: of the record, if a live change left one there, otherwise of the file. */
  readonly config: ClusterConfig
  readonly configFile: string
  readonly self: NodeId
  readonly stateDirectory: string
  readonly runtimeDirectory: string
  readonly nodeKeyFile: string
  /** `undefined`: this node does not page. */
  readonly alertsFile: string | undefined
  /** Programs to run when something changes. */
  readonly hooks: readonly string[]
  /** The active one first. */
  readonly ringKeys: readonly RingKey[]
  readonly logLevel: LogLevel
  readonly traceFile: string | undefined
  readonly state: Extract<StateLoad, { kind: "ok" | "missing" | "torn" }>
  readonly realtime: RealtimeReport
  /** `undefined`: the C library cannot be called. */
  readonly native: Native | undefined
  readonly bindToDevice: boolean
  /** Held by this process and, through it, by the control process. */
  readonly lockDescriptor: number
}

/**
 * The host's own work, a health sample, a snapshot and a ping, is done every second, all at once: when the loop is awake
 * for the ring's sake, and after `beatPatience` in any case.
 */
const beatInterval = millis(1_000)
const beatPatience = millis(100)
/** Snapshots follow changes after at most so long. */
const statusSoon = millis(200)
/** What the control process may take to stop services that the core left running, and to end. */
const controlPatience = millis(10_000)
/**
 * After this long, or at the second signal, an orderly end has failed. Before the core's own 30 s are over: who ends like
 * this leaves the control process all the time that its stops take.
 */
const stopPatience = 29_900

/** Exit statuses of the agent, beside 0. */
const exitBroken = 70
const exitImpatient = 75

const unknownHealth: HealthSample = {
  cpuLoadPercent: 0,
  memoryPressurePercent: 0,
  clockDeviationMicros: 0,
  clockSource: "none",
}

/** Runs until the core says `exit`; resolves with the reason. A broken invariant ends the process at once. */
export function runAgent(options: AgentOptions): Promise<string> {
  return new Promise((resolve) => {
    const agent = new Agent(options, resolve)
    agent.start()
  })
}

class Agent {
  readonly #options: AgentOptions
  readonly #ended: (reason: string) => void
  readonly #node: NodeState
  readonly #loop: RunLoop
  readonly #control: ControlLink
  readonly #udp: Udp
  readonly #state: StateWriter
  readonly #leases: LeaseFiles
  readonly #suspendWatch: SuspendWatch
  readonly #recorder = new FlightRecorder()
  readonly #flights: FlightFiles
  readonly #tracer = new Tracer()
  readonly #gate: Gate
  readonly #watchdog: Watchdog | undefined
  readonly #firstEffects: readonly NodeEffect[]
  #health = unknownHealth
  #nextBeat: Instant
  #statusDue: Instant | undefined
  #latenessWorst = 0
  #latenessLast = 0
  #stopping = false
  #feedDue = false
  #disarmed: Promise<void> | undefined

  constructor(options: AgentOptions, ended: (reason: string) => void) {
    this.#options = options
    this.#ended = ended
    const now = monotonicNow()
    this.#suspendWatch = new SuspendWatch(machineClocks(options.native))
    this.#nextBeat = now
    createRuntimeDirectory(options.runtimeDirectory)
    closeLeases(
      options.runtimeDirectory,
      this.#services().map(({ name }) => name),
    )
    this.#leases = new LeaseFiles(options.runtimeDirectory, (service, reason) =>
      this.#log("error", "lease-file-failed", { service, reason }),
    )
    this.#gate = this.#createGate()
    this.#state = new StateWriter({
      directory: options.stateDirectory,
      persisted: (write) => this.#deliver({ kind: "persisted", write }),
      failed: (write, reason) => {
        this.#log("error", "state-file-failed", { write, reason })
        this.#deliver({ kind: "persist-failed", write, reason })
      },
    })
    this.#control = this.#createControl()
    this.#udp = new Udp({
      config: options.config,
      self: options.self,
      native: options.native,
      bindToDevice: options.bindToDevice,
      now: monotonicNow,
      received: (link, bytes) => this.#received(link, bytes),
      log: (level, event, fields) => this.#log(level, event, fields),
    })
    const { node, effects } = createNode(
      {
        config: options.config,
        self: options.self,
        durable: options.state.kind === "ok" ? options.state.state : undefined,
        cryptography: this.#recorder.listening(createCryptography(options.ringKeys)),
        ringKeys: options.ringKeys.map((key) => key.id),
        sessionNonce: randomBytes(16),
        readConfiguration: (document) => readDocument(document)?.config,
        seed: randomBytes(4).readUInt32LE(),
        gate: this.#gate.state.kind,
        wall: wallNow(),
      },
      monotonicNow(),
    )
    this.#node = node
    this.#recorder.begin(node)
    this.#flights = new FlightFiles(options.stateDirectory, this.#recorder, {
      cluster: options.config.name,
      node: node.self.name,
    })
    this.#watchdog = this.#createWatchdog()
    this.#firstEffects = effects
    this.#loop = this.#createLoop()
  }

  start(): void {
    const { realtime, state, self, config } = this.#options
    this.#log("info", "agent-starting", { cluster: config.name, node: self, pid: process.pid })
    for (const { item, asked, got, reason } of realtime.items) {
      this.#log(reason === "" ? "info" : "warn", "real-time", { item, asked, got, reason })
    }
    const gate = this.#gate.state
    if (gate.kind === "missing") this.#log("error", "gate-missing", { reason: gate.reason })
    else if (gate.kind === "ready") this.#log("info", "gate-ready", { owned: gate.owned })
    if (state.kind === "missing") this.#log("warn", "state-missing", { meaning: "amnesia" })
    if (state.kind === "torn") this.#log("error", "state-torn", { meaning: "amnesia", reason: state.reason })
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => this.#stopRequested(signal))
    process.on("uncaughtException", (cause) => this.#broken(cause))
    process.on("unhandledRejection", (cause) => this.#broken(cause))
    this.#control.start()
    if (this.#options.traceFile !== undefined)
      this.#trace([this.#tracer.startLine(this.#node, readBootId(), wallNow(), monotonicNow())])
    this.#loop.start(this.#firstEffects)
  }

  #createWatchdog(): Watchdog | undefined {
    const declared = this.#node.self.watchdog
    if (declared === undefined) return undefined
    return new Watchdog({
      native: this.#options.native,
      device: declared.device,
      timeoutSeconds: declared.timeout / 1000,
      armed: (software) => this.#deliver({ kind: "watchdog-armed", software }),
      failed: (reason) => this.#deliver({ kind: "watchdog-failed", reason }),
    })
  }

  #createControl(): ControlLink {
    const {
      config,
      self,
      runtimeDirectory,
      nodeKeyFile,
      alertsFile,
      hooks,
      logLevel,
      traceFile,
      lockDescriptor,
      realtime,
    } = this.#options
    return new ControlLink({
      start: () => realtime.forChildren(() => spawnControl(ownProgram(), lockDescriptor)),
      setup: { config, self, runtimeDirectory, nodeKeyFile, alertsFile, hooks, logLevel, traceFile },
      now: monotonicNow,
      event: (event) => this.#deliver(event),
      keepRecord: (request) => void this.#answerWithRecord(request),
      command: (request, command) => this.#deliver({ kind: "operator-commanded", request, command }),
      health: (sample) => {
        this.#health = sample
      },
      stderr: (line) => writeLogLine(self, line),
      log: (level, event, fields) => this.#log(level, event, fields),
    })
  }

  #createLoop(): RunLoop {
    return new RunLoop({
      machine: {
        step: (event, now) => step(this.#node, event, now),
        nextDeadline: () => nextDeadline(this.#node),
      },
      now: monotonicNow,
      before: () => this.#suspended(),
      perform: (effect) => this.#perform(effect),
      completed: (event, effects, at) => this.#completed(event, effects, at),
      housekeeping: {
        from: () => earliest(this.#nextBeat, this.#statusDue) ?? this.#nextBeat,
        next: () => earliest(after(this.#nextBeat, beatPatience), this.#statusDue) ?? this.#nextBeat,
        run: (now) => this.#keepHouse(now),
      },
      failed: (cause) => this.#broken(cause),
    })
  }

  #suspended(): NodeEvent | undefined {
    const slept = this.#suspendWatch.look()
    return slept === undefined ? undefined : { kind: "suspended", slept }
  }

  #deliver(event: NodeEvent): void {
    this.#loop.deliver(event)
  }

  #received(link: LinkId, bytes: Uint8Array): boolean {
    const { dropped } = this.#node
    this.#deliver({ kind: "datagram-received", link, bytes })
    return this.#node.dropped === dropped
  }

  #perform(effect: NodeEffect): void {
    switch (effect.kind) {
      case "send":
        this.#udp.send(effect.to, effect.link, effect.bytes)
        break
      case "persist":
        this.#state.write(effect.write, effect.state)
        break
      case "write-lease":
        this.#leases.write(effect.service, effect)
        this.#gate.set(effect.service, effect.deadline)
        break
      case "post-summary":
      case "start-service":
      case "stop-service":
      case "fence-node":
        this.#control.effect(effect)
        break
      case "arm-watchdog":
        this.#watchdog?.arm()
        break
      case "feed-watchdog":
        this.#feedDue = true
        break
      case "disarm-watchdog":
        this.#disarmed = this.#watchdog?.disarm()
        break
      case "answer-operator":
        this.#control.answer({ kind: "answer", request: effect.request, result: effect.result })
        break
      case "keep-record":
        void this.#keepRecord(effect.reason)
        break
      case "log":
        this.#log(effect.level, effect.event, effect.fields)
        break
      case "reconfigure":
        this.#reconfigure(effect.config, effect.document)
        break
      case "exit":
        void this.#exit(effect.reason)
        break
      default:
        never(effect)
    }
  }

  #reconfigure(config: ClusterConfig, document: string): void {
    this.#udp.configure(config)
    this.#control.reconfigure(config)
    const reason = replaceConfigFile(this.#options.configFile, document)
    if (reason !== undefined)
      this.#log("error", "configuration-file-not-written", { file: this.#options.configFile, reason })
  }

  #completed(event: NodeEvent, effects: readonly NodeEffect[], at: Instant): void {
    this.#gate.write()
    this.#recorder.record(this.#node, event, effects, at)
    this.#feedIfDue()
    if (effects.some(isNotable)) this.#statusSoon(at)
    if (this.#options.traceFile === undefined) return
    this.#trace(this.#tracer.stepLines(this.#node, event, effects, at))
  }

  #trace(lines: readonly string[]): void {
    for (const line of lines) this.#control.report({ kind: "trace", line })
  }

  async #keepRecord(reason: string): Promise<void> {
    // After the step that asked for it, which is then in it.
    await Promise.resolve()
    try {
      const path = await this.#flights.keepAfter(reason)
      if (path !== undefined) this.#log("info", "record-kept", { path, reason })
    } catch (cause) {
      this.#log("error", "record-failed", { reason: cause instanceof Error ? cause.message : String(cause) })
    }
  }

  async #answerWithRecord(request: number): Promise<void> {
    try {
      const path = await this.#flights.keep("asked")
      this.#control.answer({ kind: "answer", request, result: { kind: "done", message: path } })
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause)
      this.#control.answer({
        kind: "answer",
        request,
        result: { kind: "refused", reason: "not-written", message },
      })
    }
  }

  /** The last step of a cycle that was completed. */
  #feedIfDue(): void {
    if (!this.#feedDue) return
    this.#feedDue = false
    this.#watchdog?.feed()
  }

  #keepHouse(now: Instant): void {
    if (now >= this.#nextBeat) {
      this.#nextBeat = after(now, beatInterval)
      this.#control.supervise(now)
      this.#sampleHealth()
      this.#reportStatus(now)
    } else if (this.#statusDue !== undefined && now >= this.#statusDue) this.#reportStatus(now)
  }

  #sampleHealth(): void {
    this.#gate.check()
    const lateness = this.#loop.takeWorstLateness()
    this.#latenessLast = lateness
    this.#latenessWorst = Math.max(this.#latenessWorst, lateness)
    this.#deliver({ kind: "health-sampled", ...this.#health, lateness, wall: wallNow() })
  }

  #statusSoon(at: Instant): void {
    this.#statusDue ??= after(at, statusSoon)
  }

  #reportStatus(now: Instant): void {
    this.#statusDue = undefined
    this.#control.report({
      kind: "status",
      at: now,
      status: statusOf(this.#node, now),
      host: this.#hostStatus(),
    })
  }

  #hostStatus(): HostStatus {
    const { sendErrors, oversized, foreign, shed, reopened } = this.#udp.counters
    return {
      pid: process.pid,
      scheduling: this.#options.realtime.got,
      realtime: this.#options.realtime.items,
      lateness_worst_ms: rounded(this.#latenessWorst),
      lateness_ms: rounded(this.#latenessLast),
      wake_ups: this.#loop.wakeUps,
      send_errors: sendErrors,
      oversized_datagrams: oversized,
      foreign_datagrams: foreign,
      shed_datagrams: shed,
      links_reopened: reopened,
      sockets: this.#udp.sockets,
      watchdog: this.#watchdog?.report,
      dropped_lines: this.#control.droppedLines,
      control_starts: this.#control.starts,
      gate: this.#gate.state,
    }
  }

  #log(level: LogLevel, event: string, fields: LogLine["fields"]): void {
    if (!isLogged(level, this.#options.logLevel)) return
    this.#control.report({ kind: "log", line: { at: wallNow(), level, event, fields } })
  }

  /** The first signal asks; the second, or a stop that does not come to an end, ends. */
  #stopRequested(signal: string): void {
    if (this.#stopping) process.exit(exitImpatient)
    this.#stopping = true
    this.#log("info", "stop-requested", { signal })
    setTimeout(() => process.exit(exitImpatient), stopPatience).unref()
    this.#deliver({ kind: "stop-requested" })
  }

  async #exit(reason: string): Promise<void> {
    this.#log("info", "agent-ending", { reason })
    this.#loop.stop()
    this.#udp.close()
    // The last picture: hooks are told that everything has ended.
    this.#reportStatus(monotonicNow())
    await this.#disarmed
    await this.#control.finish(controlPatience)
    this.#gate.close()
    this.#ended(reason)
  }

  /** We are wrong, or so it seems: end now. Rights end by their deadlines, the control process stops the services. */
  #broken(cause: unknown): never {
    const reason = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
    writeLogLine(this.#options.self, {
      at: wallNow(),
      level: "error",
      event: "agent-broken",
      fields: { reason },
    })
    try {
      this.#flights.keepAtOnce("broken")
    } catch {
      // The disk, or the recorder itself, is what is broken: the reason was logged above.
    }
    process.exit(exitBroken)
  }

  #createGate(): Gate {
    const services = this.#services().map(({ name, resources }) => {
      const addresses = resources.flatMap((resource) => (resource.kind === "ip" ? [resource.address] : []))
      return [name, addresses] as const
    })
    return new Gate({
      addresses: new Map(services.filter(([, addresses]) => addresses.length > 0)),
      native: this.#options.native ?? "no functions of the C library",
      changed: (missing) => this.#deliver({ kind: "gate-changed", missing }),
    })
  }

  #services(): readonly ServiceConfig[] {
    const { config, self } = this.#options
    return config.services.filter(({ nodes }) => nodes.includes(self))
  }
}

/** Effects that change what status shows; the rest is the ring's steady beat. */
function isNotable(effect: NodeEffect): boolean {
  return effect.kind === "log" || effect.kind === "start-service" || effect.kind === "stop-service"
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10
}
