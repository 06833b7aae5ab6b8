/**
 * Suspend: a machine whose monotonic clock stood still wakes with deadlines that look live. Machines are suspended at
 * random instants, also while claims and requests are under way, for as long as others need to take over.
 */
import { expect, test } from "vitest"
import { createRandom, draw } from "../../node-agent/core/random.ts"
import type * as world from "../../node-agent/simulation/world.ts"
import { World } from "../../node-agent/simulation/world.ts"
import { configOf, type LayoutName } from "../support/layouts.ts"
import { importPatched } from "../support/patched.ts"

const layouts: readonly LayoutName[] = ["1x2", "1x3", "2x2", "3x1"]
const naps = [5, 60, 200, 390, 450, 700, 2_500, 11_000, 25_000]

/** What the oracle objects to in one run, and whether the service is active at its end. */
function suspends(Made: typeof World, layout: LayoutName, seed: number) {
  const random = createRandom(seed)
  const world = new Made(configOf(layout), { seed })
  const ids = [...world.hosts.keys()]
  world.start()
  for (let count = 0; count < 12 && world.violations.length === 0; count += 1) {
    world.run(draw(random) * (draw(random) < 0.5 ? 300 : 12_000))
    const id = ids[Math.floor(draw(random) * ids.length)] ?? 1
    world.suspend(id)
    world.run(naps[Math.floor(draw(random) * naps.length)] ?? 0)
    world.resume(id)
  }
  const recovered = world.runUntil(() => world.active("ledger").length > 0, 45_000)
  return { violations: world.violations, recovered }
}

test.each(layouts)("[L11] nobody acts on what a clock that stood still says: %s", (layout) => {
  for (let seed = 1; seed <= 4; seed += 1) {
    expect(suspends(World, layout, seed), `seed ${seed}`).toEqual({ violations: [], recovered: true })
  }
})

const taken = [
  { rule: "deadlines of services", layout: "1x3", find: "activation.epoch !== undefined", replace: "false" },
  {
    rule: "votes for the mandate",
    layout: "2x2",
    find: "votes: new Map(), requests: new Map()",
    replace: "",
  },
] as const

test.each(taken)(
  "[L11] the oracle objects where these are kept: $rule",
  async ({ layout, find, replace }) => {
    const patches = [{ file: "node-agent/core/suspend.ts", find, replace }]
    const { World: Patched } = (await importPatched(
      "node-agent/simulation/world.ts",
      patches,
    )) as typeof world
    const seed = Array.from({ length: 40 }, (_, index) => index + 1).find(
      (each) => suspends(Patched, layout, each).violations.length > 0,
    )
    expect(seed).toBeDefined()
  },
)
