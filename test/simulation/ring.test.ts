/** The token's way and pace, and what those who move on together have heard: in virtual time, with the real core. */
import { describe, expect, test } from "vitest"
import { World } from "../../node-agent/simulation/world.ts"
import { serviceName } from "../../protocol/units.ts"
import { configOf } from "../support/layouts.ts"

const ids = [1, 2, 3]

function formed(seed = 1): World {
  const world = new World(configOf("1x3"), { seed })
  world.start()
  world.run(6_000)
  expect(world.core(1).view?.members).toEqual(ids)
  return world
}

/** Which node handled the token, one after the other, in `duration` milliseconds; and the most sendings of one token. */
function handlings(world: World, duration: number, meanwhile: () => void = () => undefined) {
  const order: number[] = []
  let sendings = 0
  const seen = new Map(ids.map((id) => [id, world.core(id).ring?.handled]))
  for (let past = 0; past < duration; past += 0.05) {
    meanwhile()
    world.run(0.05)
    for (const id of ids) {
      const { ring } = world.core(id)
      if (ring?.handled !== seen.get(id)) order.push(id)
      seen.set(id, ring?.handled)
      sendings = Math.max(sendings, ring?.outstanding?.sendings ?? 0)
    }
  }
  return { order, sendings }
}

describe("the token", () => {
  test("[R1] goes in ascending order of ids and round; each hop is acknowledged, so that none is sent twice", () => {
    const { order, sendings } = handlings(formed(), 2_000)
    expect(order.length).toBeGreaterThan(30)
    const next = (id: number) => (id % ids.length) + 1
    expect(order.slice(1)).toEqual(order.slice(0, -1).map(next))
    expect(sendings).toBe(1)
  })

  test("[R2] makes two passes a heartbeat where nothing is to be said", () => {
    const world = formed()
    const heartbeats = 20
    const { order } = handlings(world, heartbeats * world.config.timings.heartbeat)
    const passes = order.filter((id) => id === 2).length
    expect(Math.abs(passes - 2 * heartbeats)).toBeLessThanOrEqual(1)
  })

  test("[R2] is paced where there is no end of messages", () => {
    const world = formed()
    const { heartbeat } = world.config.timings
    let said = 0
    const { order } = handlings(world, heartbeat, () => {
      const mode = said++ % 2 === 0 ? "service-manual" : "service-automatic"
      world.command(1, { kind: mode, service: serviceName("ledger") })
    })
    const passes = order.filter((id) => id === 2).length
    expect(passes).toBeGreaterThan(12)
    // Twelve in a burst, then one each fortieth of the interval.
    expect(passes).toBeLessThanOrEqual(12 + 40 + 1)
  })
})

test("[R11] whenever the origin of a message is lost, those that move on together have heard the same", () => {
  let heard = 0
  for (let offset = 0; offset < 40; offset++) {
    const world = formed()
    world.command(1, { kind: "service-manual", service: serviceName("ledger") })
    world.run(offset * 0.25)
    const hadHeard = [2, 3].some((id) => modeAt(world, id) === "manual")
    world.kill(1)
    expect(world.runUntil(() => [2, 3].every((id) => world.core(id).view?.members.length === 2), 3_000)).toBe(
      true,
    )
    world.run(50)
    expect(modeAt(world, 2), `killed after ${offset * 0.25} ms`).toBe(modeAt(world, 3))
    if (hadHeard) expect(modeAt(world, 2)).toBe("manual")
    if (modeAt(world, 2) === "manual") heard += 1
    expect(world.violations).toEqual([])
  }
  // Some of the losses came before anybody had the message, some after.
  expect(heard).toBeGreaterThan(0)
  expect(heard).toBeLessThan(40)
})

const modeAt = (world: World, id: number): string | undefined => world.core(id).ordered.services[0]?.mode
