/**
 * One seeded run of a world under faults: they are drawn for a while, then they stop, and the service must become
 * active. The world's oracle checks all along what no fault may break.
 */

import type { ClusterConfig } from "../../protocol/cluster.ts"
import { type NodeId, serviceName, siteId } from "../../protocol/units.ts"
import { viewStanding } from "../../protocol/votes.ts"
import type { ArbiterState } from "../../worker/arbiter.ts"
import { createRandom, draw, type Random } from "../core/random.ts"
import { World, type WorldOptions } from "./world.ts"

export interface ChaosOptions {
  readonly config: ClusterConfig
  readonly seed: number
  /** Faults drawn before they stop. */
  readonly faults?: number
  readonly world?: WorldOptions
  /** Gets hold of the world before it starts, to look into it. */
  readonly onWorld?: (world: World) => void
  /** `violation`: only invariants are of interest, not whether the service recovers. */
  readonly until?: "recovery" | "violation"
}

export interface ChaosResult {
  readonly violations: readonly string[]
  /** Why the service was not active in time after the faults had stopped; undefined: it was. */
  readonly stuck: string | undefined
  /** How long that took, in ms. */
  readonly recovery: number
  /** How often the service was found on another node than before. */
  readonly moves: number
}

const ledger = "ledger"
const service = serviceName(ledger)

/** P1: the slowest recovery is a mandate to be waited out, after a hold-off, with a service that an operator stopped. */
export const recoveryBound = 45_000

export function runChaos(options: ChaosOptions): ChaosResult {
  const { config, seed, faults = 40 } = options
  const random = createRandom(seed * 7919 + 13)
  const jitter = draw(random) < 0.5 ? 0 : 0.6
  const world = new World(config, { seed, jitter, ...options.world })
  world.witness.window = draw(random) < 0.5 ? 0 : 50
  options.onWorld?.(world)
  const chaos = new Chaos(world, random)
  let moves = 0
  let last: NodeId | undefined
  world.start()
  for (let count = 0; count < faults && world.violations.length === 0; count++) {
    world.run(100 + draw(random) * (draw(random) < 0.3 ? 6000 : 1200))
    chaos.fault()
    const [active] = world.active(ledger)
    if (active !== undefined && active !== last) moves += 1
    last = active ?? last
  }
  if (options.until === "violation")
    return { violations: world.violations, stuck: undefined, recovery: 0, moves }
  const { stuck, recovery } = chaos.recover()
  return { violations: world.violations, stuck, recovery, moves }
}

class Chaos {
  readonly #world: World
  readonly #random: Random
  readonly #ids: readonly number[]
  readonly #sites: readonly string[]
  #forgot = false
  #snapshot: ArbiterState | undefined
  readonly #mayRollBack: boolean

  constructor(world: World, random: Random) {
    this.#world = world
    this.#random = random
    this.#ids = [...world.hosts.keys()]
    this.#sites = world.config.sites.map((site) => site.name)
    this.#mayRollBack = draw(random) < 0.25
  }

