/**
 * One state of a small cluster that can be copied, and what one quantum of time makes of it. The real cores, codecs and arbiter
 * run; clocks, network, disks, HTTP, sealing and processes are made up and hold no chance: the same state and the same deviations
 * give the same next state.
 *
 * Time goes in quanta. At the end of each, all that is due is done in order, without any delay, until nothing is left:
 * datagrams, writes and replies arrive, timers go off. A deviation is what may go wrong instead, at one point of that order
 * (a datagram is lost or late, its receiver dies before it) or at the beginning of a quantum (a process dies, starts, stands still; a
 * way is cut or healed).
 */
import type { DurableState } from "../../node-agent/core/durable.ts"
import type { NodeEffect } from "../../node-agent/core/effects.ts"
import type { NodeEvent } from "../../node-agent/core/events.ts"
import { nextDeadline, step } from "../../node-agent/core/node.ts"
import type { Sessions } from "../../node-agent/core/session-state.ts"
import { createNode } from "../../node-agent/core/start.ts"
import type { NodeState } from "../../node-agent/core/state.ts"
import { simulatedCryptography } from "../../node-agent/simulation/cryptography.ts"
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { encodeReply, parseReply, type Reply, type Summary } from "../../protocol/summaries.ts"
import {
  epoch,
  type Instant,
  incarnation,
  instant,
  type NodeId,
  type ServiceName,
  wallTime,
} from "../../protocol/units.ts"
import { type ArbiterState, arbitrate, leaseSummaries, submissionOf } from "../../worker/arbiter.ts"

/** Milliseconds; the lateness of every timer, and what a delay is counted in. */
export const quantum = 50
/** Local clocks begin here, so that every number near it in a state is an instant, whatever its name. */
export const clockStart = 1_000_000_000

export interface Machine {
  readonly id: NodeId
  readonly site: string
  /** Of its clock, against true time. */
  readonly rate: number
  readonly node: NodeState | undefined
  /** Which process the packets under way are for. */
  readonly life: number
  readonly disk: DurableState
  readonly standsUntil: number
  readonly running: ReadonlyMap<ServiceName, string>
  /** Lease files, with the deadline in true time. */
  readonly leases: ReadonlyMap<ServiceName, { readonly epoch: string; readonly until: number }>
}

export type Packet = { readonly due: number } & (
  | { readonly kind: "datagram"; readonly from: NodeId; readonly to: NodeId; readonly bytes: Uint8Array }
  | { readonly kind: "post"; readonly from: NodeId; readonly life: number; readonly summary: Summary }
  | { readonly kind: "reply"; readonly to: NodeId; readonly life: number; readonly reply: Reply }
  | {
      readonly kind: "written"
      readonly to: NodeId
      readonly life: number
      readonly write: number
      readonly state: DurableState
    }
  /** What the machine tells its own agent; nothing goes wrong with it. */
  | { readonly kind: "told"; readonly to: NodeId; readonly life: number; readonly event: NodeEvent }
)

export interface Model {
  readonly config: ClusterConfig
  readonly now: number
  readonly machines: readonly Machine[]
  readonly queue: readonly Packet[]
  readonly arbiter: ArbiterState
  /** Directed, as `a>b`; the witness is `w`. */
  readonly cuts: ReadonlySet<string>
  /** The latest activation of each service that could act. */
  readonly activations: ReadonlyMap<ServiceName, { readonly epoch: string; readonly node: NodeId }>
}

export type Deviation =
  | { readonly kind: "lose" }
  | { readonly kind: "delay"; readonly quanta: number }
  /** The receiver's process ends before it gets it. */
  | { readonly kind: "crash-receiver" }

export type Disturbance =
  | { readonly kind: "crash" | "start"; readonly node: NodeId }
  /** SIGSTOP for so long: what comes meanwhile is handled afterwards. */
  | { readonly kind: "stand"; readonly node: NodeId; readonly quanta: number }
  /** `swing`: these instead of all that are cut now. */
  | { readonly kind: "cut" | "swing"; readonly ways: readonly string[] }
  | { readonly kind: "heal" }

/** A point at which something may go wrong. */
export interface Point {
  readonly what: string
  readonly packet: Packet["kind"]
  readonly bytes: Uint8Array | undefined
}

