/** SPEC M10, M12: three sites, one of which does not hear the holder for a while: its vote is renewed again afterwards. */
import { expect, test } from "vitest"
import { World } from "../../node-agent/simulation/world.ts"
import { ticketName } from "../../protocol/units.ts"
import { configOf } from "../support/layouts.ts"

test("[M10] [M12] what cannot be won is not claimed: the holder has the vote again when it is heard again", () => {
  const world = new World(configOf("3x1"), { seed: 1 })
  const ticket = (id: number) => world.core(id).tickets.get(ticketName("main"))
  world.start()
  expect(world.runUntil(() => world.active("ledger").some((id) => id === 1), 30_000)).toBe(true)
  world.run(5000)
  const { epoch: held = 0 } = ticket(1) ?? {}
  world.cut(1, 3)
  world.run(40_000)
  world.heal()
  world.run(20_000)
  expect(ticket(1)).toMatchObject({ epoch: held })
  expect(ticket(3)).toMatchObject({ pledge: { site: "north", epoch: held } })
  expect(ticket(1)?.votes.get("west")?.until).toBeGreaterThan(world.now)
  world.powerOff(2)
  world.run(30_000)
  expect(ticket(1)).toMatchObject({ epoch: held })
  expect(world.violations).toEqual([])
})
