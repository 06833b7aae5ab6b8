/** Live changes of the configuration (SPEC LC), told as stories; seeded faults around them are in `chaos`. */
import { describe, expect, test } from "vitest"
import { markOf } from "../../node-agent/core/configuration-spread.ts"
import { setPeer } from "../../node-agent/core/peers.ts"
import { documentOf } from "../../node-agent/simulation/documents.ts"
import type { World } from "../../node-agent/simulation/world.ts"
import {
  accepted,
  node,
  oneSite,
  type Plain,
  parse,
  service,
  siteNode,
  twoSites,
  witness,
} from "../support/config-builder.ts"
import { apply, changeableWorld, cluster, install, versions } from "../support/configurations.ts"
import { selfLease } from "../support/layouts.ts"

const ledger = service("ledger", selfLease)

const worldOf = (plain: Plain, seed = 4): World => changeableWorld(plain, seed)

function isWhole(world: World, ...ids: readonly number[]): boolean {
  const together = ids.every((id) => world.host(id).node?.view?.members.join() === ids.join())
  return together && world.active("ledger").length === 1
}

function started(plain: Plain, ...ids: readonly number[]): World {
  const world = worldOf(plain)
  world.start(...ids)
  expect(world.runUntil(() => isWhole(world, ...ids), 5_000)).toBe(true)
  return world
}

describe("[LC1] [LC3] [LC4] [LC5] nodes join and leave one at a time while the service goes on", () => {
  test.each([
    ["with a witness", { witness }],
    ["without", {}],
  ])("%s: 2, 3, 4 and back, with a kill in the middle", (_, more) => {
    const world = started(cluster(2, 1, more), 1, 2)
    for (const count of [3, 4]) {
      const plain = cluster(count, count - 1, more)
      expect(apply(world, 1, plain)).toBe(`done: configuration version ${count - 1} is active`)
      install(world, plain, count)
      world.start(count)
      const ids = Array.from({ length: count }, (__, index) => index + 1)
      expect(world.runUntil(() => isWhole(world, ...ids), 5_000)).toBe(true)
    }
    const [owner = 0] = world.active("ledger")
    world.kill(owner)
    expect(world.runUntil(() => world.active("ledger").some((id) => id !== owner), 2_000)).toBe(true)
    world.run(1_000)
    world.start(owner)
    expect(world.runUntil(() => isWhole(world, 1, 2, 3, 4), 8_000)).toBe(true)
    for (const count of [3, 2]) {
      world.event(world.host(count + 1).id, { kind: "stop-requested" })
      const ids = Array.from({ length: count }, (__, index) => index + 1)
      expect(world.runUntil(() => isWhole(world, ...ids), 5_000)).toBe(true)
      world.run(500)
      expect(apply(world, 2, cluster(count, 7 - count, more))).toBe(
        `done: configuration version ${7 - count} is active`,
      )
      expect(world.runUntil(() => isWhole(world, ...ids), 2_000)).toBe(true)
    }
    expect(versions(world)).toEqual(["1:5", "2:5"])
    expect(world.violations).toEqual([])
  })
})

describe("[LC4] a change that breaks on its way", () => {
  const plain = cluster(3, 2)

  test.each(Array.from({ length: 24 }, (_, index) => index * 3))(
    "its coordinator is killed %i ms after the order: it is completed, or never was, and nobody acts twice",
    (delay) => {
      const world = started(cluster(2, 1), 1, 2)
      install(world, plain, 3)
      world.command(1, { kind: "configure", document: documentOf(plain) })
      world.run(delay)
      world.kill(1)
      world.run(3_000)
      world.start(1, 3)
      expect(world.runUntil(() => world.active("ledger").length === 1, 20_000)).toBe(true)
      world.run(3_000)
      const inUse = new Set(versions(world).map((each) => each.split(":")[1]))
      // Node 3 has version 2 from its file; the others have it if it was ordered in time.
      if (inUse.size > 1) expect(apply(world, 1, plain)).toBe("done: configuration version 2 is active")
      expect(world.runUntil(() => isWhole(world, 1, 2, 3), 8_000)).toBe(true)
      expect(world.violations).toEqual([])
    },
  )

  test("[W14] [W15] who forgot everything cannot speak by the old configuration: the witness refuses it", () => {
    const world = started(cluster(2, 1), 1, 2)
    expect(apply(world, 1, plain)).toContain("done")
    install(world, plain, 3)
    world.start(3)
    expect(world.runUntil(() => isWhole(world, 1, 2, 3), 5_000)).toBe(true)
    // Its file is an old one as well, and nobody but the witness is there to tell.
    world.kill(1)
    world.loseDisk(1)
    world.host(1).config = accepted(parse(cluster(2, 1)))
    for (const other of [2, 3]) world.cut(1, other)
    world.start(1)
    world.run(20_000)
    expect(world.core(1).view?.members).toEqual([1])
    expect(world.active("ledger")).not.toContain(1)
    expect(world.violations).toEqual([])
  })
})

