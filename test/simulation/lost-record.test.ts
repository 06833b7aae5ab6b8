/** What nodes keep of what they learnt from others, and nodes that lost all of it (SPEC S8, V12, W6). */
import { describe, expect, test } from "vitest"
import { readDocument } from "../../node-agent/simulation/documents.ts"
import { World } from "../../node-agent/simulation/world.ts"
import { accepted, oneSite, type Plain, parse, service, twoSites } from "../support/config-builder.ts"
import { apply, install } from "../support/configurations.ts"
import { configOf, selfLease } from "../support/layouts.ts"

const { witness } = twoSites()

function cluster(count: number, version: number, more: Plain = { witness }): Plain {
  return { ...oneSite(count), version, service: [service("ledger", selfLease)], ...more }
}

const worldOf = (plain: Plain): World =>
  new World(accepted(parse(plain)), { seed: 4, readConfiguration: readDocument })

describe("[S8] who comes back to a service that runs under a higher voice epoch keeps that", () => {
  test.each([
    ["with `init`", false],
    ["without", true],
  ])(
    "a pair grows to three, all go down, and the one that had the voice stays away; the third started %s",
    (_, isLost) => {
      const world = worldOf(cluster(2, 1))
      world.start()
      world.run(8_000)
      world.kill(1)
      world.run(20_000)
      expect(world.active("ledger")).toEqual([2])
      world.start(1)
      world.run(20_000)
      expect(apply(world, 1, cluster(3, 2))).toContain("done")
      install(world, cluster(3, 2), 3)
      if (isLost) world.loseDisk(3)
      world.start(3)
      world.run(60_000)
      world.kill(1, 2, 3)
      world.run(3_000)
      world.start(1, 3)
      world.run(30_000)
      expect(world.active("ledger")).toHaveLength(1)
      expect(world.violations).toEqual([])
    },
  )

  test("[V12] so does one that lost its record since", () => {
    const world = new World(configOf("1x4"), { seed: 4 })
    world.start()
    world.run(5_000)
    world.kill(1, 2)
    world.run(20_000)
    expect(world.active("ledger")).toHaveLength(1)
    world.start(1, 2)
    world.run(20_000)
    world.kill(4)
    world.loseDisk(4)
    world.run(3_000)
    world.start(4)
    world.run(90_000)
    expect(world.core(4).durable.state.forgot).toBe(false)
    world.kill(1, 2, 3, 4)
    world.run(5_000)
    world.start(1, 2, 4)
    world.run(60_000)
    expect(world.active("ledger")).toHaveLength(1)
    expect(world.violations).toEqual([])
  })
})

test("[W6] [V12] a site that lost its pin believes no witness after a restart either, until an operator says so", () => {
  const world = new World(configOf("2x1"), { seed: 4 })
  world.start()
  world.run(20_000)
  world.kill(2)
  world.loseDisk(2)
  world.start(2)
  world.run(60_000)
  world.kill(2)
  world.cut("north", "south")
  world.cut("south", "@witness")
  world.run(1_000)
  world.start(2)
  world.run(40_000)
  world.witness.replace()
  world.cuts.delete("south>@witness")
  world.cuts.delete("@witness>south")
  world.run(30_000)
  expect(world.core(2).witness.pin).toBeUndefined()
  expect(world.core(2).witness.quarantine).toBe("no-pin")
  expect(world.active("ledger")).not.toContain(2)
  world.command(2, { kind: "witness-accept" })
  world.run(60_000)
  expect(world.core(2).witness.pin).toBe(world.witness.state.witness)
  expect(world.violations).toEqual([])
})

test("[V12] votes come back where the witness was never met", () => {
  const world = worldOf(cluster(3, 1))
  for (const id of [1, 2, 3]) world.cut(id, "@witness")
  world.start()
  world.run(10_000)
  for (const id of [1, 2, 3]) {
    world.kill(id)
    world.loseDisk(id)
    world.run(1_000)
    world.start(id)
    world.run(60_000)
  }
  world.kill(3)
  world.run(10_000)
  expect(world.active("ledger")).toHaveLength(1)
  expect(world.violations).toEqual([])
})

test.each([
  ["with a witness", { witness }],
  ["without", {}],
])("[LC4] [V12] %s: no change under which the votes that count would not do", (_, more) => {
  const world = worldOf(cluster(2, 1, more))
  world.start()
  world.run(8_000)
  world.kill(2)
  world.run(1_000)
  world.loseDisk(2)
  world.start(2)
  const isBack = () => world.core(1).view?.members.length === 2 && world.active("ledger").length === 1
  expect(world.runUntil(isBack, 20_000)).toBe(true)
  expect(apply(world, 1, cluster(3, 2, more))).toContain("would not speak for the site")
  world.run(60_000)
  // It remembers again.
  expect(apply(world, 1, cluster(3, 2, more))).toContain("done")
  expect(world.violations).toEqual([])
})
