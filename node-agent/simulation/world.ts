/**
 * A small world in virtual time for tests of the core: real cores, real codecs and sealing, the real arbiter; only the
 * network, the disk, the witness's way and the processes are made up. One seed decides everything. An oracle in true
 * time (`oracle.ts`) checks after each step what no fault may break.
 */
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { millis, type NodeId, nodeId, serviceName, wallTime } from "../../protocol/units.ts"
import type { ArbiterState } from "../../worker/arbiter.ts"
import type { NodeEffect } from "../core/effects.ts"
import type { NodeEvent, OperatorCommand } from "../core/events.ts"
import { nextDeadline, step } from "../core/node.ts"
import { createRandom, draw, type Random } from "../core/random.ts"
import type { NodeState } from "../core/state.ts"
import { Agenda } from "./agenda.ts"
import { persist } from "./disk.ts"
import { WorldFences } from "./fences.ts"
import { createHost, foundServices, type Host, localTime, trueTime } from "./machine.ts"
import { Network } from "./network.ts"
import { type WorldOptions, worldDefaults } from "./options.ts"
import { Oracle } from "./oracle.ts"
import { startProcess, wallStart } from "./process.ts"
import { isActive, parted, WorldServices } from "./services.ts"
import { Standstills } from "./standstill.ts"
import type { Surroundings } from "./surroundings.ts"
import type { Answer, LogLine } from "./told.ts"
import { traceLine } from "./trace.ts"
import { Uplink } from "./uplink.ts"
import { WorldWatchdogs } from "./watchdog.ts"
import { WorldWitness } from "./witness.ts"

export type { WorldOptions } from "./options.ts"
export { compareEpochs } from "./oracle.ts"
export type { Answer, LogLine } from "./told.ts"

export class World {
  readonly config: ClusterConfig
  readonly hosts = new Map<NodeId, Host>()
  readonly witness: WorldWitness
  readonly services: WorldServices
  readonly watchdogs: WorldWatchdogs
  readonly fences: WorldFences
  readonly log: LogLine[] = []
  readonly answers: Answer[] = []
  now = 0
  /** Steps of all nodes together. */
  steps = 0
  /** Wake-ups of one node within a millisecond of each other, in a row, before the world calls it a spin. */
  wakesMax = 200
  readonly network: Network
  readonly uplink: Uplink
  readonly #options: Required<WorldOptions>
  readonly #random: Random
  readonly #oracle: Oracle
  readonly #around: Surroundings
  readonly #standstills: Standstills
  readonly #agenda = new Agenda()
  #nextRequest = 1

