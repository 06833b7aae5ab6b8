/** SPEC R5: two nodes that hold each other off, from different times on, still meet. */
import { expect, test } from "vitest"
import { setPeer } from "../../node-agent/core/peers.ts"
import { World } from "../../node-agent/simulation/world.ts"
import { configOf } from "../support/layouts.ts"

test.each([0, 150, 300, 700, 1100])("[R5] from %i ms apart", (apart) => {
  const world = new World(configOf("1x3"), { seed: 4 + apart })
  const holdOff = (id: number, other: number) =>
    setPeer(world.core(id), world.host(other).id, { heldOff: 7, heldOffAt: world.core(id).steppedAt })
  world.start(1, 2)
  world.run(3_000)
  world.cut(1, 2)
  world.run(1_000)
  holdOff(1, 2)
  world.run(apart)
  holdOff(2, 1)
  world.heal()
  expect(world.runUntil(() => world.core(1).view?.members.length === 2, 10_000)).toBe(true)
})
