/**
 * Agents of this version and of the one before in one ring: they form, take over from each other, and are upgraded one
 * after the other while the service goes on. What the older one does not know is never sent to it.
 */
import { expect, test } from "vitest"
import { ringVersion } from "../../node-agent/core/report.ts"
import { World } from "../../node-agent/simulation/world.ts"
import { protocolVersions } from "../../protocol/version.ts"
import { configOf } from "../support/layouts.ts"

const former = { min: protocolVersions.min, max: protocolVersions.max - 1 }
const ids = [1, 2, 3]

function mixed(...older: readonly number[]): World {
  const world = new World(configOf("1x3"), { seed: 5 })
  for (const id of older) world.host(id).versions = former
  world.start()
  expect(world.runUntil(() => isWhole(world), 3_000)).toBe(true)
  return world
}

function isWhole(world: World): boolean {
  return ids.every((id) => world.core(id).view?.members.length === 3) && world.active("ledger").length === 1
}

test.each([[[1]], [[2]], [[3]], [[1, 2]], [[2, 3]], [[1, 2, 3]]])(
  "[N2] [N3] nodes %j of the former version: one ring, at its version, and each takes over",
  (older) => {
    const world = mixed(...older)
    for (const id of ids) expect(ringVersion(world.core(id))).toBe(former.max)
    for (let round = 0; round < 3; round++) {
      const [owner = 0] = world.active("ledger")
      world.kill(owner)
      expect(world.runUntil(() => world.active("ledger").some((id) => id !== owner), 1_500)).toBe(true)
      world.run(1_000)
      world.start(owner)
      expect(world.runUntil(() => isWhole(world), 8_000)).toBe(true)
    }
    for (const id of ids) expect(world.core(id).dropped.malformed ?? 0).toBe(0)
    expect(world.log.filter(({ level }) => level === "error")).toEqual([])
    expect(world.violations).toEqual([])
  },
)

test("[N1] [N2] a rolling upgrade, and back: the service is never away for longer than a takeover", () => {
  const world = mixed(...ids)
  for (const versions of [protocolVersions, former]) {
    for (const id of ids) {
      world.event(world.host(id).id, { kind: "stop-requested" })
      expect(world.runUntil(() => world.host(id).node === undefined, 5_000)).toBe(true)
      expect(world.runUntil(() => world.active("ledger").length === 1, 1_000)).toBe(true)
      world.host(id).versions = versions
      world.start(id)
      expect(world.runUntil(() => isWhole(world), 8_000)).toBe(true)
    }
    // A range whose hello was overtaken comes again with the next one.
    const spoken = () => ids.map((id) => ringVersion(world.core(id)))
    expect(world.runUntil(() => spoken().every((version) => version === versions.max), 3_000)).toBe(true)
  }
  expect(world.violations).toEqual([])
})

test("[N2] a node without a version in common is left out, and the others go on", () => {
  const world = new World(configOf("1x3"), { seed: 5 })
  world.host(3).versions = { min: 200, max: 201 }
  world.start()
  world.run(3_000)
  expect(world.core(1).view?.members).toEqual([1, 2])
  expect(world.core(1).dropped.version ?? 0).toBeGreaterThan(0)
  expect(world.active("ledger")).toEqual([1])
})

test("[N2] [LC6] a node that is installed anew, with this version and without a record, joins those of the former one", () => {
  const world = mixed(1, 2)
  world.kill(3)
  world.loseDisk(3)
  world.run(1_000)
  world.start(3)
  expect(world.runUntil(() => isWhole(world), 8_000)).toBe(true)
  expect(world.violations).toEqual([])
})