export function createModel(config: ClusterConfig, rates: readonly number[]): Model {
  const machines = config.nodes.map(({ id, site }, index): Machine => {
    return {
      ...{ id, site, rate: rates[index] ?? 1, node: undefined, life: 0, standsUntil: 0 },
      disk: freshDisk(config, id),
      running: new Map(),
      leases: new Map(),
    }
  })
  const arbiter: ArbiterState = {
    witness: "00112233445566778899aabbccddeeff",
    rules: {
      version: config.version,
      checksum: config.checksum,
      sites: config.sites.map(({ name }) => name),
      tickets: config.tickets.map(({ name }) => name),
      nodes: config.nodes.map((node) => ({ node: node.id, site: node.site })),
      preferredNodes: [],
      rho: config.timings.rho,
      voiceTtl: config.timings.voiceTtl,
      mandateTtl: config.timings.mandateTtl,
    },
    leases: {},
    lastDocuments: {},
  }
  const empty = { cuts: new Set<string>(), activations: new Map() }
  return { config, now: 0, machines, queue: [], arbiter, ...empty }
}

function freshDisk(config: ClusterConfig, node: NodeId): DurableState {
  const numbers = { incarnation: incarnation(0), ringSequence: 0, voiceEpoch: epoch(0) }
  const none = { tickets: [], pledges: [], witness: undefined }
  return { format: 1, cluster: config.name, node, ...numbers, ...none, fresh: true }
}

export function localTime(machine: Machine, now: number): Instant {
  return instant(clockStart + now * machine.rate)
}

export function trueTime(machine: Machine, at: Instant): number {
  return (at - clockStart) / machine.rate
}

/** Runs one quantum on a copy of a model. */
export class Quantum {
  readonly points: Point[] = []
  readonly #config: ClusterConfig
  readonly #now: number
  readonly #machines: Machine[]
  readonly #queue: Packet[]
  #arbiter: ArbiterState
  #cuts: ReadonlySet<string>
  #activations: Model["activations"]
  readonly #stepped: (machine: Machine, machines: readonly Machine[], now: number) => void
  #events = 0
  readonly #lastEvents: string[] = []

