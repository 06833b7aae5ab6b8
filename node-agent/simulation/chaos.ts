/**
 * One seeded run of a world under faults: they are drawn for a while, then they stop, and the service must become
 * active. The world's oracle checks all along what no fault may break.
 */

import type { ClusterConfig } from "../../protocol/cluster.ts"
import { type NodeId, serviceName } from "../../protocol/units.ts"
import { createRandom, draw } from "../core/random.ts"
import { basicFaults, type FaultTable } from "./fault-tables.ts"
import { Faults } from "./faults.ts"
import { World, type WorldOptions } from "./world.ts"

export interface ChaosOptions {
  readonly config: ClusterConfig
  readonly seed: number
  /** Faults drawn before they stop. */
  readonly faults?: number
  readonly world?: WorldOptions
  /** What may go wrong; only the most usual unless told. */
  readonly table?: FaultTable
  /** Gets hold of the world before it starts, to look into it. */
  readonly onWorld?: (world: World) => void
  /** `violation`: only invariants are of interest, not whether the service recovers. */
  readonly until?: "recovery" | "violation"
  /** What goes on beside the faults, before each of them. */
  readonly alongside?: (world: World) => void
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
  const drawn = new Faults(world, random, options.table ?? basicFaults)
  let moves = 0
  let last: NodeId | undefined
  world.start()
  for (let count = 0; count < faults && world.violations.length === 0; count++) {
    world.run(100 + draw(random) * (draw(random) < 0.3 ? 6000 : 1200))
    options.alongside?.(world)
    drawn.next()
    const [active] = world.active(ledger)
    if (active !== undefined && active !== last) moves += 1
    last = active ?? last
  }
  if (options.until === "violation")
    return { violations: world.violations, stuck: undefined, recovery: 0, moves }
  const { stuck, recovery } = recover(world, drawn)
  return { violations: world.violations, stuck, recovery, moves }
}

/** All faults stop; an operator wants the service, and believes the witness again once every lease has run out. */
function recover(world: World, faults: Faults): Pick<ChaosResult, "stuck" | "recovery"> {
  faults.mend()
  world.run(12_000)
  const from = world.now
  const isActive = () => world.active(ledger).length === 1
  let active = false
  while (!active && world.now - from < recoveryBound && world.violations.length === 0) {
    for (const [id, host] of world.hosts) {
      if (host.node === undefined) world.start(id)
      world.command(id, { kind: "service-start", service })
      world.command(id, { kind: "witness-accept" })
    }
    active = world.runUntil(isActive, 3000)
  }
  return { stuck: active ? undefined : pictureOf(world), recovery: world.now - from }
}

/** Where every node stands, for people. */
export function pictureOf(world: World): string {
  return [...world.hosts]
    .map(([id, { node }]) => {
      const phases = [...(node?.activations.values() ?? [])].map((each) => each.phase)
      return `${id}:${node?.membership.kind}:${node?.view?.members}:${phases}`
    })
    .join(" ")
}
