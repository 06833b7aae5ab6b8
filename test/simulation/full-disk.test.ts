/**
 * A node whose disk is full can take part in gathering and then in no ring, for it stores nothing. The others must not give
 * their ring up for it again and again.
 */
import { expect, test } from "vitest"
import { World } from "../../node-agent/simulation/world.ts"
import { configOf } from "../support/layouts.ts"

const full = 1

test.each([1, 2, 3])(
  "[R5] the ring of the others has peace from a node that cannot store, seed %i",
  (seed) => {
    const world = new World(configOf("1x3"), { seed })
    world.start()
    world.run(3_000)
    world.host(full).diskFull = true
    world.kill(2)
    world.run(300)
    // It comes back with a ring sequence ahead of what is stored: each further ring has to be.
    world.start(2)
    world.run(10_000)
    const installed = () =>
      world.log.filter(({ event, node }) => event === "view-installed" && node === 3).length
    const before = installed()
    world.run(20_000)
    expect(installed() - before, "views in 20 s").toBeLessThanOrEqual(6)
    expect(world.active("ledger"), "the service goes on").toHaveLength(1)
    world.host(full).diskFull = false
    const isWhole = () => world.host(3).node?.view?.members.length === 3
    // It may be held off for up to a minute by then.
    expect(world.runUntil(isWhole, 130_000), "it is taken back").toBe(true)
    expect(world.violations).toEqual([])
  },
)