describe("[W14] a newer file that no ring has ordered", () => {
  const policy = (name: string, version: number): Plain => ({
    ...oneSite(4, { policy: name }),
    version,
    service: [ledger],
    witness,
  })

  test("gives a node no voice, though it would have one with the witness by that file", () => {
    const world = started(policy("split", 1), 1, 2, 3, 4)
    world.run(3_000)
    world.kill(4)
    world.host(4).config = accepted(parse(policy("last-man-standing", 2)))
    for (const other of [1, 2, 3]) world.cut(4, other)
    world.start(4)
    world.run(30_000)
    expect(world.core(4).view?.standing.kind).toBe("needs-witness")
    expect(world.core(4).witness.pin).toBe(world.witness.state.witness)
    expect(world.core(4).view?.voice.deadline).toBeUndefined()
    expect(isWhole(world, 1, 2, 3)).toBe(true)
    expect(world.violations).toEqual([])
  })

  test("does once it is registered: all agents were stopped for it", () => {
    const world = started(policy("split", 1), 1, 2, 3, 4)
    world.run(3_000)
    world.kill(1, 2, 3, 4)
    const next = accepted(parse(policy("last-man-standing", 2)))
    for (const host of world.hosts.values()) host.config = next
    world.start()
    world.run(10_000)
    // Nothing is claimed while all are there; status says already what would be refused.
    expect(world.core(1).witness.reason).toBe("configuration-newer")
    world.kill(1, 2, 3, 4)
    world.witness.register(next)
    world.start(4)
    expect(world.runUntil(() => world.core(4).view?.voice.deadline !== undefined, 60_000)).toBe(true)
    expect(world.violations).toEqual([])
  })
})

describe("[LC6] a node that missed a change", () => {
  test("is in no view before it has it, and is told by its peers", () => {
    const world = started(cluster(3, 1), 1, 2, 3)
    world.kill(3)
    world.run(1_000)
    const plain = cluster(3, 2, { witness, timings: { gather_wait_ms: 90 } })
    expect(apply(world, 1, plain)).toContain("done")
    expect(world.runUntil(() => isWhole(world, 1, 2), 2_000)).toBe(true)
    world.start(3)
    expect(world.runUntil(() => isWhole(world, 1, 2, 3), 5_000)).toBe(true)
    expect(versions(world)).toEqual(["1:2", "2:2", "3:2"])
    expect(world.host(3).disk?.configuration?.document).toBe(documentOf(plain))
  })

  test("asks for it when all it has heard of its peers is that theirs is newer", () => {
    const world = started(cluster(3, 1), 1, 2, 3)
    world.kill(3)
    world.run(1_000)
    expect(apply(world, 1, cluster(3, 2, { witness, timings: { gather_wait_ms: 90 } }))).toContain("done")
    for (const other of [1, 2]) world.cut(3, other)
    world.start(3)
    world.run(3_000)
    for (const other of [1, 2])
      setPeer(world.core(3), world.host(other).id, { configuration: markOf(world.core(other)) })
    world.heal()
    expect(world.runUntil(() => isWhole(world, 1, 2, 3), 10_000)).toBe(true)
  })

  test("and a second one, after a restart of all, goes on with the newest", () => {
    const world = started(cluster(3, 1), 1, 2, 3)
    for (const version of [2, 3]) {
      world.kill(3)
      world.run(1_000)
      const more = { witness, timings: { gather_wait_ms: 100 - version } }
      expect(apply(world, 1, cluster(3, version, more))).toContain("done")
      world.kill(1, 2)
      world.start(2, 3)
      expect(world.runUntil(() => isWhole(world, 2, 3), 20_000)).toBe(true)
      const expected = [`2:${version}`, `3:${version}`].join()
      expect(world.runUntil(() => versions(world).join() === expected, 5_000)).toBe(true)
      world.start(1)
      expect(world.runUntil(() => isWhole(world, 1, 2, 3), 8_000)).toBe(true)
    }
  })

  test("a node removed while it was away is heard by nobody, and runs nothing", () => {
    const world = started(cluster(3, 1), 1, 2, 3)
    world.event(world.host(3).id, { kind: "stop-requested" })
    expect(world.runUntil(() => isWhole(world, 1, 2), 5_000)).toBe(true)
    expect(apply(world, 1, cluster(2, 2))).toContain("done")
    world.start(3)
    world.run(10_000)
    expect(world.host(3).node?.view?.members ?? [3]).toEqual([3])
    expect(world.active("ledger")).not.toContain(3)
    expect(isWhole(world, 1, 2)).toBe(true)
  })
})

