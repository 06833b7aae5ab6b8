/** SPEC LN: several links between nodes, each of which fails, loses, delays and comes back; and what nodes say of them. */
import { describe, expect, test } from "vitest"
import { type LinkStatus, linksStatus } from "../../node-agent/core/link-status.ts"
import { createRandom, draw } from "../../node-agent/core/random.ts"
import { localTime } from "../../node-agent/simulation/machine.ts"
import { World } from "../../node-agent/simulation/world.ts"
import { nodeId } from "../../protocol/units.ts"
import { node, type Plain } from "../support/config-builder.ts"
import { configOf } from "../support/layouts.ts"

/** `count` nodes with `links` links each, formed and quiet, the service active. */
function formed(count: number, links: number, more: Plain = {}): World {
  const addresses = (id: number) => Array.from({ length: links }, (_, link) => `10.${link}.0.${id}`)
  const nodes = Array.from({ length: count }, (_, index) =>
    node(index + 1, "north", { links: addresses(index + 1) }),
  )
  const world = new World(configOf("1x3", { node: nodes, ...more }), { seed: count * 10 + links })
  world.start()
  world.run(6_000)
  expect(world.active("ledger")).toHaveLength(1)
  return world
}

const everyLink = (world: World, link: number): readonly string[] => {
  const ids = [...world.hosts.keys()]
  return ids.flatMap((a) => ids.filter((b) => b !== a).map((b) => `${a}>${b}/${link}`))
}

const told = (world: World, from = 0): readonly string[] =>
  world.log
    .filter(({ at, event }) => at >= from && event.startsWith("link-"))
    .map(({ event, fields }) => `${event} ${fields.subject}`)

const statusOf = (world: World, id: number, of: number, link: number): LinkStatus | undefined => {
  const core = world.core(id)
  const peer = core.peers.get(nodeId(of))
  return peer && linksStatus(core, peer, true, localTime(world.host(id), world.now))[link]
}

const views = (world: World): readonly string[] =>
  [...world.hosts.keys()].map((id) => JSON.stringify(world.core(id).view?.ring))

/** Runs, and asserts that the service never paused and no view changed. */
function undisturbed(world: World, duration: number): void {
  const before = views(world)
  const owner = world.active("ledger")
  for (let past = 0; past < duration; past += 5) {
    world.run(5)
    expect(world.active("ledger")).toEqual(owner)
  }
  expect(views(world)).toEqual(before)
  expect(world.violations).toEqual([])
}

describe("two links", () => {
  test.each([0, 1])(
    "[LN1] [LN4] [LN10] link %i pulled everywhere: no view change, no lapse, each pair told once, by its lower id",
    (link) => {
      const world = formed(3, 2)
      for (const way of everyLink(world, link)) world.cuts.add(way)
      undisturbed(world, 5_000)
      const pairs = ["n1-n2", "n1-n3", "n2-n3"].map((pair) => `${pair} link ${link + 1}`)
      expect(told(world).toSorted()).toEqual(pairs.map((pair) => `link-down ${pair}`))
      const tellers = world.log.filter(({ event }) => event === "link-down").map((each) => each.node)
      expect(tellers.toSorted()).toEqual([1, 1, 2])
      expect(statusOf(world, 1, 2, link)).toMatchObject({ state: "down", reason: "nothing is heard" })
      expect(statusOf(world, 1, 2, 1 - link)).toMatchObject({ state: "up" })
      const healed = world.now
      world.heal()
      undisturbed(world, 10_000)
      expect(told(world, healed).toSorted()).toEqual(pairs.map((pair) => `link-up ${pair}`))
    },
  )

  test("[LN2] copies are no replays: neither while a ring runs nor while a node comes back", () => {
    const world = formed(3, 2)
    world.kill(2)
    world.run(2_000)
    world.start(2)
    world.run(10_000)
    expect([1, 2, 3].map((id) => world.core(id).dropped.replayed ?? 0)).toEqual([0, 0, 0])
  })

  test("[LN1] the links of one node pulled in turn, the next when the former is back: nobody notices", () => {
    const world = formed(3, 2)
    for (const link of [0, 1, 0, 1]) {
      for (const way of everyLink(world, link)) if (/^2>|>2/.test(way)) world.cuts.add(way)
      undisturbed(world, 2_000)
      world.heal()
      undisturbed(world, 2_000)
    }
  })

  test.each([
    ["1>2", { heard: 2, deaf: 1 }],
    ["2>1", { heard: 1, deaf: 2 }],
  ])("[LN4] cut one way, %s: down for both, each knows which way", (way, { heard, deaf }) => {
    const world = formed(3, 2)
    world.cuts.add(`${way}/1`)
    undisturbed(world, 6_000)
    expect(statusOf(world, heard, deaf, 1)).toMatchObject({ state: "down", in: { state: "down" } })
    expect(statusOf(world, deaf, heard, 1)).toMatchObject({
      state: "down",
      reason: "the peer hears nothing",
      in: { state: "up" },
      out: { state: "down" },
    })
    expect(told(world)).toEqual(["link-down n1-n2 link 2"])
  })
})