  /** `stepped` is called after each step of a node, and after each write of a lease file. */
  constructor(
    model: Model,
    stepped: (machine: Machine, machines: readonly Machine[], now: number) => void = () => undefined,
  ) {
    this.#config = model.config
    this.#now = model.now + quantum
    this.#machines = model.machines.map((machine) => ({
      ...machine,
      node: machine.node === undefined ? undefined : copyOf(machine.node),
    }))
    this.#queue = [...model.queue]
    this.#arbiter = model.arbiter
    this.#cuts = model.cuts
    this.#activations = model.activations
    this.#stepped = stepped
  }

  get model(): Model {
    return {
      config: this.#config,
      now: this.#now,
      machines: this.#machines,
      queue: this.#queue,
      arbiter: this.#arbiter,
      cuts: this.#cuts,
      activations: this.#activations,
    }
  }

  disturb(disturbance: Disturbance): void {
    switch (disturbance.kind) {
      case "crash":
        return this.#crash(disturbance.node)
      case "start":
        return this.#start(disturbance.node)
      case "stand":
        return this.#change(disturbance.node, { standsUntil: this.#now + disturbance.quanta * quantum })
      case "cut":
        this.#cuts = new Set([...this.#cuts, ...disturbance.ways])
        return
      case "swing":
        this.#cuts = new Set(disturbance.ways)
        return
      case "heal":
        this.#cuts = new Set()
    }
  }

  /** All that is due by the end of this quantum, but for what goes wrong at the points named by their number. */
  run(deviations: ReadonlyMap<number, Deviation>): void {
    for (;;) {
      const index = this.#queue.findIndex(({ due }) => due <= this.#now)
      const [packet] = index < 0 ? [] : this.#queue.splice(index, 1)
      if (packet !== undefined) this.#take(packet, deviations)
      else if (!this.#wakeOne()) return
      this.#events += 1
      if (this.#events > eventsMax)
        throw new Endless(`no end of events: ${this.#lastEvents.slice(-6).join("; ")}`)
    }
  }

  #take(packet: Packet, deviations: ReadonlyMap<number, Deviation>): void {
    const receiver = packet.kind === "post" ? undefined : this.#machine(packet.to)
    if (receiver !== undefined && receiver.standsUntil > this.#now) {
      this.#queue.push({ ...packet, due: receiver.standsUntil })
      return
    }
    if (packet.kind === "told") return this.#deliver(packet)
    const deviation = deviations.get(this.points.length)
    this.points.push({
      what: this.#nameOf(packet),
      packet: packet.kind,
      bytes: packet.kind === "datagram" ? packet.bytes : undefined,
    })
    switch (deviation?.kind) {
      case undefined:
        return this.#deliver(packet)
      case "delay":
        this.#queue.push({ ...packet, due: this.#now + deviation.quanta * quantum })
        return
      case "crash-receiver":
        if (receiver !== undefined) this.#crash(receiver.id)
        return
      case "lose":
        return
    }
  }

  #nameOf(packet: Packet): string {
    switch (packet.kind) {
      case "datagram":
        return `datagram ${packet.from}>${packet.to}`
      case "post":
        return `post of ${packet.from}`
      case "reply":
        return `reply to ${packet.to}`
      default:
        return `${packet.kind} on ${packet.to}`
    }
  }

  #deliver(packet: Packet): void {
    if (packet.kind === "post") return this.#arbitrate(packet)
    if (packet.kind === "datagram") {
      if (this.#cuts.has(`${packet.from}>${packet.to}`)) return
      const wan = this.#machine(packet.from).site !== this.#machine(packet.to).site
      const { bytes } = packet
      return this.#step(packet.to, { kind: "datagram-received", link: wan ? "wan" : 0, bytes })
    }
    if (this.#machine(packet.to).life !== packet.life) return
    switch (packet.kind) {
      case "reply":
        if (this.#cuts.has(`w>${packet.to}`)) return
        return this.#step(packet.to, {
          kind: "witness-replied",
          post: packet.reply.counter,
          reply: packet.reply,
        })
      case "written":
        this.#change(packet.to, { disk: packet.state })
        return this.#step(packet.to, { kind: "persisted", write: packet.write })
      case "told":
        return this.#step(packet.to, packet.event)
    }
  }

  #arbitrate({ from, life, summary }: Packet & { readonly kind: "post" }): void {
    if (this.#cuts.has(`${from}>w`)) {
      const event = { kind: "witness-failed", post: summary.counter, reason: "unreachable" } as const
      this.#queue.push({ kind: "told", to: from, life, event, due: this.#now })
      return
    }
    const { node, incarnation, counter, cluster } = summary
    const { state, answers } = arbitrate(this.#arbiter, [submissionOf(summary)])
    this.#arbiter = state
    const parsed = parseReply(
      encodeReply({
        ...{ node, incarnation, counter, cluster, witness: state.witness, leases: leaseSummaries(state) },
        answers: answers[0] ?? [],
        interval: this.#config.timings.summaryInterval,
        quotaPercent: 1,
      }),
    )
    if (parsed.kind === "error") throw new Error(`reply does not parse: ${parsed.error.detail}`)
    this.#queue.push({ kind: "reply", to: from, life, reply: parsed.value, due: this.#now })
  }

  #wakeOne(): boolean {
    const machine = this.#machines.find((each) => {
      if (each.node === undefined || each.standsUntil > this.#now) return false
      const deadline = nextDeadline(each.node)
      return deadline !== undefined && deadline <= localTime(each, this.#now)
    })
    if (machine === undefined) return false
    this.#step(machine.id, { kind: "deadline-reached" })
    return true
  }

  #step(id: NodeId, event: NodeEvent): void {
    const machine = this.#machine(id)
    if (machine.node === undefined) return
    if (this.#events > eventsMax - 20) this.#lastEvents.push(`${event.kind} on ${id}`)
    const effects = step(machine.node, event, localTime(machine, this.#now))
    this.#carryOut(id, effects)
    this.#stepped(this.#machine(id), this.#machines, this.#now)
  }

  #carryOut(id: NodeId, effects: readonly NodeEffect[]): void {
    for (const effect of effects) this.#effect(this.#machine(id), effect)
  }

  #effect(machine: Machine, effect: NodeEffect): void {
    const { id, life } = machine
    const due = this.#now
    switch (effect.kind) {
      case "send":
        this.#queue.push({ kind: "datagram", from: id, to: effect.to, bytes: effect.bytes, due })
        break
      case "persist":
        this.#queue.push({ kind: "written", to: id, life, write: effect.write, state: effect.state, due })
        break
      case "post-summary":
        this.#queue.push({ kind: "post", from: id, life, summary: effect.summary, due })
        break
      case "start-service": {
        this.#change(id, { running: new Map(machine.running).set(effect.service, effect.epoch) })
        const { operation, service } = effect
        this.#queue.push({
          kind: "told",
          to: id,
          life,
          event: { kind: "service-started", operation, service },
          due,
        })
        break
      }
      case "stop-service": {
        const running = new Map(machine.running)
        running.delete(effect.service)
        this.#change(id, { running })
        const { operation, service } = effect
        this.#queue.push({
          kind: "told",
          to: id,
          life,
          event: { kind: "service-stopped", operation, service },
          due,
        })
        break
      }
      case "write-lease":
        this.#writeLease(machine, effect)
        break
      case "exit":
        this.#crash(id)
        break
      case "log":
      case "answer-operator":
        break
    }
  }

  #writeLease(machine: Machine, effect: NodeEffect & { readonly kind: "write-lease" }): void {
    const leases = new Map(machine.leases)
    const { service, deadline, epoch: at } = effect
    const until = deadline === undefined ? 0 : trueTime(machine, deadline)
    // One that has just ended is kept: its service may act for its margin.
    if (deadline === undefined) leases.delete(service)
    else leases.set(service, { epoch: at, until })
    this.#change(machine.id, { leases })
    if (until <= this.#now) return
    const last = this.#activations.get(service)
    if (last?.epoch !== at || last.node !== machine.id)
      this.#activations = new Map(this.#activations).set(service, { epoch: at, node: machine.id })
  }

  #crash(id: NodeId): void {
    const { life } = this.#machine(id)
    this.#change(id, { node: undefined, life: life + 1, standsUntil: 0 })
  }

  #start(id: NodeId): void {
    const machine = this.#machine(id)
    const { node, effects } = createNode(
      {
        config: this.#config,
        self: id,
        durable: machine.disk,
        cryptography: simulatedCryptography([1]),
        ringKeys: [1],
        sessionNonce: new Uint8Array(16).fill(id * 16 + machine.life),
        seed: id,
        gate: "ready",
        wall: wallTime(0),
      },
      localTime(machine, this.#now),
    )
    this.#change(id, { node })
    this.#carryOut(id, effects)
    const found = this.#config.services.map(({ name: service }) => {
      const at = machine.running.get(service)
      const state = at === undefined ? ("stopped" as const) : ("running" as const)
      return { service, state, epoch: at, reason: undefined }
    })
    const event = { kind: "control-connected", found } as const
    this.#queue.push({ kind: "told", to: id, life: machine.life, event, due: this.#now })
  }

  #machine(id: NodeId): Machine {
    const machine = this.#machines.find((each) => each.id === id)
    if (machine === undefined) throw new Error(`no node ${id}`)
    return machine
  }

  #change(id: NodeId, change: Partial<Machine>): void {
    const index = this.#machines.findIndex((each) => each.id === id)
    this.#machines[index] = { ...this.#machine(id), ...change }
  }
}

/** More happens in one quantum than ever ends: a node asks to be woken again and again, or nodes answer each other for ever. */
export class Endless extends Error {
  override readonly name = "Endless"
}

const eventsMax = 5000

/** The parts of a node are values that are replaced whole; these two are not. */
function copyOf(node: NodeState): NodeState {
  return { ...node, random: { ...node.random }, sessions: copyOfSessions(node.sessions) }
}

function copyOfSessions(sessions: Sessions): Sessions {
  const peers = [...sessions.peers].map(([id, peer]) => {
    const copy = (session: typeof peer.proven) =>
      session === undefined
        ? undefined
        : {
            ...session,
            framesSeen: { ...session.framesSeen, blocks: session.framesSeen.blocks.slice() },
          }
    return [id, { ...peer, proven: copy(peer.proven), heard: copy(peer.heard) }] as const
  })
  return { ...sessions, peers: new Map(peers) }
}
