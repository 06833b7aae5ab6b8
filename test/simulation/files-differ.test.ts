/** Files that are edited on one node after another, in a cluster that never changed live (SPEC LC6, S11). */
import { expect, test } from "vitest"
import type { World } from "../../node-agent/simulation/world.ts"
import { accepted, parse, witness } from "../support/config-builder.ts"
import { changeableWorld, cluster } from "../support/configurations.ts"

const sizeAt = (world: World, id: number) => world.core(id).view?.members.length
const isOperational = (world: World, id: number) => world.core(id).membership.kind === "operational"

/** The last node lost its record long ago; the first one has another file of the same version now. */
function edited(count: number, version: number): World {
  const world = changeableWorld(cluster(count, version), 4)
  world.start()
  world.run(5000)
  world.kill(count)
  world.loseDisk(count)
  world.start(count)
  world.run(60_000)
  expect(world.core(count).durable.state.forgot).toBe(false)
  expect(sizeAt(world, 2)).toBe(count)
  world.kill(1)
  const other = cluster(count, version, { witness, timings: { voice_ttl_ms: 11_000 } })
  world.host(1).config = accepted(parse(other))
  world.start(1)
  world.run(5000)
  return world
}

test.each([3, 4])(
  "[LC6] [R6] who lost its record and who has another file: one of %i is left out",
  (count) => {
    const world = edited(count, 2)
    const isFormed = () => isOperational(world, 2) && sizeAt(world, 2) === count - 1
    expect(world.runUntil(isFormed, 5000)).toBe(true)
    expect(world.active("ledger")).toHaveLength(1)
    expect(world.violations).toEqual([])
  },
)

test("[LC6] [S11] files of version 1, which no ring has ordered, lock the services and nothing else", () => {
  const world = edited(3, 1)
  expect(world.runUntil(() => [1, 2, 3].every((id) => sizeAt(world, id) === 3), 5000)).toBe(true)
  expect(world.active("ledger")).toHaveLength(1)
  expect(world.violations).toEqual([])
})
