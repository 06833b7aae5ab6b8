/** A view that lost the witness's voice to another one and got it back, its ring unbroken all the time (SPEC VL8). */
import { expect, test } from "vitest"
import { World } from "../../node-agent/simulation/world.ts"
import { service } from "../support/config-builder.ts"
import { configOf } from "../support/layouts.ts"

const margin = 3000
const slow = service("ledger", { proof: "self-lease", self_lease_margin_ms: margin })

test("[VL8] [S3] it knows what the other one ran, and waits for the margin from its new grant on", () => {
  const world = new World(configOf("1x2", { service: [slow] }), { seed: 1, netJitter: 0, rateError: 0 })
  const activeOn = (id: number) => world.active("ledger")[0] === id
  world.start()
  world.runUntil(() => activeOn(1), 10_000)
  // Both have met the witness.
  world.run(1000)
  world.cut("1", "2")
  world.run(1000)
  for (const [loses, gains] of [
    [1, 2],
    [2, 1],
    [1, 2],
  ] as const) {
    world.heal()
    world.cut("1", "2")
    world.cut(String(loses), "@witness")
    const from = world.log.length
    expect(world.runUntil(() => activeOn(gains), 40_000)).toBe(true)
    const news = world.log.slice(from).filter(({ node }) => node === gains)
    const granted = news.find(({ event }) => event === "voice-granted")
    const starting = news.find(({ event }) => event === "service-starting")
    expect((starting?.at ?? 0) - (granted?.at ?? Number.POSITIVE_INFINITY)).toBeGreaterThanOrEqual(
      margin * 0.999,
    )
  }
  expect(world.violations).toEqual([])
})
