/** What nodes keep of what they learnt from others, and nodes that lost all of it (SPEC S8, V12, W6). */
import { describe, expect, test } from "vitest"
import { World } from "../../node-agent/simulation/world.ts"
import { siteId, ticketName } from "../../protocol/units.ts"
import { oneSite, type Plain, service, sitesOf, threePairs, witness } from "../support/config-builder.ts"
import { apply, changeableWorld, cluster, install } from "../support/configurations.ts"
import { configOf, selfLease } from "../support/layouts.ts"

const worldOf = (plain: Plain): World => changeableWorld(plain, 4)

describe("[S8] who comes back to a service that runs under a higher voice epoch keeps that", () => {
  test.each([
    ["with `init`", false],
    ["without", true],
  ])(
    "a pair grows to three, all go down, and the one that had the voice stays away; the third started %s",
    (_, isLost) => {
      const world = worldOf(cluster(2, 1))
      world.start()
      world.run(8_000)
      world.kill(1)
      world.run(20_000)
      expect(world.active("ledger")).toEqual([2])
      world.start(1)
      world.run(20_000)
      expect(apply(world, 1, cluster(3, 2))).toContain("done")
      install(world, cluster(3, 2), 3)
      if (isLost) world.loseDisk(3)
      world.start(3)
      world.run(60_000)
      world.kill(1, 2, 3)
      world.run(3_000)
      world.start(1, 3)
      world.run(30_000)
      expect(world.active("ledger")).toHaveLength(1)
      expect(world.violations).toEqual([])
    },
  )

  test("[V12] so does one that lost its record since", () => {
    const world = new World(configOf("1x4"), { seed: 4 })
    world.start()
    world.run(5_000)
    world.kill(1, 2)
    world.run(20_000)
    expect(world.active("ledger")).toHaveLength(1)
    world.start(1, 2)
    world.run(20_000)
    world.kill(4)
    world.loseDisk(4)
    world.run(3_000)
    world.start(4)
    world.run(90_000)
    expect(world.core(4).durable.state.forgot).toBe(false)
    world.kill(1, 2, 3, 4)
    world.run(5_000)
    world.start(1, 2, 4)
    world.run(60_000)
    expect(world.active("ledger")).toHaveLength(1)
    expect(world.violations).toEqual([])
  })
})

test("[W6] [V12] a site that lost its pin believes no witness after a restart either, until an operator says so", () => {
  const world = new World(configOf("2x1"), { seed: 4 })
  world.start()
  world.run(20_000)
  world.kill(2)
  world.loseDisk(2)
  world.start(2)
  world.run(60_000)
  world.kill(2)
  world.cut("north", "south")
  world.cut("south", "@witness")
  world.run(1_000)
  world.start(2)
  world.run(40_000)
  world.witness.replace()
  world.cuts.delete("south>@witness")
  world.cuts.delete("@witness>south")
  world.run(30_000)
  expect(world.core(2).witness.pin).toBeUndefined()
  expect(world.core(2).witness.quarantine).toBe("no-pin")
  expect(world.active("ledger")).not.toContain(2)
  world.command(2, { kind: "witness-accept" })
  world.run(60_000)
  expect(world.core(2).witness.pin).toBe(world.witness.state.witness)
  expect(world.violations).toEqual([])
})

test("[V12] votes come back where the witness was never met", () => {
  const world = worldOf(cluster(3, 1))
  for (const id of [1, 2, 3]) world.cut(id, "@witness")
  world.start()
  world.run(10_000)
  for (const id of [1, 2, 3]) {
    world.kill(id)
    world.loseDisk(id)
    world.run(1_000)
    world.start(id)
    world.run(60_000)
  }
  world.kill(3)
  world.run(10_000)
  expect(world.active("ledger")).toHaveLength(1)
  expect(world.violations).toEqual([])
})