describe("[LC6] sites", () => {
  const two = (version: number, more: readonly Plain[] = []): Plain => {
    const { node: nodes, ...rest } = twoSites()
    return { ...rest, version, service: [ledger], node: [...(nodes as Plain[]), ...more] }
  }

  test("take up what one of them has ordered, and the mandate stays where it is", () => {
    const world = worldOf(two(1))
    world.start()
    expect(world.runUntil(() => world.active("ledger").length === 1, 10_000)).toBe(true)
    const epoch = world.epochOf(world.active("ledger")[0] ?? 0, "ledger")
    const plain = two(2, [siteNode(5, "south")])
    expect(apply(world, 1, plain)).toContain("apply it at one of its nodes")
    expect(apply(world, 3, plain)).toContain("done")
    install(world, plain, 5)
    world.start(5)
    world.run(25_000)
    expect(versions(world)).toEqual(["1:2", "2:2", "3:2", "4:2", "5:2"])
    expect(world.core(3).view?.members).toEqual([3, 4, 5])
    expect(world.epochOf(world.active("ledger")[0] ?? 0, "ledger")).toBe(epoch)
    expect(world.violations).toEqual([])
  })

  test("that are cut off from each other learn it from the witness", () => {
    const world = worldOf(two(1))
    world.start()
    expect(world.runUntil(() => world.active("ledger").length === 1, 10_000)).toBe(true)
    world.cut("north", "south")
    world.run(1_000)
    expect(apply(world, 3, two(2, [siteNode(5, "south")]))).toContain("done")
    world.run(25_000)
    expect(versions(world)).toEqual(["1:2", "2:2", "3:2", "4:2"])
    expect(world.active("ledger")).toEqual([1])
    expect(world.violations).toEqual([])
  })

  test("whose nodes were cut off from each other while they learnt it from another site come together again", () => {
    const { witness: none, ...rest } = two(1)
    const world = worldOf(rest)
    world.start()
    expect(world.runUntil(() => world.active("ledger").length === 1, 10_000)).toBe(true)
    world.cut(3, 4)
    world.run(2_000)
    const { witness: nor, ...next } = two(2)
    expect(apply(world, 1, { ...next, timings: { lease_ms: 500 } })).toContain("done")
    expect(world.runUntil(() => versions(world).join() === "1:2,2:2,3:2,4:2", 10_000)).toBe(true)
    expect(world.core(3).peers.get(world.host(4).id)?.configuration?.version).toBe(1)
    expect(world.core(4).peers.get(world.host(3).id)?.configuration?.version).toBe(1)
    world.heal()
    expect(world.runUntil(() => world.core(3).view?.members.join() === "3,4", 10_000)).toBe(true)
    expect(world.violations).toEqual([])
  })

  test.each([
    ["the claimant", 1, 3],
    ["the voter", 3, 1],
  ])("[LC7] vote for each other where %s has the same configuration from its file alone", (_, at, other) => {
    const { witness: none, ...rest } = two(1)
    const world = worldOf(rest)
    world.start()
    expect(world.runUntil(() => world.active("ledger").length === 1, 10_000)).toBe(true)
    const { witness: nor, ...next } = two(2)
    expect(apply(world, 1, { ...next, timings: { lease_ms: 500 } })).toContain("done")
    expect(world.runUntil(() => versions(world).join() === "1:2,2:2,3:2,4:2", 10_000)).toBe(true)
    // It lost its record, and was given the newest file.
    world.kill(1, 2, 3, 4)
    world.host(at).config = world.newest
    world.loseDisk(at)
    world.start(at)
    world.run(1_000)
    world.kill(at)
    world.start()
    expect(world.core(at).configuration.document).toBeUndefined()
    expect(world.core(other).configuration.document).toBeDefined()
    world.run(2_000)
    // The other site wants nothing for itself: it has only its vote to give.
    world.command(3, { kind: "maintenance-on", service: undefined })
    expect(world.runUntil(() => world.active("ledger").join() === "1", 60_000)).toBe(true)
    expect(world.violations).toEqual([])
  })
})