  constructor(config: ClusterConfig, options: WorldOptions = {}) {
    this.config = config
    this.#options = { ...worldDefaults, rateError: config.timings.rho, ...options }
    this.#random = createRandom(this.#options.seed)
    this.witness = new WorldWitness(
      config,
      (delay, run) => this.after(delay, run),
      () => this.now,
    )
    for (const { id } of config.nodes) this.install(config, id)
    this.#oracle = new Oracle(this.hosts, () => this.witness.state)
    this.witness.forgot = () => this.#oracle.acknowledged.forgotten()
    const around: Surroundings = {
      now: () => this.now,
      at: (delay, run) => this.after(delay, run),
      after: (host, delay, run) => this.#after(host, delay, run),
      tell: (host, event) => this.event(host.id, event),
      varied: (delay) => this.#varied(delay),
    }
    this.#around = around
    this.#standstills = new Standstills(around, this.#oracle, this.hosts, (host) => this.#wake(host))
    this.watchdogs = new WorldWatchdogs(around, (host) => this.powerOff(host.id))
    this.fences = new WorldFences(around, this.#options.fenceDelay, (id) => this.powerOff(id))
    this.services = new WorldServices(around, this.#oracle, () => this.#varied(this.#options.serviceDelay))
    this.network = new Network(this.#options, this.#random, {
      after: (delay, run) => this.after(delay, run),
      host: (id) => this.hosts.get(nodeId(id)),
      arrive: (to, link, bytes) => this.event(to.id, { kind: "datagram-received", link, bytes }),
    })
    this.uplink = new Uplink({
      cuts: this.network.cuts,
      witness: this.witness,
      oracle: this.#oracle,
      options: this.#options,
      random: this.#random,
      around,
    })
  }

  get cuts(): Set<string> {
    return this.network.cuts
  }

  /** Datagrams sent so far. */
  get sent(): number {
    return this.network.sent
  }

  /** What a link of a directed pair (`1>2/0`) takes longer, in ms. */
  get slowed(): Map<string, () => number> {
    return this.network.slowed
  }

  /** Share of datagrams lost on a link of a directed pair. */
  get lossy(): Map<string, number> {
    return this.network.lossy
  }

  get loss(): number {
    return this.network.faults.loss
  }

  set loss(share: number) {
    this.network.faults.loss = share
  }

  /** A machine with this file and a fresh record. */
  install(config: ClusterConfig, id: NodeId): void {
    const host = createHost(config, id, this.#options.rateError, this.#random)
    // What a guest of the site that stood still was left with, its views have, whoever joins them.
    const siblings = [...this.hosts.values()].filter(({ site }) => site === host.site)
    host.exposedUntil = Math.max(0, ...siblings.map(({ exposedUntil }) => exposedUntil))
    this.hosts.set(id, host)
  }

  get violations(): readonly string[] {
    return this.#oracle.violations
  }

  /** Commands acknowledged to operators. */
  get acknowledged(): number {
    return this.#oracle.acknowledged.count
  }

  /** The newest configuration that some ring has made a fact. */
  get newest(): ClusterConfig {
    const active = [...this.hosts.values()].filter(({ disk }) => disk?.configuration?.document != null)
    return active.reduce(
      (newest, { config }) => (config.version > newest.version ? config : newest),
      this.config,
    )
  }

  get witnessUp(): boolean {
    return this.witness.up
  }

  set witnessUp(up: boolean) {
    this.witness.up = up
  }

  get arbiter(): ArbiterState {
    return this.witness.state
  }

  host(id: number): Host {
    const host = this.hosts.get(nodeId(id))
    if (host === undefined) throw new Error(`no node ${id}`)
    return host
  }

  core(id: number): NodeState {
    const { node } = this.host(id)
    if (node === undefined) throw new Error(`node ${id} is not running`)
    return node
  }

  /** All nodes, or the named ones. */
  start(...ids: readonly number[]): void {
    for (const id of ids.length > 0 ? ids : this.hosts.keys()) this.#startOne(this.host(id))
  }

  #startOne(host: Host): void {
    const process = startProcess(host, this.#options.readConfiguration, this.#random, this.now)
    if (process === undefined) return
    const { node, effects } = process
    host.node = node
    // It closes the files that a former one left. A service that still runs is taken to use what it read before.
    for (const service of host.leases.keys()) if (!host.running.has(service)) host.leases.delete(service)
    this.#options.trace?.(traceLine(this.now, host.id, { kind: "started" }, effects))
    this.#carryOut(host, effects)
    this.#after(host, 20, () => {
      if (host.control) this.#controlConnects(host)
    })
    if (this.#options.healthEvery > 0) this.#sampleHealth(host)
  }

  #sampleHealth(host: Host): void {
    this.event(host.id, {
      kind: "health-sampled",
      cpuLoadPercent: 10,
      memoryPressurePercent: 5,
      clockDeviationMicros: Math.round(1000 * host.wallOffset),
      clockSource: "ntp",
      lateness: millis(0),
      wall: wallTime(wallStart + this.now + host.wallOffset),
    })
    this.#after(host, this.#options.healthEvery, () => this.#sampleHealth(host))
  }

  /** kill -9 of the agent: its services run on until their lease files end them. */
  kill(...ids: readonly number[]): void {
    for (const id of ids) this.#end(this.host(id))
  }

