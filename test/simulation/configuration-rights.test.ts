/** What rights and proofs a live change must not outlast (SPEC LC2, LC5, W9). */
import { describe, expect, test } from "vitest"
import { documentOf } from "../../node-agent/simulation/documents.ts"
import type { World } from "../../node-agent/simulation/world.ts"
import { nodeId, serviceName } from "../../protocol/units.ts"
import { oneSite, type Plain, service, sitesOf, threePairs, witness } from "../support/config-builder.ts"
import { apply, changeableWorld, versions } from "../support/configurations.ts"
import { selfLease } from "../support/layouts.ts"

const worldOf = (plain: Plain): World => changeableWorld(plain, 1)

test("[LC5] [W9] with a shorter TTL the rest of votes that were had under the longer one is given up", () => {
  const plain = (version: number, ttl: number): Plain => ({
    ...sitesOf({ north: 3, south: 3 }),
    witness,
    service: [service("ledger", selfLease)],
    version,
    timings: { mandate_ttl_ms: ttl },
  })
  const world = worldOf(plain(1, 60_000))
  world.start()
  world.run(20_000)
  world.cut("north", "south")
  world.run(90_000)
  expect(apply(world, 1, plain(2, 10_000))).toContain("done")
  world.run(6000)
  expect(versions(world).every((each) => each.endsWith(":2"))).toBe(true)
  expect(world.active("ledger")).toEqual([1])
  world.cut("north", "@witness")
  world.run(20_000)
  expect(world.active("ledger")).toEqual([4])
  expect(world.violations).toEqual([])
})

test("[LC5] [M9] who lost its record does not vote before a longer TTL is over that only another member knows of", () => {
  const plain = (version: number, ttl: number): Plain => ({
    ...threePairs(),
    service: [service("ledger", selfLease)],
    version,
    timings: { mandate_ttl_ms: ttl },
  })
  const world = worldOf(plain(1, 60_000))
  world.start()
  world.run(20_000)
  // What is left of the votes of west, and of what node 4 knows of south's, runs out.
  world.cut("north", "west")
  world.cut(3, 4)
  world.cut("north", 4)
  world.run(150_000)
  expect(world.active("ledger")).toEqual([1])
  world.cut("north", "south")
  expect(apply(world, 5, plain(2, 10_000))).toContain("done")
  world.run(3000)
  world.kill(3)
  world.loseDisk(3)
  world.heal()
  world.cut("north", "west")
  world.cut("north", "south")
  world.start(3)
  world.run(24_000)
  expect(world.core(3).view?.members).toEqual([3, 4])
  expect(world.active("ledger")).toEqual([1])
  world.run(90_000)
  expect(world.active("ledger")).toHaveLength(1)
  expect(world.active("ledger")).not.toEqual([1])
  expect(world.violations).toEqual([])
})

test("[LC5] [M4] who was away for a whole version is bound by the TTL that it never had in use", () => {
  const firstChoiceFirst = ["south", "north", "west"].map((name) => ({ name }))
  const plain = (version: number, ttl: number): Plain => ({
    ...sitesOf({ north: 2, south: 2, west: 2 }),
    site: firstChoiceFirst,
    witness,
    service: [service("ledger", selfLease)],
    version,
    timings: { mandate_ttl_ms: ttl },
  })
  const world = worldOf(plain(1, 10_000))
  world.start()
  world.run(20_000)
  world.kill(2)
  world.run(15_000)
  expect(apply(world, 1, plain(2, 60_000))).toContain("done")
  // The vote of west gets free; south goes on with that of north, and counts it for a minute.
  world.cut("south", "west")
  world.run(140_000)
  world.cut("south", "north")
  world.cut("south", "@witness")
  expect(apply(world, 1, plain(3, 10_000))).toContain("done")
  world.run(4000)
  // The other node of north has the pledge from the memo, and was never told of version 2.
  world.kill(1)
  world.start(2)
  world.run(40_000)
  expect(versions(world)).toEqual(["2:3", "3:2", "4:2", "5:3", "6:3"])
  expect(world.active("ledger")).toEqual([3])
  world.runUntil(() => world.active("ledger").includes(nodeId(5)), 60_000)
  expect(world.active("ledger")).toEqual([5])
  expect(world.violations).toEqual([])
})

describe("[LC2] a node that is to be removed comes back before it is a fact", () => {
  const slow = service("ledger", { proof: "self-lease", self_lease_margin_ms: 8000 })
  const cluster = (count: number, version: number, more: Plain = {}): Plain => ({
    ...oneSite(count),
    version,
    service: [slow],
    ...more,
  })

  /** An operator wants the service on node 3, which is down. */
  const without3 = (plain: Plain): World => {
    const world = worldOf(plain)
    world.start()
    world.run(8000)
    world.command(1, { kind: "service-move", service: serviceName("ledger"), to: nodeId(3) })
    world.run(5000)
    world.kill(3)
    world.run(20_000)
    expect(world.active("ledger")).toHaveLength(1)
    return world
  }

  test.each([1.3, 2.5, 4.1])("one or two have stored it, and one is cut off after %d ms", (delay) => {
    const world = without3(cluster(3, 1))
    world.command(1, { kind: "configure", document: documentOf(cluster(2, 2)) })
    world.run(delay)
    world.cut(1, 2)
    world.cut(1, 3)
    world.run(2000)
    world.start(3)
    world.run(15_000)
    world.services.stopHanging.add("3:ledger")
    world.heal()
    world.run(10_000)
    expect(world.active("ledger")).toHaveLength(1)
    expect(world.violations).toEqual([])
  })

  test("the witness is away, so it is not registered", () => {
    const world = without3(cluster(3, 1, { witness }))
    for (const id of [1, 2, 3]) world.cut(id, "@witness")
    expect(apply(world, 1, cluster(2, 2, { witness }))).toContain("not active in time")
    world.start(3)
    world.run(20_000)
    expect(world.core(3).view?.members).toEqual([1, 2, 3])
    expect(world.active("ledger")).toEqual([1])
    world.heal()
    world.run(10_000)
    expect(versions(world)).toEqual(["1:2", "2:2"])
    expect(world.active("ledger")).toEqual([1])
    expect(world.violations).toEqual([])
  })
})
