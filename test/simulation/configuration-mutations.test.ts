/** The rules of live changes are needed: with one taken out of the source, an invariant breaks (SPEC LC4, W14, W15). */
import { expect, test } from "vitest"
import type { Patch } from "../../node-agent/build.ts"
import type * as chaos from "../../node-agent/simulation/chaos.ts"
import { documentOf, readDocument } from "../../node-agent/simulation/documents.ts"
import type * as worlds from "../../node-agent/simulation/world.ts"
import { changesOf, changingLayouts } from "../support/changing.ts"
import {
  accepted,
  oneSite,
  type Plain,
  parse,
  service,
  twoSites,
  witness,
} from "../support/config-builder.ts"
import { install } from "../support/configurations.ts"
import { selfLease } from "../support/layouts.ts"
import { importPatched } from "../support/patched.ts"

const jointRule: Patch = {
  file: "node-agent/core/standing.ts",
  find: "return joint === undefined ? standing : stricter(standing, standingIn(joint.layout, members))",
  replace: "return standing",
}

/** Two nodes become three; one of the two is cut off at some instant of the change. */
function violated({ World }: Pick<typeof worlds, "World">): boolean {
  const cluster = (count: number, version: number): Plain => {
    return { ...oneSite(count), version, witness, service: [service("ledger", selfLease)] }
  }
  for (let delay = 16; delay < 80; delay += 4) {
    for (const alone of [1, 2]) {
      const world = new World(accepted(parse(cluster(2, 1))), {
        seed: 4,
        readConfiguration: readDocument,
      })
      world.start(1, 2)
      world.run(2_000)
      install(world, cluster(3, 2), 3)
      world.command(1, { kind: "configure", document: documentOf(cluster(3, 2)) })
      world.run(delay)
      for (const other of [1, 2, 3]) if (other !== alone) world.cut(alone, other)
      world.start(3)
      world.run(6_000)
      if (world.violations.length > 0) return true
    }
  }
  return false
}

test("[LC4] whoever has stored a proposal counts only views that speak by both configurations", async () => {
  const file = "node-agent/simulation/world.ts"
  expect(violated((await importPatched(file, [])) as typeof worlds)).toBe(false)
  expect(violated((await importPatched(file, [jointRule])) as typeof worlds)).toBe(true)
})

const olderRefused: Patch = {
  file: "worker/arbiter.ts",
  find: 'if (submission.configuration < state.rules.version) return "configuration-older"',
  replace: "",
}

/** Node 2 and the witness give node 2 the majority; node 1, which was cut off from both, hears of the witness again. */
function missed({ World }: Pick<typeof worlds, "World">): boolean {
  const cluster = (version: number, votes: number): Plain => {
    const node = (oneSite(2).node as readonly Plain[]).map((each) =>
      each.id === 2 ? { ...each, votes } : each,
    )
    return {
      ...oneSite(2),
      version,
      witness: twoSites().witness,
      service: [service("ledger", selfLease)],
      node,
    }
  }
  const world = new World(accepted(parse(cluster(1, 1))), { seed: 4, readConfiguration: readDocument })
  world.start(1, 2)
  world.run(2_000)
  world.cut(1, 2)
  world.cut(1, "@witness")
  world.run(15_000)
  world.command(2, { kind: "configure", document: documentOf(cluster(2, 2)) })
  world.run(2_000)
  expect(world.core(2).config.version).toBe(2)
  world.cuts.delete("1>@witness")
  world.cuts.delete("@witness>1")
  world.run(20_000)
  return world.violations.length > 0
}

test("[W14] the witness refuses claims of older configurations", async () => {
  const file = "node-agent/simulation/world.ts"
  expect(missed((await importPatched(file, [])) as typeof worlds)).toBe(false)
  expect(missed((await importPatched(file, [olderRefused])) as typeof worlds)).toBe(true)
})

const mutations: readonly (Patch & {
  readonly rule: string
  readonly layout: string
  readonly from: number
})[] = [
  {
    rule: "[W15] a change is registered before it is active",
    layout: "2 nodes and a witness",
    from: 6,
    file: "node-agent/core/configuration.ts",
    find: "if (node.config.witness === undefined) return true",
    replace: "return true",
  },
]

test.each(mutations)("without `$rule` an invariant breaks", async ({ layout, from, ...patch }) => {
  const { runChaos } = (await importPatched("node-agent/simulation/chaos.ts", [patch])) as typeof chaos
  const plain = changingLayouts[layout] ?? {}
  const broken = Array.from({ length: 12 }, (_, index) => from + index).find((seed) => {
    const changes = changesOf(seed, plain)
    const { violations } = runChaos({
      config: accepted(parse(plain)),
      seed,
      faults: 60,
      until: "violation",
      world: { readConfiguration: readDocument },
      alongside: (world) => changes.perhaps(world),
    })
    return violations.length > 0
  })
  expect(broken, `no violation in 12 seeds from ${from}`).toBeDefined()
})
