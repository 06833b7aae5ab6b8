/** A stop that fails (SPEC S12): tried again in time, whatever is ordered meanwhile. */
import { expect, test } from "vitest"
import { World } from "../../node-agent/simulation/world.ts"
import { nodeId, serviceName } from "../../protocol/units.ts"
import { configOf } from "../support/layouts.ts"

test("[S12] a revoked service whose stop fails is not stopped again by every message", () => {
  const world = new World(configOf("1x3"), { seed: 1, netJitter: 0, rateError: 0 })
  world.start()
  world.runUntil(() => world.active("ledger")[0] === 1, 10_000)
  world.run(2000)
  world.services.stopFailing.add("1:ledger")
  world.command(1, { kind: "service-move", service: serviceName("ledger"), to: nodeId(2) })
  const from = world.log.length
  world.run(4000)
  const stops = world.log.slice(from).filter(({ event }) => event === "service-stopping")
  expect(stops.length).toBe(1)
})
