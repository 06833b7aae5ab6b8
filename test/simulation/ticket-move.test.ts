/** SPEC M11: an order to move a ticket ends with the mandate it was given for, whatever becomes of the owner. */
import { expect, test } from "vitest"
import { hasMandate, hasVoice } from "../../node-agent/core/rights.ts"
import { localTime } from "../../node-agent/simulation/machine.ts"
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

test("[M11] [I1] [I2] a member that was away has live votes left, and all who gave the mandate up are restarted", () => {
  const world = new World(configOf("2x3"), { seed: 1 })
  world.start()
  expect(world.runUntil(() => isAt(world, 1, 2, 3), 30_000)).toBe(true)
  world.run(5000)
  for (const id of [1, 2]) world.cut(id, 3)
  world.run(1500)
  move(world, 1, "south")
  expect(world.runUntil(() => isAt(world, 4, 5, 6), 3000)).toBe(true)
  world.kill(1, 2)
  world.heal()
  world.start(1, 2)
  expect(world.runUntil(() => world.core(3).view?.members.length === 3, 3000)).toBe(true)
  world.run(12_000)
  expect(isAt(world, 1, 2, 3)).toBe(false)
  expect(world.violations).toEqual([])
})

test("[M11] [VL4] [VL5] the other half, with live votes left, learns from the memo what was given up", () => {
  const timings = { voice_ttl_ms: 6000, mandate_ttl_ms: 20_000 }
  const world = new World(configOf("2x2", { timings }), { seed: 1 })
  world.start()
  expect(world.runUntil(() => isAt(world, 1), 30_000)).toBe(true)
  world.run(5000)
  for (const id of [1, 3, 4]) world.cut(2, id)
  world.run(3000)
  move(world, 1, "south")
  expect(world.runUntil(() => isAt(world, 3, 4), 3000)).toBe(true)
  expect(mandateAt(world, 2)).toBe(true)
  world.kill(1)
  const speaks = () => hasVoice(world.core(2), localTime(world.host(2), world.now))
  expect(world.runUntil(speaks, 12_000)).toBe(true)
  expect(mandateAt(world, 2)).toBe(false)
  world.run(8000)
  expect(isAt(world, 2)).toBe(false)
})

function mandateAt(world: World, id: number): boolean {
  const state = world.core(id).tickets.get(ticketName("main"))
  return state !== undefined && hasMandate(world.core(id), state, localTime(world.host(id), world.now))
}
