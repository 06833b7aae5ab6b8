/**
 * I5: a command that was acknowledged is not lost by any fault that leaves a quorum. One node at a time fails, at once
 * after the acknowledgement, the one that gave it more often than not; the others go on, then it comes back.
 */
import { describe, expect, test } from "vitest"
import { createRandom, draw } from "../../node-agent/core/random.ts"
import { World } from "../../node-agent/simulation/world.ts"
import { serviceName } from "../../protocol/units.ts"
import { configOf, type LayoutName } from "../support/layouts.ts"

const service = serviceName("ledger")
const layouts: readonly LayoutName[] = ["1x2", "1x3", "1x4-last-man-standing"]
const seeds = Array.from(
  { length: Number(process.env.SEEDS ?? 3) },
  (_, index) => Number(process.env.FIRST ?? 1) + index,
)

/** Commands acknowledged, and what was wanted by the last of them against what the nodes want. */
function play(layout: LayoutName, seed: number) {
  const random = createRandom(seed * 104_729)
  const world = new World(configOf(layout), { seed, jitter: 0.5, loss: draw(random) < 0.5 ? 0 : 0.02 })
  const ids = [...world.hosts.keys()]
  const pick = () => ids[Math.floor(draw(random) * ids.length)] ?? 1
  const isWhole = () => ids.every((id) => world.host(id).node?.view?.members.length === ids.length)
  const wants = (id: number) =>
    world.core(id).ordered.services.find((each) => each.service === service)?.wanted
  const lost: string[] = []
  let acknowledged = 0
  world.start()
  world.runUntil(isWhole, 10_000)
  for (let round = 0; round < 8; round++) {
    const origin = pick()
    const kind = draw(random) < 0.5 ? "service-stop" : "service-start"
    const request = world.command(origin, { kind, service })
    const answer = () => world.answers.find((each) => each.request === request)
    world.runUntil(() => answer() !== undefined, 12_000)
    const victim = draw(random) < 0.6 ? origin : pick()
    world.kill(victim)
    world.run(500 + draw(random) * 2000)
    world.start(victim)
    if (!world.runUntil(isWhole, 70_000)) lost.push(`round ${round}: not whole again`)
    if (answer()?.result.kind !== "done") continue
    acknowledged += 1
    const wanted = kind === "service-stop" ? "stopped" : "running"
    for (const id of ids)
      if (wants(id) !== wanted) lost.push(`round ${round}: node ${id} wants ${wants(id)}, not ${wanted}`)
  }
  return { lost, violations: world.violations, acknowledged }
}

describe.each(layouts)("[I5] %s", (layout) => {
  test.each(seeds)("seed %i", (seed) => {
    const { lost, violations, acknowledged } = play(layout, seed)
    expect({ layout, seed, lost, violations }).toEqual({ layout, seed, lost: [], violations: [] })
    expect(acknowledged).toBeGreaterThan(4)
  })
})