describe("[V12] a whole site asks the witness for what nobody else in it remembers", () => {
  /** Node 1 of two acts alone under higher and higher voice epochs, and loses its record. */
  function forgetsAlone(): World {
    const world = new World(configOf("1x2"), { seed: 3 })
    world.start()
    world.run(8_000)
    world.kill(2)
    for (let restart = 0; restart < 3; restart += 1) {
      world.run(15_000)
      expect(world.active("ledger")).toEqual([1])
      world.kill(1)
      world.run(500)
      world.start(1)
    }
    world.run(15_000)
    world.kill(1)
    world.loseDisk(1)
    return world
  }

  test.each([
    ["at once", 0],
    ["when its amnesia is over", 15_000],
  ])("its service goes on at a higher epoch: the other node comes %s", (_, wait) => {
    const world = forgetsAlone()
    world.start(1)
    world.run(wait)
    world.start(2)
    expect(world.runUntil(() => world.core(1).view?.asksWitness === true, 3000)).toBe(true)
    expect(world.runUntil(() => world.active("ledger").length === 1, 2000)).toBe(true)
    world.run(20_000)
    expect(world.core(1).view?.standing.kind).toBe("majority-alone")
    expect(world.core(1).durable.state.forgot).toBe(false)
    expect(world.violations).toEqual([])
  })

  test.each(["1x4", "1x4-last-man-standing"] as const)("%s: so does one of which half forgot", (layout) => {
    const world = new World(configOf(layout), { seed: 4 })
    world.start()
    world.run(10_000)
    world.kill(3, 4)
    world.run(25_000)
    expect(world.active("ledger")).toHaveLength(1)
    world.kill(1, 2)
    world.loseDisk(1)
    world.loseDisk(2)
    world.run(1_000)
    world.start()
    expect(world.runUntil(() => world.active("ledger").length === 1, 5000)).toBe(true)
    expect(world.core(3).view?.asksWitness).toBe(true)
    world.run(30_000)
    expect(world.core(3).view?.asksWitness).toBe(false)
    expect(world.violations).toEqual([])
  })

  test("a service that runs with the witness's voice is not interrupted", () => {
    const world = new World(configOf("2x2"), { seed: 1 })
    world.start()
    world.run(12_000)
    world.kill(1)
    world.run(8000)
    world.loseDisk(1)
    world.start(1)
    const isGone = () => world.active("ledger").length !== 1
    expect(world.runUntil(isGone, 14_000)).toBe(false)
    expect(world.core(1).durable.state.forgot).toBe(false)
    expect(world.violations).toEqual([])
  })

  test.each(["2x2", "1x4"] as const)(
    "%s: where the witness does not answer it waits, and then goes on without",
    (layout) => {
      const world = new World(configOf(layout), { seed: 2 })
      world.start()
      world.run(12_000)
      world.cut(1, "@witness")
      for (const id of [2, 3, 4]) world.cut(id, "@witness")
      world.kill(1, 2)
      world.loseDisk(1)
      if (layout === "1x4") world.loseDisk(2)
      world.start(1, 2)
      world.run(9_000)
      expect(world.core(1).view?.asksWitness).toBe(true)
      expect(world.active("ledger").filter((id) => id < 3)).toEqual([])
      world.run(15_000)
      expect(world.core(1).view?.asksWitness).toBe(false)
      expect(world.core(1).durable.state.forgot).toBe(false)
      expect(world.core(2).durable.state.forgot ?? false).toBe(false)
      expect(world.violations).toEqual([])
    },
  )

  test("that it once asked in vain says nothing of what another did since", () => {
    const last = oneSite(3, { policy: "last-man-standing" })
    const world = worldOf({ ...last, witness, service: [service("ledger", selfLease)] })
    world.start()
    world.run(10_000)
    for (const id of [1, 2, 3]) world.cut(id, "@witness")
    world.kill(1)
    world.loseDisk(1)
    world.run(500)
    world.start(1)
    expect(world.runUntil(() => world.core(1).unaided, 20_000)).toBe(true)
    for (const [a, b] of [
      [1, 2],
      [1, 3],
      [2, 3],
    ] as const)
      world.cut(a, b)
    world.run(1000)
    expect(world.core(1).unaided).toBe(false)
    // Node 2 acts alone with the witness, and loses its record as well.
    world.cuts.delete("2>@witness")
    world.cuts.delete("@witness>2")
    expect(world.runUntil(() => world.active("ledger")[0] === 2, 30_000)).toBe(true)
    const voiceOf = (id: number) => Number(world.epochOf(id, "ledger")?.split(".")[1])
    const before = voiceOf(2)
    world.kill(2)
    world.loseDisk(2)
    world.cut(2, "@witness")
    world.start(2)
    world.run(25_000)
    expect(world.core(2).amnesiaUntil).toBeUndefined()
    world.heal()
    expect(world.runUntil(() => world.core(3).view?.asksWitness === true, 5000)).toBe(true)
    expect(world.runUntil(() => world.active("ledger").length === 1, 30_000)).toBe(true)
    const [owner = 0] = world.active("ledger")
    expect(voiceOf(owner)).toBeGreaterThan(before)
    expect(world.violations).toEqual([])
  })

  test("while it asks, the configuration may change", () => {
    const world = worldOf(cluster(2, 1))
    world.start()
    world.run(8_000)
    world.kill(2)
    world.run(500)
    world.loseDisk(2)
    world.start(2)
    expect(world.runUntil(() => world.core(1).view?.asksWitness === true, 3000)).toBe(true)
    world.run(500)
    const timings = { voice_ttl_ms: 11_000 }
    expect(apply(world, 1, cluster(2, 2, { witness, timings }))).toContain("done")
    world.run(500)
    expect(world.core(2).view?.asksWitness).toBe(true)
    world.run(30_000)
    expect(world.core(2).view?.asksWitness).toBe(false)
    expect(world.violations).toEqual([])
  })
})

