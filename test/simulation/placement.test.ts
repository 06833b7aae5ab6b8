/** Where services go, in virtual time, with the real core: what text scripts (test/scenarios) do not say. */
import { expect, test } from "vitest"
import { createRandom } from "../../node-agent/core/random.ts"
import { allFaults } from "../../node-agent/simulation/fault-tables.ts"
import { Faults } from "../../node-agent/simulation/faults.ts"
import { World } from "../../node-agent/simulation/world.ts"
import { nodeId, serviceName } from "../../protocol/units.ts"
import { protocolVersions } from "../../protocol/version.ts"
import { accepted, parse, service, sitesOf, witness } from "../support/config-builder.ts"
import { configOf, selfLease } from "../support/layouts.ts"

const ids = [1, 2, 3]
const isOrdered = "node-standby is ordered"
const former = { min: 1, max: 1 }

function formed(older: readonly number[] = [], seed = 5): World {
  const world = new World(configOf("1x3"), { seed })
  for (const id of older) world.host(id).versions = former
  world.start()
  expect(world.runUntil(() => isWhole(world), 3_000)).toBe(true)
  world.run(1_000)
  return world
}

function isWhole(world: World): boolean {
  return ids.every((id) => world.core(id).view?.members.length === 3) && world.active("ledger").length === 1
}

function answered(world: World, request: number): string | undefined {
  return world.answers.find((each) => each.request === request)?.result.message
}

test("[N6] a setting is refused while an agent of version 1 is in the ring, and known to all once it is upgraded", () => {
  const world = formed([3])
  const standby = { kind: "node-standby", node: nodeId(1) } as const
  const early = world.command(1, standby)
  world.run(200)
  expect(answered(world, early)).toMatch(/^not every agent .* knows it/)
  world.event(nodeId(3), { kind: "stop-requested" })
  expect(world.runUntil(() => world.host(3).node === undefined, 5_000)).toBe(true)
  world.host(3).versions = protocolVersions
  world.start(3)
  expect(world.runUntil(() => isWhole(world), 8_000)).toBe(true)
  world.run(2_000)
  const late = world.command(1, standby)
  expect(world.runUntil(() => answered(world, late) === isOrdered, 1_000)).toBe(true)
  expect(world.runUntil(() => world.active("ledger")[0] !== 1, 1_000)).toBe(true)
  for (const id of ids) expect(world.core(id).ordered.standby).toEqual([1])
  expect(world.violations).toEqual([])
})

test("[N6] an agent of version 1 that joins takes a standby over and passes it on", () => {
  const world = formed()
  world.command(1, { kind: "node-standby", node: nodeId(3) })
  world.run(1_000)
  world.kill(1)
  world.run(1_000)
  world.host(1).versions = former
  world.start(1)
  expect(world.runUntil(() => isWhole(world), 8_000)).toBe(true)
  world.kill(2, 3)
  world.run(1_000)
  world.start(2, 3)
  expect(world.runUntil(() => isWhole(world), 20_000)).toBe(true)
  expect(world.core(2).ordered.standby).toEqual([3])
  expect(world.violations).toEqual([])
})

test("[S16] [I5] wherever the first owner is killed, a standby that was acknowledged stands", () => {
  for (let after = 0; after < 60; after += 3) {
    const world = formed([], 5 + after)
    const [owner = 0] = world.active("ledger")
    const asked = world.command(2, { kind: "node-standby", node: nodeId(owner) })
    world.run(after)
    world.kill(owner)
    world.run(3_000)
    world.start(owner)
    expect(world.runUntil(() => isWhole(world), 8_000)).toBe(true)
    world.run(10_000)
    if (answered(world, asked) === isOrdered)
      for (const id of ids) expect(world.core(id).ordered.standby).toEqual([owner])
    expect(world.active("ledger")).not.toContain(owner)
    expect(world.violations).toEqual([])
  }
})

