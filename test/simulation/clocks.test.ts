/** What clocks show is nobody's business but their owner's. */
import { expect, test } from "vitest"
import { World } from "../../node-agent/simulation/world.ts"
import { configOf } from "../support/layouts.ts"

/** A cluster in which a site is lost and comes back, and what its nodes said of it, with clocks that were touched before. */
function story(touch: (world: World) => void) {
  const world = new World(configOf("2x2"), { seed: 3 })
  touch(world)
  world.start()
  world.run(15_000)
  const holders = world.active("ledger")
  expect(holders).toHaveLength(1)
  world.kill(...(holders[0] === 1 || holders[0] === 2 ? [1, 2] : [3, 4]))
  world.run(20_000)
  world.start()
  world.run(10_000)
  expect(world.active("ledger")).toHaveLength(1)
  expect(world.violations).toEqual([])
  return {
    told: world.log.map(({ node, event }) => `${node} ${event}`),
    at: world.log.map(({ at }) => at),
  }
}

test("[Q2] where each node's monotonic clock began changes nothing", () => {
  const asDrawn = story(() => undefined)
  const moved = story((world) => {
    for (const host of world.hosts.values()) host.offset += 2 ** 24 * host.id
  })
  expect(moved.told).toEqual(asDrawn.told)
  // Larger readings have fewer digits behind the milliseconds, and what comes within one takes its chances in another order.
  expect(Math.max(...moved.at.map((at, index) => Math.abs(at - (asDrawn.at[index] ?? 0))))).toBeLessThan(10)
})