  #pick<T>(from: readonly T[]): T {
    const found = from[Math.floor(draw(this.#random) * from.length)]
    if (found === undefined) throw new Error("nothing to pick from")
    return found
  }

  /** Draws one fault, or one repair, and does it. */
  fault(): void {
    const total = kinds.reduce((sum, [weight]) => sum + weight, 0)
    let left = draw(this.#random) * total
    for (const [weight, kind] of kinds) {
      left -= weight
      if (left >= 0) continue
      this.#do(kind)
      return
    }
  }

  #do(kind: FaultKind): void {
    const world = this.#world
    const up = this.#ids.filter((id) => world.host(id).node !== undefined)
    const down = this.#ids.filter((id) => world.host(id).node === undefined)
    const anyone = this.#pick(this.#ids)
    switch (kind) {
      case "kill":
        if (up.length > 0) world.kill(this.#pick(up))
        break
      case "kill-site": {
        const site = this.#pick(this.#sites)
        world.kill(...up.filter((id) => world.host(id).site === site))
        break
      }
      case "restart":
        if (up.length > 0) {
          const id = this.#pick(up)
          world.kill(id)
          world.run(draw(this.#random) * 50)
          world.start(id)
        }
        break
      case "start":
        if (down.length > 0) world.start(this.#pick(down))
        break
      case "start-all":
        for (const id of down) world.start(id)
        break
      case "amnesia":
        if (down.length > 0) this.#forget(this.#pick(down))
        break
      case "leave":
        if (up.length > 0) world.event(this.#node(this.#pick(up)), { kind: "stop-requested" })
        break
      case "freeze":
        world.freeze(anyone)
        world.run(this.#pick([20, 50, 150, 300, 395, 410, 600, 2000, 12_000]))
        world.thaw(anyone)
        break
      case "cut-sites":
        if (this.#sites.length > 1) world.cut(this.#pick(this.#sites), this.#pick(this.#sites.slice(1)))
        break
      case "cut-witness":
        world.cut(this.#pick<string | number>([...this.#sites, anyone]), "@witness")
        break
      case "cut-one-way":
        world.cuts.add(`${anyone}>${this.#pick([...this.#ids, "@witness"])}`)
        break
      case "cut-nodes":
        world.cut(anyone, this.#pick(this.#ids))
        break
      case "isolate":
        for (const other of this.#ids) world.cut(anyone, other)
        break
      case "heal":
        world.heal()
        world.witness.up = true
        break
      case "witness":
        world.witness.up = !world.witness.up
        break
      case "witness-restart":
        world.witness.restart()
        break
      case "witness-rollback":
        this.#rollBack()
        break
      case "loss":
        world.loss = this.#pick([0, 0, 0.01, 0.05, 0.2])
        break
      case "command":
        world.command(anyone, { kind: this.#pick(["service-stop", "service-start"] as const), service })
        break
      case "move":
        world.command(anyone, { kind: "service-move", service, to: this.#node(this.#pick(this.#ids)) })
        break
      case "die":
        world.die(anyone, ledger)
        break
      case "control":
        this.#toggleControl(anyone)
        break
      case "service-fails":
        this.#toggleFailure(`${anyone}:${ledger}`)
    }
  }

  #node(id: number): NodeId {
    return this.#world.host(id).id
  }

  /** One node may forget, where the others of its site remember what any view of it has done. */
  #forget(id: number): void {
    const { config } = this.#world
    const { site } = this.#world.host(id)
    const others = config.nodes.filter((node) => node.site === site && node.id !== id).map((node) => node.id)
    const remembered = viewStanding(config, siteId(site), others).kind === "majority-alone"
    if (!remembered || this.#forgot || this.#snapshot !== undefined) return
    this.#forgot = true
    this.#world.loseDisk(id)
    this.#world.start(id)
  }

  /** First a backup, later its restoration. */
  #rollBack(): void {
    if (!this.#mayRollBack || this.#forgot) return
    if (this.#snapshot === undefined) this.#snapshot = this.#world.arbiter
    else this.#world.witness.rollBack(this.#snapshot)
  }

  #toggleControl(id: number): void {
    if (this.#world.host(id).control) this.#world.loseControl(id)
    else this.#world.connectControl(id)
  }

  #toggleFailure(name: string): void {
    const { services } = this.#world
    const set = this.#pick([services.failing, services.hanging, services.stopFailing])
    if (!set.delete(name)) set.add(name)
  }

  /** All faults stop; an operator wants the service, and believes the witness again once every lease has run out. */
  recover(): Pick<ChaosResult, "stuck" | "recovery"> {
    const world = this.#world
    world.heal()
    world.witness.up = true
    world.loss = 0
    for (const set of [world.services.failing, world.services.hanging, world.services.stopFailing])
      set.clear()
    for (const id of this.#ids) {
      world.thaw(id)
      if (!world.host(id).control) world.connectControl(id)
      if (world.host(id).node === undefined) world.start(id)
    }
    world.run(12_000)
    const from = world.now
    const isActive = () => world.active(ledger).length === 1
    let active = false
    while (!active && world.now - from < recoveryBound && world.violations.length === 0) {
      for (const id of this.#ids) {
        if (world.host(id).node === undefined) world.start(id)
        world.command(id, { kind: "service-start", service })
        world.command(id, { kind: "witness-accept" })
      }
      active = world.runUntil(isActive, 3000)
    }
    return { stuck: active ? undefined : this.#picture(), recovery: world.now - from }
  }

  #picture(): string {
    return this.#ids
      .map((id) => {
        const { node } = this.#world.host(id)
        const activation = node?.activations.get(service)
        return `${id}:${node?.membership.kind}:${node?.view?.members}:${activation?.phase}`
      })
      .join(" ")
  }
}

type FaultKind = (typeof kinds)[number][1]

/** What may happen, with its weight. */
const kinds = [
  [12, "kill"],
  [3, "kill-site"],
  [4, "restart"],
  [12, "start"],
  [6, "start-all"],
  [2, "amnesia"],
  [2, "leave"],
  [10, "freeze"],
  [4, "cut-sites"],
  [5, "cut-witness"],
  [6, "cut-one-way"],
  [5, "cut-nodes"],
  [3, "isolate"],
  [12, "heal"],
  [4, "witness"],
  [2, "witness-restart"],
  [2, "witness-rollback"],
  [5, "loss"],
  [5, "command"],
  [4, "move"],
  [3, "die"],
  [4, "control"],
  [3, "service-fails"],
] as const satisfies readonly (readonly [number, string])[]