describe("[LC2] [LC3] what is refused changes nothing", () => {
  const refusals: readonly (readonly [string, Plain, string])[] = [
    ["two versions at once", cluster(4, 3), "expected 2"],
    ["two nodes at once", cluster(5, 2), "one node at a time"],
    ["a member of the view", cluster(2, 2), "stop its agent first"],
    ["another profile", cluster(3, 2, { witness, profile: "relaxed" }), "profile may not change"],
    ["another witness", cluster(3, 2, {}), "the witness may not change"],
    ["nothing", cluster(3, 1), "nothing differs"],
    [
      "disjoint majorities",
      { ...cluster(3, 2), node: [...(oneSite(3).node as Plain[]), node(4, "north", { votes: 4 })] },
      "[LC3]",
    ],
  ]
  test.each(refusals)("%s", (_, plain, why) => {
    const world = started(cluster(3, 1), 1, 2, 3)
    const answer = apply(world, 1, plain)
    expect(answer).toContain("refused")
    expect(answer).toContain(why)
    expect(versions(world)).toEqual(["1:1", "2:1", "3:1"])
    expect(isWhole(world, 1, 2, 3)).toBe(true)
  })

  test("a node that may still run a service, and a view without voice", () => {
    const world = started(cluster(3, 1, { witness, service: [service("ledger")] }), 1, 2, 3)
    const plain = { ...cluster(3, 2, { witness, service: [service("ledger")] }) }
    const [owner = 0] = world.active("ledger")
    const [other = 0, third = 0] = [1, 2, 3].filter((id) => id !== owner)
    world.kill(owner)
    world.run(2_000)
    const without = { ...plain, node: (plain.node as Plain[]).filter(({ id }) => id !== owner) }
    expect(apply(world, other, without)).toContain("is not proved to have stopped")
    world.kill(third)
    world.cut(other, "@witness")
    world.run(2_000)
    expect(apply(world, other, without)).toContain("does not speak")
  })

  test("[N5] a member whose agent is of version 1", () => {
    const world = worldOf(cluster(3, 1))
    world.host(3).versions = { min: 1, max: 1 }
    world.start()
    expect(world.runUntil(() => isWhole(world, 1, 2, 3), 5_000)).toBe(true)
    expect(apply(world, 1, cluster(4, 2))).toBe(
      "refused: a member's agent does not know of live changes: finish the upgrade first",
    )
    expect(versions(world)).toEqual(["1:1", "2:1", "3:1"])
  })

  test("what is no document", () => {
    const world = started(cluster(3, 1), 1, 2, 3)
    world.command(1, { kind: "configure", document: "?" })
    expect(world.answers.at(-1)?.result.message).toContain("no configuration")
  })
})
