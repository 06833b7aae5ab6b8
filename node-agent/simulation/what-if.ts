/**
 * What a cluster does when parts of it are lost, seen in virtual time: the real core and the real arbiter run the given
 * configuration, the parts are taken away for good, and for each service it is told who is active in the end, and how long nobody
 * was. Each fault is tried several times, at other instants and with other clocks; the worst counts.
 */
import type { ClusterConfig, ServiceConfig } from "../../protocol/cluster.ts"
import { type NodeId, type ServiceName, type SiteId, stretched } from "../../protocol/units.ts"
import { createRandom, draw } from "../core/random.ts"
import { isActive } from "./services.ts"
import { World } from "./world.ts"

/** What can be lost: a machine, all machines of a site, the witness, the network between sites. */
export type Part =
  | { readonly kind: "node"; readonly node: NodeId }
  | { readonly kind: "site"; readonly site: SiteId }
  | { readonly kind: "witness" }
  /** `site`: cut off from all other sites; `undefined`: every site from every other. */
  | { readonly kind: "wan"; readonly site: SiteId | undefined }

export interface ServiceOutcome {
  readonly service: ServiceName
  /** Who ran it before, of the try that ended worst; none: it was never active, for another service's sake perhaps. */
  readonly before: readonly NodeId[]
  /** Who runs it in the end; none: it stopped. */
  readonly after: readonly NodeId[]
  /** It waits for an operator's word. */
  readonly isBlocked: boolean
  /** The longest time without it, until it came back or, if it did not, since when it was away: from the loss. Milliseconds. */
  readonly longest: number
  readonly stoppedAfter: number | undefined
}

export interface WhatIfOptions {
  readonly tries: number
  readonly seed: number
  /** One way, milliseconds. */
  readonly wanDelay: number
  readonly witnessDelay: number
}

export interface Outcome {
  readonly services: readonly ServiceOutcome[]
  /** Invariants that broke; none ever should. */
  readonly violations: readonly string[]
}

/** There is nothing to lose: no service was ever active, with all parts there. */
export class NeverActive extends Error {
  override readonly name = "NeverActive"
}

/** Every part whose loss says something about this configuration. */
export function partsOf(config: ClusterConfig): readonly Part[] {
  const sites = config.sites.map(({ name }) => name)
  const cuts: readonly (SiteId | undefined)[] =
    sites.length === 2 ? [undefined] : sites.length > 2 ? [...sites, undefined] : []
  return [
    ...config.nodes.map(({ id }) => ({ kind: "node" as const, node: id })),
    // A site of one node is lost with it.
    ...sites
      .filter((site) => sites.length > 1 && config.nodes.filter((node) => node.site === site).length > 1)
      .map((site) => ({ kind: "site" as const, site })),
    ...cuts.map((site) => ({ kind: "wan" as const, site })),
    ...(config.witness === undefined ? [] : [{ kind: "witness" as const }]),
  ]
}

/** What becomes of each service that the cluster starts by itself when all of `parts` are lost. */
export function whatIf(config: ClusterConfig, parts: readonly Part[], options: WhatIfOptions): Outcome {
  const services = config.services.filter(({ mode }) => mode === "automatic")
  const tries = Array.from({ length: options.tries }, (_, index) =>
    attempt(config, services, parts, options, index),
  )
  return {
    services: services.map(({ name }) =>
      tries.flatMap((each) => each.services.filter(({ service }) => service === name)).reduce(worse),
    ),
    violations: tries.flatMap(({ violations }) => violations),
  }
}

function worse(a: ServiceOutcome, b: ServiceOutcome): ServiceOutcome {
  const stops = (outcome: ServiceOutcome) => (outcome.after.length === 0 ? 1 : 0)
  if (stops(a) !== stops(b)) return stops(a) > stops(b) ? a : b
  return b.longest > a.longest ? b : a
}