describe("how well a link works", () => {
  test("[LN5] loss above the threshold makes it suspect, by direction; below it, and none at all, it is up", () => {
    const world = formed(3, 2)
    world.lossy.set("1>2/0", 0.02)
    world.lossy.set("2>3/1", 0.0002)
    undisturbed(world, 60_000)
    expect(told(world)).toEqual(["link-suspect n1-n2 link 1"])
    const [there, back] = [statusOf(world, 2, 1, 0), statusOf(world, 1, 2, 0)]
    expect(there?.in.loss_percent).toBeGreaterThan(0.8)
    expect(there?.in.loss_percent).toBeLessThan(4)
    // One or two frames may have been on their way when they were counted first.
    expect(back?.in.loss_percent).toBeLessThan(0.4)
    expect(back?.out?.loss_percent).toBeGreaterThan(0.5)
    expect(back).toMatchObject({ state: "suspect", in: { state: "up" }, out: { state: "suspect" } })
    expect(statusOf(world, 1, 3, 0)).toMatchObject({ state: "up", in: { state: "up" } })
  })

  test.each([
    { spread: 3, kind: [] },
    { spread: 20, kind: ["warning"] },
    { spread: 80, kind: ["critical"] },
  ])("[LN5] delays that vary by up to $spread ms: $kind", ({ spread, kind }) => {
    const world = formed(3, 2, { links: { rtt_ms: 4_000 } })
    const random = createRandom(spread)
    world.slowed.set("1>2/1", () => draw(random) * spread)
    undisturbed(world, 120_000)
    const events = world.core(1).recent.filter((event) => event.kind === "link-suspect")
    const worst = events.some(({ severity }) => severity === "critical") ? "critical" : "warning"
    expect(events.length === 0 ? [] : [worst]).toEqual(kind)
    expect(events.every(({ subject, detail }) => subject === "n1-n2 link 2" && detail.length > 0)).toBe(true)
  })

  test("[LN5] a round trip above the threshold; what is set counts instead", () => {
    const slow = (world: World) => {
      world.slowed.set("1>2/1", () => 40)
      world.slowed.set("2>1/1", () => 40)
      undisturbed(world, 40_000)
      return world
    }
    const world = slow(formed(3, 2))
    expect(told(world)).toEqual(["link-suspect n1-n2 link 2"])
    expect(statusOf(world, 1, 2, 1)?.rtt_ms).toBeGreaterThan(80)
    expect(statusOf(world, 1, 2, 1)?.rtt_ms).toBeLessThan(82)
    expect(statusOf(world, 1, 2, 0)?.rtt_ms).toBeLessThan(2)
    expect(told(slow(formed(3, 2, { links: { rtt_ms: 100 } })))).toEqual([])
  })

  test("[LN6] a link that comes and goes is told less and less", () => {
    const world = formed(3, 2)
    for (let round = 0; round < 60; round++) {
      for (const way of everyLink(world, 1)) if (/^1>2|^2>1/.test(way)) world.cuts.add(way)
      world.run(2_000)
      world.heal()
      world.run(3_000)
    }
    // Five minutes: sixty downs and ups.
    expect(told(world).length).toBeLessThan(20)
    expect(statusOf(world, 1, 2, 1)?.state).toBe("down")
  })
})

describe("what is not the link's fault", () => {
  test.each([60, 100, 300, 700, 3_000])(
    "[LN7] a node that stands still for %i ms makes no link suspect",
    (pause) => {
      const world = formed(3, 2)
      for (const id of [1, 2, 3]) {
        world.freeze(id)
        world.run(pause)
        world.thaw(id)
        world.run(8_000)
      }
      expect(told(world)).toEqual([])
    },
  )

  test("[LN7] a node that dies or restarts makes no link suspect", () => {
    const world = formed(3, 2)
    world.kill(3)
    world.run(10_000)
    world.start(3)
    world.run(10_000)
    world.powerOff(1)
    world.run(10_000)
    expect(told(world)).toEqual([])
  })

  test("[LN7] all agents busy for tens of milliseconds, over and over: no link suspect", () => {
    const world = formed(3, 2)
    for (let round = 0; round < 100; round++) {
      const id = 1 + (round % 3)
      world.freeze(id)
      world.run(25)
      world.thaw(id)
      world.run(170)
    }
    expect(told(world)).toEqual([])
  })
})

describe("off the token's way", () => {
  test("[LN3] a cut that the token does not meet is found, the ring stays", () => {
    const world = formed(5, 1)
    world.cut(2, 4)
    undisturbed(world, 6_000)
    expect(told(world)).toEqual(["link-down n2-n4 link 1"])
    world.heal()
    undisturbed(world, 20_000)
    expect(told(world)).toEqual(["link-down n2-n4 link 1", "link-up n2-n4 link 1"])
  })

  test("[LN3] frames of the whole ring in ten seconds grow with its nodes, not with their pairs", () => {
    const frames = (count: number, links: number): number => {
      const world = formed(count, links)
      const before = world.sent
      world.run(10_000)
      return (world.sent - before) / count
    }
    const three = frames(3, 1)
    const [five, twelve] = [frames(5, 1), frames(12, 1)]
    // Two passes each heartbeat, a token and an acknowledgement: 200; a measured link in five seconds, both ways: 4.
    expect(three).toBeLessThan(210)
    // A probe and its answer each look more.
    expect(five).toBeLessThan(three + 110)
    expect(twelve).toBeLessThan(1.05 * five)
    // With two links they are measured each second.
    expect(frames(5, 2)).toBeLessThan(2 * (five + 20))
  })
})
