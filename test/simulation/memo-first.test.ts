/** SPEC VL6, I5: a view knows what the memo says before anything that it orders counts. */
import { expect, test } from "vitest"
import { World } from "../../node-agent/simulation/world.ts"
import { serviceName } from "../../protocol/units.ts"
import { service } from "../support/config-builder.ts"
import { configOf, selfLease } from "../support/layouts.ts"

const ledger = serviceName("ledger")
/** So many that their memo takes two messages. */
const services = ["ledger", "billing", "orders", "reports"].map((name) => service(name, selfLease))

test.each([3, 4])(
  "[VL6] [I5] node %i is entitled once it knows what the other half has acknowledged",
  (id) => {
    const world = new World(configOf("1x4", { service: services }), { seed: 1 })
    const part = (...cutOff: readonly number[]) => {
      world.heal()
      for (const a of [1, 2]) for (const b of [3, 4]) world.cut(a, b)
      for (const each of cutOff) world.cut(each, "@witness")
    }
    world.start()
    world.run(3000)
    part(3, 4)
    world.run(15_000)
    const request = world.command(1, { kind: "service-manual", service: ledger })
    world.run(2000)
    expect(world.answers.find((each) => each.request === request)?.result.kind).toBe("done")
    part(1, 2)
    expect(world.runUntil(() => world.core(id).view?.entitled === true, 40_000)).toBe(true)
    const known = world.core(id).ordered.services.find((each) => each.service === ledger)
    expect(known?.mode).toBe("manual")
    world.run(5000)
    expect(world.violations).toEqual([])
  },
)
