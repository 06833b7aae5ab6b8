/** What an accepted witness object grants, while the one before it had granted the voice to others (SPEC W6, S3). */
import { expect, test } from "vitest"
import { World } from "../../node-agent/simulation/world.ts"
import { voiceLease } from "../../protocol/lease.ts"
import { service } from "../support/config-builder.ts"
import { configOf } from "../support/layouts.ts"

const margin = 30_000
const slow = service("ledger", { proof: "self-lease", self_lease_margin_ms: margin })

test.each([
  ["a number that it has delivered the word of before", true],
  ["its first one", false],
])("[W6] [S3] %s: the margin is waited for from this grant on", (_, isSecond) => {
  const world = new World(configOf("1x2", { service: [slow] }), { seed: 1, netJitter: 0, rateError: 0 })
  const letTo = (id: number) => {
    for (const way of [`${id}>@witness`, `@witness>${id}`]) world.cuts.delete(way)
  }
  const epoch = () => world.witness.state.leases[voiceLease(world.core(1).self.site)]?.epoch ?? 0
  world.start()
  expect(world.runUntil(() => world.active("ledger")[0] === 1, 10_000)).toBe(true)
  world.run(3000)
  world.cut(1, 2)
  if (isSecond) {
    world.cut(2, "@witness")
    expect(world.runUntil(() => world.core(1).view?.entitledAt === 1, 20_000)).toBe(true)
    world.run(2000)
    letTo(2)
  }
  world.cut(1, "@witness")
  expect(world.runUntil(() => world.active("ledger")[0] === 2, 90_000)).toBe(true)
  world.run(3000)
  world.cut(2, "@witness")
  world.witness.replace()
  letTo(1)
  expect(world.runUntil(() => world.core(1).witness.stranger !== undefined, 20_000)).toBe(true)
  world.command(1, { kind: "witness-accept" })
  expect(world.runUntil(() => epoch() === 1, 60_000)).toBe(true)
  const granted = world.now
  expect(world.runUntil(() => world.active("ledger")[0] === 1, 90_000)).toBe(true)
  expect(world.now - granted).toBeGreaterThanOrEqual(margin)
  expect(world.violations).toEqual([])
})
