/** What a coordinator knows of the voice when the role has gone from one member to another (SPEC S3, W11, VL8). */
import { expect, test } from "vitest"
import { World } from "../../node-agent/simulation/world.ts"
import { voiceLease } from "../../protocol/lease.ts"
import { nodeId } from "../../protocol/units.ts"
import { service } from "../support/config-builder.ts"
import { configOf } from "../support/layouts.ts"

/** Longer than a role takes to be handed over. */
const margin = 30_000
const slow = service("ledger", { proof: "self-lease", self_lease_margin_ms: margin })

/** Node 1 runs the service, its half of the site has the voice, and the other half is cut off from all. */
function splitWorld(): World {
  const options = { seed: 1, netJitter: 0, rateError: 0 }
  const world = new World(configOf("1x4", { service: [slow] }), options)
  world.start()
  expect(world.runUntil(() => world.active("ledger")[0] === 1, 15_000)).toBe(true)
  world.run(3000)
  cutOff(world, 3, 4)
  for (const a of [1, 2]) for (const b of [3, 4]) world.cut(a, b)
  world.run(10_000)
  return world
}

function cutOff(world: World, ...ids: number[]): void {
  for (const id of ids) world.cut(id, "@witness")
}

function letTo(world: World, ...ids: number[]): void {
  for (const id of ids) for (const way of [`${id}>@witness`, `@witness>${id}`]) world.cuts.delete(way)
}

/** As the witness has it. */
function grantedTo(world: World, ...members: number[]): boolean {
  const { site } = world.core(1).self
  const holder = world.witness.state.leases[voiceLease(site)]?.grant?.holder
  return holder?.kind === "view" && holder.members.join() === members.join()
}

function startedAfter(world: World, from: number): number {
  const starting = world.log.find(({ at, event }) => at > from && event === "service-starting")
  return (starting?.at ?? Number.POSITIVE_INFINITY) - from
}

test("[S3] [W11] the grant is lost on its way, the role goes to another: it waits for the margin all the same", () => {
  const world = splitWorld()
  cutOff(world, 1, 2)
  letTo(world, 3, 4)
  const first = world.core(3).view?.coordinator ?? 0
  expect(world.runUntil(() => grantedTo(world, 3, 4), 30_000)).toBe(true)
  world.cuts.add(`@witness>${first}`)
  const granted = world.now
  expect(world.runUntil(() => world.core(3).view?.coordinator === 7 - first, 20_000)).toBe(true)
  expect(world.runUntil(() => world.active("ledger").length > 0, 60_000)).toBe(true)
  expect(startedAfter(world, granted)).toBeGreaterThanOrEqual(margin)
  expect(world.violations).toEqual([])
})

test("[S3] [VL8] the role is away while the voice is lost and got back: who has it again waits for the margin", () => {
  const world = splitWorld()
  cutOff(world, 1)
  expect(world.runUntil(() => world.core(2).view?.coordinator === 2, 10_000)).toBe(true)
  world.run(3000)
  cutOff(world, 2)
  letTo(world, 3, 4)
  expect(world.runUntil(() => grantedTo(world, 3, 4), 30_000)).toBe(true)
  expect(world.runUntil(() => world.active("ledger")[0] === 3, 60_000)).toBe(true)
  cutOff(world, 3, 4)
  letTo(world, 2)
  expect(world.runUntil(() => grantedTo(world, 1, 2), 40_000)).toBe(true)
  const granted = world.now
  expect(world.runUntil(() => world.core(1).view?.voice.epoch === 3, 1000)).toBe(true)
  expect(world.core(2).view?.coordinator).toBe(2)
  cutOff(world, 2)
  letTo(world, 1)
  expect(world.runUntil(() => world.core(1).view?.coordinator === 1, 30_000)).toBe(true)
  expect(world.runUntil(() => world.active("ledger").length > 0, 60_000)).toBe(true)
  expect(startedAfter(world, granted)).toBeGreaterThanOrEqual(margin)
  expect(world.violations).toEqual([])
})

test("[VL6] [R14] a grant comes when the role was given away: nothing is decided before the memo is known", () => {
  const world = splitWorld()
  world.command(1, { kind: "node-standby", node: nodeId(2) })
  world.run(3000)
  letTo(world, 3, 4)
  // That the other one had no way to the witness is forgotten by then.
  world.run(30_000)
  cutOff(world, 1, 2)
  const first = world.core(3).view?.coordinator ?? nodeId(0)
  const other = nodeId(7 - first)
  const seenFor = (): number => {
    const { witness, self, steppedAt } = world.core(first)
    return steppedAt - (witness.watches.get(voiceLease(self.site))?.since ?? steppedAt)
  }
  expect(world.runUntil(() => seenFor() > 10_000, 30_000)).toBe(true)
  // The answer to the next claim takes longer than two posts are waited for.
  world.uplink.slow = 2500
  expect(world.runUntil(() => world.core(other).view?.coordinator === other, 10_000)).toBe(true)
  const epochAt = (id: number) => world.core(id).view?.voice.epoch ?? 0
  expect(world.runUntil(() => epochAt(first) > 0, 3000)).toBe(true)
  expect(world.core(other).view?.coordinator).toBe(other)
  world.run(20)
  world.command(other, { kind: "node-standby", node: first })
  world.uplink.slow = 0
  expect(world.runUntil(() => epochAt(other) > 0, 20_000)).toBe(true)
  world.run(5000)
  expect(world.core(other).ordered.standby).toContain(2)
  expect(world.core(first).ordered.standby).toEqual(world.core(other).ordered.standby)
  expect(world.violations).toEqual([])
})

test("[R14] [VL6] a grant comes when the ring is left: the next view, which was granted nothing, acknowledges nothing", () => {
  const world = new World(configOf("1x4"), { seed: 1, netJitter: 0, rateError: 0 })
  world.start()
  expect(world.runUntil(() => world.active("ledger").length === 1, 15_000)).toBe(true)
  world.run(3000)
  cutOff(world, 3, 4)
  for (const a of [1, 2]) for (const b of [3, 4]) world.cut(a, b)
  const request = world.command(1, { kind: "node-standby", node: nodeId(4) })
  const tell = world.event.bind(world)
  const held: Parameters<typeof tell>[] = []
  world.event = (...told) => {
    if (told[0] === 1 && told[1].kind === "witness-replied") held.push(told)
    else tell(...told)
  }
  expect(world.runUntil(() => grantedTo(world, 1, 2), 3000)).toBe(true)
  world.cut(1, 2)
  expect(world.runUntil(() => world.core(1).membership.kind === "recovery" && held.length > 0, 3000)).toBe(
    true,
  )
  for (const told of held) tell(...told)
  expect(world.runUntil(() => world.core(1).view?.members.length === 1, 1000)).toBe(true)
  expect(world.core(1).view?.standing.kind).toBe("minority")
  world.run(1000)
  expect(world.core(1).view?.entitled).toBe(false)
  expect(world.answers.filter((each) => each.request === request)).toEqual([])
  expect(world.violations).toEqual([])
})