test("[S16] a node of another site or of none is refused", () => {
  const world = new World(configOf("2x2"), { seed: 5 })
  world.start()
  expect(world.runUntil(() => world.active("ledger").length === 1, 20_000)).toBe(true)
  const other = world.command(1, { kind: "node-standby", node: nodeId(3) })
  const nobody = world.command(1, { kind: "node-online", node: nodeId(9) })
  world.run(200)
  expect(answered(world, other)).toMatch("ask an agent of that site")
  expect(answered(world, nobody)).toBe("there is no node 9")
})

test.each([1, 2, 3, 4, 5, 6])(
  "[S18] seed %i: through faults, moves, standby and maintenance services apart never act on one node",
  (seed) => {
    const apart = [
      service("archive", selfLease),
      service("ledger", { ...selfLease, anti_affinity: ["archive"], failback_after_s: 2 }),
    ]
    const world = new World(configOf("1x3", { service: apart }), { seed })
    const faults = new Faults(world, createRandom(seed), allFaults)
    world.start()
    const shared = () => world.active("archive").some((id) => world.active("ledger").includes(id))
    for (let count = 0; count < 150; count++) {
      expect(world.runUntil(shared, 200)).toBe(false)
      if (count % 3 === 2) faults.next()
    }
    faults.mend()
    for (const id of ids) {
      world.command(id, { kind: "node-online", node: nodeId(id) })
      world.command(id, { kind: "maintenance-off", service: undefined })
    }
    expect(world.runUntil(shared, 20_000)).toBe(false)
    expect(world.violations).toEqual([])
  },
)

test("[S2] [P1] an operator who vouched for the other site is not asked again when the service fails or is moved", () => {
  const world = new World(configOf("2x2", { service: [service("ledger", { proof: "operator" })] }))
  const runsOn = (id: number) => world.runUntil(() => world.active("ledger")[0] === id, 30_000)
  world.start()
  expect(runsOn(1)).toBe(true)
  for (const id of [1, 2]) world.powerOff(id)
  world.run(30_000)
  expect(world.active("ledger")).toEqual([])
  for (const id of [1, 2]) world.command(3, { kind: "fence-confirm", node: nodeId(id) })
  expect(runsOn(3)).toBe(true)
  world.start(1)
  world.start(2)
  // A new view does not know any more what was vouched for in the one before.
  world.kill(4)
  world.run(3000)
  world.start(4)
  world.run(10_000)
  world.die(3, serviceName("ledger"))
  world.run(5000)
  expect(world.active("ledger")).toHaveLength(1)
  const [owner] = world.active("ledger")
  const other = owner === 3 ? 4 : 3
  world.command(3, { kind: "service-move", service: serviceName("ledger"), to: nodeId(other) })
  expect(runsOn(other)).toBe(true)
  expect(world.violations).toEqual([])
})

test("[S2] [P1] nor by a coordinator that was away when its service was started there", () => {
  const ledger = service("ledger", { proof: "operator" })
  const plain = { ...sitesOf({ north: 3, south: 3 }), witness, service: [ledger] }
  const world = new World(accepted(parse(plain)))
  const runsOn = (id: number) => world.runUntil(() => world.active("ledger")[0] === id, 30_000)
  const move = (id: number) =>
    world.command(4, { kind: "service-move", service: serviceName("ledger"), to: nodeId(id) })
  world.start()
  expect(runsOn(1)).toBe(true)
  world.powerOff(1, 2, 3)
  world.run(35_000)
  for (const id of [1, 2, 3]) world.command(4, { kind: "fence-confirm", node: nodeId(id) })
  expect(runsOn(4)).toBe(true)
  move(5)
  expect(runsOn(5)).toBe(true)
  world.kill(4)
  world.run(3000)
  world.start(4)
  world.run(8000)
  expect(world.core(5).view?.coordinator).toBe(4)
  move(6)
  expect(runsOn(6)).toBe(true)
  expect(world.violations).toEqual([])
})
