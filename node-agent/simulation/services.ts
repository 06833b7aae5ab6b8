/**
 * The services of the world's machines and the process that starts and stops them. What it does takes time, may fail,
 * and is lost if that process ends; the services themselves run on.
 */

import type { ServiceName } from "../../protocol/units.ts"
import type { NodeEffect } from "../core/effects.ts"
import type { NodeEvent } from "../core/events.ts"
import { byHand, type Host, trueTime } from "./machine.ts"
import type { Oracle } from "./oracle.ts"
import type { Surroundings } from "./surroundings.ts"

type Operation = NodeEffect & { readonly kind: "start-service" | "stop-service" }
type ServiceEffect = Operation | (NodeEffect & { readonly kind: "write-lease" })

/** What takes longer to start or to stop is reported as failed. */
const timeLimit = 3000
/** How often the monitor of a service looks. */
const monitorInterval = 1000

export class WorldServices {
  /** All as `node:service`: fails to start, never comes up, cannot be stopped, never ends stopping. */
  readonly failing = new Set<string>()
  readonly hanging = new Set<string>()
  readonly stopFailing = new Set<string>()
  readonly stopHanging = new Set<string>()
  /** As `node:service`: how often it was to be stopped. */
  readonly #stops = new Map<string, number>()
  /** Asked for and not yet answered. */
  readonly #unanswered = new Map<Host, Operation[]>()
  readonly #around: Surroundings
  readonly #oracle: Oracle
  readonly #delay: () => number

  constructor(around: Surroundings, oracle: Oracle, delay: () => number) {
    this.#around = around
    this.#oracle = oracle
    this.#delay = delay
  }

  carryOut(host: Host, effect: ServiceEffect): void {
    switch (effect.kind) {
      case "start-service": {
        this.#asked(host, effect)
        const stops = this.#stopsOf(host, effect.service)
        this.#byControl(host, this.#delay(), () => this.#start(host, effect, stops))
        break
      }
      case "stop-service":
        this.#asked(host, effect)
        this.#stops.set(`${host.id}:${effect.service}`, this.#stopsOf(host, effect.service) + 1)
        this.#byControl(host, this.#delay(), () => this.#stop(host, effect))
        break
      case "write-lease":
        this.#writeLease(host, effect)
    }
  }

  /** Without the process that would do it, it fails; so does what that process has not answered when it ends. */
  #asked(host: Host, effect: Operation): void {
    this.#unanswered.set(host, [...(this.#unanswered.get(host) ?? []), effect])
    if (!host.control) this.#around.after(host, 0, () => this.#failAsked(host))
  }

  /** What was asked for fails first, also what the agent asks for in answer to that: it knows of the loss last. */
  loseControl(host: Host): void {
    host.control = false
    host.controlLife += 1
    this.#failAsked(host)
    this.#around.tell(host, { kind: "control-lost" })
  }

  #failAsked(host: Host): void {
    const next = () => this.#unanswered.get(host)?.shift()
    for (let effect = next(); effect !== undefined; effect = next()) {
      const { operation, service } = effect
      const kind = effect.kind === "start-service" ? "service-start-failed" : "service-stop-failed"
      this.#around.tell(host, { kind, operation, service, reason: "control-away" })
    }
  }

  #answer(host: Host, event: NodeEvent & { readonly operation: number }): void {
    const left = (this.#unanswered.get(host) ?? []).filter(({ operation }) => operation !== event.operation)
    this.#unanswered.set(host, left)
    this.#around.tell(host, event)
  }

  /** The agent ended, and with it what it asked for. */
  ended(host: Host): void {
    this.#unanswered.delete(host)
  }

  /** Dropped if the process that does it has ended by then. */
  #byControl(host: Host, delay: number, run: () => void): void {
    const { controlLife } = host
    if (!host.control) return
    this.#around.after(host, delay, () => {
      const begin = () => {
        if (host.controlLife === controlLife) run()
      }
      if (host.suspendedAt === undefined) begin()
      else host.held.push(begin)
    })
  }

  #stopsOf(host: Host, service: ServiceName): number {
    return this.#stops.get(`${host.id}:${service}`) ?? 0
  }

  /** As the real process does (host/control/service.ts): a stop overtakes a start, and none begins after its lease. */
  #start(host: Host, effect: ServiceEffect & { readonly kind: "start-service" }, stops: number): void {
    const name = `${host.id}:${effect.service}`
    const fail = (reason: string) => this.#answer(host, { ...effect, kind: "service-start-failed", reason })
    const lease = host.leases.get(effect.service)
    const renewed = lease?.epoch === effect.epoch ? lease.until : 0
    const latest = Math.max(renewed, trueTime(host, effect.deadline))
    if (this.#stopsOf(host, effect.service) !== stops) fail("overtaken by a stop")
    else if (latest <= this.#around.now()) fail("the lease is over")
    else if (this.hanging.has(name)) this.#byControl(host, timeLimit, () => fail("time limit"))
    else if (this.failing.has(name)) fail("told to fail")
    else {
      host.running.set(effect.service, effect.epoch)
      this.#oracle.started(host, effect.service, this.#around.now())
      this.#answer(host, { ...effect, kind: "service-started" })
    }
  }

  #stop(host: Host, effect: ServiceEffect & { readonly kind: "stop-service" }): void {
    const name = `${host.id}:${effect.service}`
    const fail = (reason: string) => this.#answer(host, { ...effect, kind: "service-stop-failed", reason })
    if (this.stopHanging.has(name)) return this.#byControl(host, timeLimit, () => fail("time limit"))
    if (this.stopFailing.has(name)) return fail("told to fail")
    host.running.delete(effect.service)
    // It was not this agent's: the file that a former one left was closed at the start.
    if (effect.epoch === undefined) host.leases.delete(effect.service)
    this.#answer(host, { ...effect, kind: "service-stopped" })
  }

  /** It ends by itself; a monitor looks again and again. */
  die(host: Host, service: ServiceName): void {
    if (!host.running.delete(service)) return
    const resource = host.config.services.find((each) => each.name === service)?.resources[0]?.name ?? ""
    const tell = () => {
      const expected = host.node?.activations.get(service)?.phase === "running"
      if (!host.control || host.running.has(service) || !expected) return
      this.#around.tell(host, { kind: "service-died", service, resource, reason: "not running" })
      this.#around.after(host, monitorInterval, tell)
    }
    tell()
  }

  startByHand(host: Host, service: ServiceName): void {
    host.running.set(service, byHand)
    if (host.control) this.#around.tell(host, { kind: "service-found", service })
  }

  #writeLease(host: Host, effect: ServiceEffect & { readonly kind: "write-lease" }): void {
    const { service, deadline, epoch } = effect
    if (deadline === undefined) {
      host.leases.delete(service)
      return
    }
    const now = this.#around.now()
    host.leases.set(service, { from: now, until: trueTime(host, deadline), epoch })
    this.#oracle.leased(host, service, now)
  }
}

/** What a process that is stopped within a step has done, and has not: nothing, or all but what it tells the gate last. */
export function parted(effects: readonly NodeEffect[], isNothingDone: boolean) {
  const isLate = ({ kind }: NodeEffect) => isNothingDone || kind === "write-lease" || kind === "exit"
  return [effects.filter((effect) => !isLate(effect)), effects.filter(isLate)] as const
}

/** It runs, its lease file is ahead, and both are of one activation. */
export function isActive(host: Host, service: ServiceName, now: number): boolean {
  const lease = host.leases.get(service)
  return lease !== undefined && lease.until > now && host.running.get(service) === lease.epoch
}