test("[V12] what a tie-breaker that forgot may have given away alone is not held once more by its neighbour's votes", () => {
  const world = worldOf({ ...threePairs(), service: [service("ledger", selfLease)] })
  world.start()
  world.run(15_000)
  expect(world.active("ledger")).toEqual([1])
  for (const id of [1, 3, 4, 5, 6]) world.cut(2, id)
  world.run(1500)
  world.command(1, { kind: "ticket-move", ticket: ticketName("main"), to: siteId("south") })
  expect(world.runUntil(() => world.active("ledger")[0] === 3, 8000)).toBe(true)
  world.kill(1)
  world.loseDisk(1)
  world.heal()
  for (const id of [3, 4, 5, 6]) for (const other of [1, 2]) world.cut(other, id)
  world.start(1)
  expect(world.runUntil(() => world.core(2).view?.forgetful[0] === 1, 3000)).toBe(true)
  world.run(30_000)
  expect(world.violations).toEqual([])
})

test.each([
  ["with a witness", { witness }],
  ["without", {}],
])("[LC4] [V12] %s: no change under which the votes that count would not do", (_, more) => {
  const world = worldOf(cluster(2, 1, more))
  world.start()
  world.run(8_000)
  world.kill(2)
  world.run(1_000)
  world.loseDisk(2)
  world.start(2)
  const isBack = () => {
    const { view } = world.core(1)
    return view?.members.length === 2 && view.entitled && world.active("ledger").length === 1
  }
  expect(world.runUntil(isBack, 20_000)).toBe(true)
  expect(apply(world, 1, cluster(3, 2, more))).toContain("would not speak for the site")
  world.run(60_000)
  // It remembers again.
  expect(apply(world, 1, cluster(3, 2, more))).toContain("done")
  expect(world.violations).toEqual([])
})

test("[S2] [V12] a site that regains an epoch which a voter forgot waits for the proofs of who acted above it", () => {
  const world = worldOf({
    ...sitesOf({ north: 1, south: 1, west: 1 }),
    service: [service("ledger", { proof: "self-lease", self_lease_margin_ms: 20_000 })],
  })
  const actsAt = (site: number) => world.runUntil(() => world.active("ledger")[0] === site, 60_000)
  world.start()
  expect(actsAt(1)).toBe(true)
  for (const [from, to] of [
    [1, 2],
    [2, 1],
  ] as const) {
    world.kill(from)
    expect(actsAt(to)).toBe(true)
    world.start(from)
    world.run(5000)
  }
  world.cut("north", "south")
  world.cut("north", "west")
  expect(actsAt(2)).toBe(true)
  world.run(25_000)
  // South acts above north's epoch, with west's vote. West forgets it, and meets north alone.
  world.freeze(2)
  world.kill(3)
  world.loseDisk(3)
  world.cut("west", "south")
  world.start(3)
  world.run(9000)
  world.command(3, { kind: "maintenance-on", service: undefined })
  world.run(1300)
  world.heal()
  world.cut("south", "north")
  world.cut("south", "west")
  const ticket = () => world.core(1).tickets.get(ticketName("main"))
  expect(world.runUntil(() => ticket()?.gainedAt !== undefined, 10_000)).toBe(true)
  expect(ticket()?.epoch).toBe(3)
  world.run(10_000)
  expect(world.active("ledger")).toEqual([])
  expect(actsAt(1)).toBe(true)
  expect(world.violations.filter((each) => !each.includes(" I3 "))).toEqual([])
})