  /** The machine is switched off: everything on it is gone. */
  powerOff(...ids: readonly number[]): void {
    this.kill(...ids)
    for (const id of ids) {
      this.host(id).running.clear()
      this.host(id).leases.clear()
      this.watchdogs.off(this.host(id))
    }
  }

  #end(host: Host): void {
    host.node = undefined
    host.life += 1
    host.diskFreeAt = this.now
    this.watchdogs.closed(host)
    this.services.ended(host)
    this.#oracle.ended(host, false)
  }

  /** Its state file is lost or torn: the next start does not remember anything. */
  loseDisk(id: number): void {
    this.host(id).disk = undefined
    this.#oracle.ended(this.host(id), true)
  }

  /** SIGSTOP and SIGCONT: time goes on, nothing is done. */
  freeze(id: number): void {
    this.host(id).frozen = true
  }

  thaw(id: number): void {
    this.#standstills.thaw(this.host(id))
  }

  /** The whole machine stands still, its monotonic clock included. */
  suspend(id: number): void {
    this.#standstills.suspend(this.host(id))
  }

  resume(id: number): void {
    this.#standstills.resume(this.host(id))
  }

  /** A hypervisor lets the guest go on after `suspend`: nothing in it can tell. What was left of its rights is left still. */
  resumeUnaware(id: number): void {
    this.#standstills.resumeUnaware(this.host(id))
  }

  /** The process that starts and stops services ends; its operations under way end with it. */
  loseControl(id: number): void {
    this.services.loseControl(this.host(id))
  }

  connectControl(id: number): void {
    const host = this.host(id)
    host.control = true
    this.#controlConnects(host)
  }

  #controlConnects(host: Host): void {
    this.event(host.id, { kind: "control-connected", found: foundServices(host) })
  }

  setGate(id: number, gate: Host["gate"]): void {
    const host = this.host(id)
    if (host.gate === gate) return
    host.gate = gate
    this.event(host.id, { kind: "gate-changed", missing: gate === "ready" ? undefined : "told to be lost" })
  }

  /** A service ends by itself; the monitor finds out. */
  die(id: number, service: string): void {
    this.services.die(this.host(id), serviceName(service))
  }

  /** Somebody starts it there by hand; a look finds it. */
  startByHand(id: number, service: string): void {
    this.services.startByHand(this.host(id), serviceName(service))
  }

  /** Both directions between two nodes, two sites, or a site and `@witness`. */
  cut(a: string | number, b: string | number): void {
    this.cuts.add(`${a}>${b}`)
    this.cuts.add(`${b}>${a}`)
  }

  heal(): void {
    this.cuts.clear()
  }

  command(id: number, command: OperatorCommand): number {
    const request = this.#nextRequest++
    if (command.kind === "witness-accept") this.witness.accept()
    this.event(nodeId(id), { kind: "operator-commanded", request, command })
    return request
  }

  event(id: NodeId, event: NodeEvent): void {
    const host = this.host(id)
    if (host.frozen) this.#standstills.hold(host, event)
    else if (host.node !== undefined) {
      const effects = step(host.node, event, localTime(host, this.now))
      this.#options.trace?.(traceLine(this.now, host.id, event, effects))
      this.steps += 1
      this.#carryOut(host, effects)
    }
  }

  /** Runs for `duration` ms of true time. */
  run(duration: number): void {
    this.runUntil(() => false, duration)
  }

  /** Runs until `condition`; true if it came to hold within `limit` ms. */
  runUntil(condition: () => boolean, limit: number): boolean {
    const end = this.now + limit
    while (!condition()) {
      const waker = this.#nextToWake()
      const wakeAt = waker?.wakeAt ?? Number.POSITIVE_INFINITY
      const dueAt = this.#agenda.next
      const next = Math.min(wakeAt, dueAt)
      if (next > end || next === Number.POSITIVE_INFINITY) {
        this.now = end
        return condition()
      }
      this.now = Math.max(this.now, next)
      if (waker !== undefined && wakeAt < dueAt) this.#wake(waker)
      else this.#agenda.runNext()
    }
    return true
  }

  /** The first of the running nodes whose timer is due. */
  #nextToWake(): Host | undefined {
    let first: Host | undefined
    for (const host of this.hosts.values()) {
      const isRunning = host.node !== undefined && !host.frozen
      if (isRunning && host.wakeAt < (first?.wakeAt ?? Number.POSITIVE_INFINITY)) first = host
    }
    return first
  }

  #wake(host: Host): void {
    host.wakeAt = Number.POSITIVE_INFINITY
    host.wakes = this.now - host.lastWake < 1 ? host.wakes + 1 : 0
    host.lastWake = this.now
    if (host.wakes > this.wakesMax)
      throw new Error(`node ${host.id} asks to be woken again and again at ${this.now}`)
    this.event(host.id, { kind: "deadline-reached" })
  }

  #carryOut(host: Host, effects: readonly NodeEffect[]): void {
    this.#oracle.handled(host, this.now)
    if (host.stall > 0 && effects.some((effect) => effect.kind === "write-lease"))
      return this.#carryOutLate(host, effects)
    this.#carryOutNow(host, effects)
  }

  /** The process is stopped between its decision and what it does about it: all of that, or its lease files. */
  #carryOutLate(host: Host, effects: readonly NodeEffect[]): void {
    const { life, stall } = host
    const [early, late] = parted(effects, this.steps % 2 === 0)
    host.stall = 0
    for (const effect of early) this.#effect(host, effect)
    if (early.length > 0) this.#oracle.stepped(host, this.now)
    this.#standstills.interrupt(host, stall, () => host.life === life && this.#carryOutNow(host, late))
  }

  #carryOutNow(host: Host, effects: readonly NodeEffect[]): void {
    for (const effect of effects) this.#effect(host, effect)
    this.#oracle.stepped(host, this.now)
    // A timer is a little late and never early.
    const due = host.node === undefined ? undefined : nextDeadline(host.node)
    const at = due === undefined ? Number.POSITIVE_INFINITY : trueTime(host, due) + 0.2
    host.wakeAt = Number.isFinite(at) ? Math.max(this.now + 0.05, at) : Number.POSITIVE_INFINITY
  }

  #varied(delay: number, jitter = this.#options.jitter): number {
    return delay * (1 - jitter + 2 * jitter * draw(this.#random))
  }

  /** Calls `run` after `delay` ms of true time. */
  after(delay: number, run: () => void): void {
    this.#agenda.add(this.now + delay, run)
  }

  /** Dropped if the process has ended by then. */
  #after(host: Host, delay: number, run: () => void): void {
    const { life } = host
    this.after(delay, () => {
      if (host.life === life) run()
    })
  }

  #effect(host: Host, effect: NodeEffect): void {
    switch (effect.kind) {
      case "send":
        this.network.send(host, effect)
        break
      case "persist":
        persist(host, effect, this.#around, this.#options.diskDelay)
        break
      case "post-summary":
        this.uplink.post(host, this.now, effect)
        break
      case "start-service":
      case "stop-service":
      case "write-lease":
        this.services.carryOut(host, effect)
        break
      case "fence-node":
        this.fences.carryOut(host, effect)
        break
      case "arm-watchdog":
      case "feed-watchdog":
      case "disarm-watchdog":
        this.watchdogs.carryOut(host, effect)
        break
      case "keep-record":
        break
      case "answer-operator":
        this.answers.push(effect)
        this.#oracle.acknowledged.answered(host, effect, this.now)
        break
      case "log":
        this.log.push({ ...effect, at: this.now, node: host.id })
        break
      case "reconfigure":
        host.config = effect.config
        break
      case "exit":
        this.#end(host)
    }
  }

  /** Who may act for the service now and does: running, lease file ahead, at its own epoch. */
  active(service: string): readonly NodeId[] {
    return [...this.hosts.values()]
      .filter((host) => isActive(host, serviceName(service), this.now))
      .map(({ id }) => id)
  }

  /** The activation epoch the service runs with on a node. */
  epochOf(id: number, service: string): string | undefined {
    return this.host(id).running.get(serviceName(service))
  }
}
