/**
 * Services whose only proof is the watchdog: nothing in them ends by itself, so whatever still runs on a node that lost its
 * rights must be stopped, or the node reset, before anybody else starts it.
 */
import { describe, expect, test } from "vitest"
import type * as chaos from "../../node-agent/simulation/chaos.ts"
import { runChaos } from "../../node-agent/simulation/chaos.ts"
import { World } from "../../node-agent/simulation/world.ts"
import { service } from "../support/config-builder.ts"
import { configOf, type LayoutName } from "../support/layouts.ts"
import { importPatched } from "../support/patched.ts"

const timeout = 2_000

function watched(layout: LayoutName) {
  const config = configOf(layout)
  const nodes = config.nodes.map((node) => ({
    id: node.id,
    name: node.name,
    site: node.site,
    links: node.links.map(({ host }) => host),
    public_key: node.publicKey,
    ...(node.wan === undefined ? {} : { wan: node.wan.host }),
    watchdog: { timeout_s: timeout / 1000 },
  }))
  return configOf(layout, { node: nodes, service: [service("ledger", { proof: "watchdog" })] })
}

const seeds = Array.from({ length: Number(process.env.SEEDS ?? 4) }, (_, index) => index + 1)

describe.each(["1x2", "1x3", "2x2"] as const)("[WD5] random faults, %s", (layout) => {
  test.each(seeds)("seed %i", (seed) => {
    const { violations, stuck } = runChaos({ config: watched(layout), seed })
    expect({ violations, stuck }).toEqual({ violations: [], stuck: undefined })
  })
})

describe("the watchdog of a node", () => {
  const running = (): World => {
    const world = new World(watched("1x3"))
    world.start()
    expect(world.runUntil(() => world.active("ledger").length === 1, 20_000)).toBe(true)
    world.run(5_000)
    expect(world.active("ledger")).toEqual([1])
    expect(world.watchdogs.resets).toEqual([])
    return world
  }

  test("[WD2] [WD5] resets one whose agent stands still, before the service starts elsewhere", () => {
    const world = running()
    const from = world.now
    world.freeze(1)
    expect(world.runUntil(() => world.host(2).running.size + world.host(3).running.size > 0, 30_000)).toBe(
      true,
    )
    expect(world.watchdogs.resets.map(({ node }) => node)).toEqual([1])
    expect(world.now - from).toBeGreaterThan(3 * timeout)
    expect(world.violations).toEqual([])
  })

  test("[WD2] resets one that lost its rights and cannot stop the service", () => {
    const world = running()
    world.services.stopFailing.add("1:ledger")
    world.cut(1, 2)
    world.cut(1, 3)
    world.run(3 * timeout)
    expect(world.watchdogs.resets.map(({ node }) => node)).toEqual([1])
  })

  test("[WD2] leaves one alone that lost its rights and stopped the service", () => {
    const world = running()
    world.cut(1, 2)
    world.cut(1, 3)
    world.run(30_000)
    expect(world.watchdogs.resets).toEqual([])
    expect(world.active("ledger")).toEqual([2])
  })

  test("[WD3] is stopped when the node leaves in order", () => {
    const world = running()
    world.event(world.host(1).id, { kind: "stop-requested" })
    world.run(10 * timeout)
    expect(world.host(1).node).toBeUndefined()
    expect(world.watchdogs.resets).toEqual([])
  })

  test("[WD1] that cannot be armed keeps the service off it", () => {
    const world = new World(watched("1x3"))
    world.watchdogs.failing.add(1)
    world.start()
    world.run(20_000)
    expect(world.active("ledger")).toEqual([2])
    world.watchdogs.failing.add(2).add(3)
    world.powerOff(2)
    world.run(1_000)
    expect(world.log.some(({ event }) => event === "watchdog-failed")).toBe(true)
  })
})

test.each([
  {
    rule: "a reset is waited for",
    layout: "1x3",
    file: "protocol/watchdog.ts",
    find: "const timeoutsToReset = 3",
    replace: "const timeoutsToReset = 0",
  },
] as const)("[WD5] without it the oracle objects: $rule", async ({ layout, file, find, replace }) => {
  const patches = [{ file, find, replace }]
  const patched = (await importPatched("node-agent/simulation/chaos.ts", patches)) as typeof chaos
  const config = watched(layout)
  const broken = Array.from({ length: 40 }, (_, index) => index + 1).find(
    (seed) => patched.runChaos({ config, seed, until: "violation" }).violations.length > 0,
  )
  expect(broken).toBeDefined()
})
