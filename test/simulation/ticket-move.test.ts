/** SPEC M11: an order to move a ticket ends with the mandate it was given for, whatever becomes of the owner. */
import { expect, test } from "vitest"
import { World } from "../../node-agent/simulation/world.ts"
import { siteId, ticketName } from "../../protocol/units.ts"
import { configOf } from "../support/layouts.ts"

const isAt = (world: World, ...ids: readonly number[]) =>
  ids.some((id) => world.active("ledger").some((each) => each === id))

function formed(): World {
  const world = new World(configOf("2x2"), { seed: 1 })
  world.start()
  expect(world.runUntil(() => isAt(world, 1, 2), 30_000)).toBe(true)
  world.run(3000)
  return world
}

function move(world: World, at: number, to: string): void {
  world.command(at, { kind: "ticket-move", ticket: ticketName("main"), to: siteId(to) })
}

test.each([0, 2, 5])("[M11] the owner dies %i ms after the order; later the other site is lost", (delay) => {
  const world = formed()
  const [owner = 1] = world.active("ledger")
  move(world, 3 - owner, "south")
  world.run(delay)
  world.kill(owner)
  expect(world.runUntil(() => isAt(world, 3, 4), 30_000)).toBe(true)
  world.start(owner)
  world.run(10_000)
  world.powerOff(3, 4)
  expect(world.runUntil(() => isAt(world, 1, 2), 40_000)).toBe(true)
  expect(world.violations).toEqual([])
})

test("[M11] there, back, and there again, in views that stay", () => {
  const world = formed()
  for (const [at, to, ids] of [
    [1, "south", [3, 4]],
    [3, "north", [1, 2]],
    [1, "south", [3, 4]],
  ] as const) {
    move(world, at, to)
    expect(world.runUntil(() => isAt(world, ...ids), 3000)).toBe(true)
    world.run(5000)
  }
  expect(world.violations).toEqual([])
})
