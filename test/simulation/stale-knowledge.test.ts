/** What restarts and absent nodes must not bring back to life. */
import { describe, expect, test } from "vitest"
import { World } from "../../node-agent/simulation/world.ts"
import { nodeId, serviceName } from "../../protocol/units.ts"
import { node, oneSite, type Plain, service, witness } from "../support/config-builder.ts"
import { apply, changeableWorld, versions } from "../support/configurations.ts"
import { configOf, selfLease } from "../support/layouts.ts"

/** Nodes 1 and 2 on one side, 3 and 4 on the other; the named ones do not reach the witness either. */
function halve(world: World, ...cutOff: readonly number[]): void {
  world.heal()
  for (const a of [1, 2]) for (const b of [3, 4]) world.cut(a, b)
  for (const each of cutOff) world.cut(each, "@witness")
}

const slow = { proof: "self-lease", self_lease_margin_ms: 8000 }

test("[S2] [VL6] a memo older than a view that spoke alone ends no doubt, whoever was restarted since", () => {
  const world = new World(configOf("1x4", { service: [service("ledger", slow)] }), { seed: 1 })
  world.start()
  world.run(5000)
  halve(world, 1, 2)
  expect(world.runUntil(() => world.active("ledger")[0] === 3, 40_000)).toBe(true)
  world.heal()
  world.run(15_000)
  world.command(1, { kind: "service-move", service: serviceName("ledger"), to: nodeId(1) })
  world.run(10_000)
  expect(world.active("ledger")).toEqual([1])
  world.services.stopHanging.add("1:ledger")
  halve(world, 1, 2)
  world.powerOff(3, 4)
  world.start(3, 4)
  world.run(7000)
  expect(world.core(3).view?.entitled).toBe(true)
  expect(world.core(3).ordered.services[0]?.doubt).toBe(true)
  world.run(10_000)
  expect(world.active("ledger")).toEqual([3])
  expect(world.violations).toEqual([])
})

describe("[W6] what another object granted is waited for", () => {
  const acceptedInSouth = (...started: readonly number[]): World => {
    const world = new World(configOf("2x3"), { seed: 1 })
    world.start(...started)
    world.run(20_000)
    world.cut("north", "south")
    world.run(20_000)
    expect(world.active("ledger")).toEqual([1])
    world.witness.replace()
    world.run(1000)
    world.command(started.at(-1) ?? 4, { kind: "witness-accept" })
    world.run(500)
    return world
  }

  test.each([[[4]], [[5]], [[4, 5, 6]]])("nodes %j start again meanwhile", (ids) => {
    const world = acceptedInSouth()
    world.kill(...ids)
    world.start(...ids)
    world.run(60_000)
    expect(world.active("ledger")).toHaveLength(1)
    expect(world.core(4).durable.state.witness?.waits).toBeUndefined()
    expect(world.violations).toEqual([])
  })

  test("one that never met any comes to those who accepted it, and coordinates them", () => {
    const world = acceptedInSouth(1, 2, 3, 6, 5)
    world.start(4)
    world.run(60_000)
    expect(world.core(5).view?.coordinator).toBe(4)
    expect(world.active("ledger")).toHaveLength(1)
    expect(world.violations).toEqual([])
  })
})

test("[VL6] versions of a memo are the object's own: another one's is read before it is overwritten", () => {
  const world = new World(configOf("1x4"), { seed: 1 })
  world.start()
  world.run(5000)
  halve(world, 3, 4)
  world.run(20_000)
  const known = world.core(1).memoVersion
  expect(known).toBeGreaterThan(0)
  world.heal()
  world.run(10_000)
  world.witness.replace()
  world.run(3000)
  world.command(1, { kind: "witness-accept" })
  world.run(20_000)
  expect(world.core(1).memoVersion).toBe(0)
  expect(world.violations).toEqual([])
})

describe("[LC4] [W14] of two proposals of one version one is registered", () => {
  const plain = (version: number, more: Plain, votes = {}): Plain => ({
    ...oneSite(4),
    witness,
    service: [service("ledger", selfLease)],
    version,
    node: [1, 2, 3, 4].map((id) => node(id, "north", id === 4 ? votes : {})),
    ...more,
  })

  test("the view that brings the other one is refused, and told", () => {
    const world = changeableWorld(plain(1, {}), 1)
    world.start()
    world.run(5000)
    halve(world, 3, 4)
    world.run(30_000)
    halve(world, 1, 2, 3, 4)
    expect(apply(world, 1, plain(2, { timings: { voice_ttl_ms: 11_000 } }))).toContain("not active in time")
    halve(world, 1, 2)
    world.run(30_000)
    expect(apply(world, 3, plain(2, {}, { votes: 2 }))).toContain("done")
    world.run(5000)
    // It speaks alone from now on.
    expect(world.core(3).view?.standing.kind).toBe("majority-alone")
    halve(world)
    world.run(30_000)
    expect(versions(world)).toEqual(["1:2", "2:2", "3:2", "4:2"])
    expect(world.core(1).config.checksum).toBe(world.core(3).config.checksum)
    expect(world.core(1).view?.standing.kind).toBe("minority")
    expect(world.active("ledger")).toHaveLength(1)
    expect(world.violations).toEqual([])
  })
})