/** All parts at once, or one after another in either order: a cluster may stand one order and not the other. */
function attempt(
  config: ClusterConfig,
  services: readonly ServiceConfig[],
  parts: readonly Part[],
  { seed, wanDelay, witnessDelay }: WhatIfOptions,
  index: number,
): Outcome {
  const random = createRandom(seed * 1_000_003 + index)
  const world = new World(config, { seed: seed * 1000 + index, wanDelay, witnessDelay, serviceDelay: 1 })
  world.witness.window = 50
  world.start()
  const watches = services.map((service) => new ServiceWatch(world, service))
  const isWhole = () => watches.every(({ isActiveNow }) => isActiveNow)
  world.runUntil(isWhole, patience(config))
  if (watches.every(({ isActiveNow }) => !isActiveNow))
    throw new NeverActive("no service ever becomes active")
  const { heartbeat, renewal } = config.timings
  // Until everything was renewed some times.
  world.run(4 * renewal + 2 * heartbeat * draw(random))
  for (const watch of watches) watch.begin()
  const order = index % 3 === 2 ? [...parts].reverse() : parts
  for (const [place, part] of order.entries()) {
    if (place > 0 && index % 3 === 0) look(world, watches, heartbeat * draw(random))
    else if (place > 0) settle(world, watches)
    lose(world, part)
  }
  settle(world, watches)
  return { services: watches.map((watch) => watch.end()), violations: world.violations }
}

function lose(world: World, part: Part): void {
  switch (part.kind) {
    case "node":
      return world.powerOff(part.node)
    case "site":
      return world.powerOff(
        ...world.config.nodes.filter(({ site }) => site === part.site).map(({ id }) => id),
      )
    case "witness":
      world.witness.up = false
      return
    case "wan":
      for (const { name } of world.config.sites)
        for (const other of world.config.sites)
          if (name !== other.name && (part.site === undefined || part.site === name))
            world.cut(name, other.name)
  }
}

function look(world: World, watches: readonly ServiceWatch[], duration: number): void {
  world.runUntil(() => {
    for (const watch of watches) watch.look()
    return false
  }, duration)
}

/**
 * Looks after each event; what ends by its lease ends at its deadline. Ends once all are active and no right that was
 * granted before can still run out.
 */
function settle(world: World, watches: readonly ServiceWatch[]): void {
  const { config, now: from } = world
  const least = from + 1.5 * stretched(config.timings.mandateTtl, config.timings.rho)
  world.runUntil(() => {
    for (const watch of watches) watch.look()
    return world.now >= least && watches.every(({ isActiveNow }) => isActiveNow)
  }, patience(config))
}

/** After which nothing moves by itself: what was lost is waited out, claimed in turn, and tried again. */
function patience({ timings: t, sites }: ClusterConfig): number {
  const waits = 3 * stretched(t.mandateTtl, t.rho) + stretched(t.voiceTtl, t.rho)
  return waits + sites.length * t.claimStagger + 10 * t.lease
}

class ServiceWatch {
  readonly name: ServiceName
  readonly #world: World
  #before: readonly NodeId[] = []
  #lostAt = 0
  /** Since when nobody is active; `undefined`: somebody is. */
  #awaySince: number | undefined
  #longest = 0
  /** Until when the one last seen may be active. */
  #until = 0

  constructor(world: World, { name }: ServiceConfig) {
    this.#world = world
    this.name = name
  }

  get isActiveNow(): boolean {
    return this.#active().length > 0
  }

  begin(): void {
    this.#before = this.#active()
    this.#lostAt = this.#world.now
    this.look()
  }

  look(): void {
    const { now } = this.#world
    const active = this.#active()
    if (active.length === 0) {
      this.#awaySince ??= Math.min(now, Math.max(this.#until, this.#lostAt))
      return
    }
    this.#until = Math.max(...active.map((id) => this.#world.host(id).leases.get(this.name)?.until ?? now))
    if (this.#awaySince === undefined) return
    this.#longest = Math.max(this.#longest, now - this.#awaySince)
    this.#awaySince = undefined
  }

  end(): ServiceOutcome {
    this.look()
    const blocked = this.#world.log.some(
      ({ event, at, fields }) =>
        event === "service-blocked" && at >= this.#lostAt && fields.subject === this.name,
    )
    const after = this.#active()
    return {
      service: this.name,
      before: this.#before,
      after,
      isBlocked: blocked && after.length === 0,
      longest: this.#longest,
      stoppedAfter: this.#awaySince === undefined ? undefined : this.#awaySince - this.#lostAt,
    }
  }

  #active(): readonly NodeId[] {
    return [...this.#world.hosts.values()]
      .filter((host) => isActive(host, this.name, this.#world.now))
      .map(({ id }) => id)
  }
}
