/** Files that are edited on one node after another, in a cluster that never changed live (SPEC LC6, S11). */
import { expect, test } from "vitest"
import { accepted, parse, witness } from "../support/config-builder.ts"
import { changeableWorld, cluster } from "../support/configurations.ts"

test.each([3, 4])("[LC6] [R6] one of %i nodes once lost its record, another has a new file: one of the two is left out", (count) => {
  const world = changeableWorld(cluster(count, 1), 4)
  const sizeAt = (id: number) => world.core(id).view?.members.length
  const isOperational = (id: number) => world.core(id).membership.kind === "operational"
  world.start()
  world.run(5000)
  world.kill(count)
  world.loseDisk(count)
  world.start(count)
  world.run(60_000)
  expect(world.core(count).durable.state.forgot).toBe(false)
  expect(sizeAt(2)).toBe(count)
  world.kill(1)
  world.host(1).config = accepted(parse(cluster(count, 1, { witness, timings: { voice_ttl_ms: 11_000 } })))
  world.start(1)
  world.run(5000)
  expect(world.runUntil(() => isOperational(2) && sizeAt(2) === count - 1, 5000)).toBe(true)
  expect(world.active("ledger")).toHaveLength(1)
  expect(world.violations).toEqual([])
})
