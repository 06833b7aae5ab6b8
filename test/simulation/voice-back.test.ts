/** A view that lost the witness's voice to another one and got it back, its ring unbroken all the time (SPEC VL8). */
import { expect, test } from "vitest"
import { World } from "../../node-agent/simulation/world.ts"
import { serviceName, siteId, ticketName } from "../../protocol/units.ts"
import { accepted, node, parse, service, twoSites } from "../support/config-builder.ts"
import { configOf, selfLease } from "../support/layouts.ts"

const margin = 3000
const slow = service("ledger", { proof: "self-lease", self_lease_margin_ms: margin })

test("[VL8] [S3] it knows what the other one ran, and waits for the margin from its new grant on", () => {
  const world = new World(configOf("1x2", { service: [slow] }), { seed: 1, netJitter: 0, rateError: 0 })
  const activeOn = (id: number) => world.active("ledger")[0] === id
  world.start()
  world.runUntil(() => activeOn(1), 10_000)
  // Both have met the witness.
  world.run(1000)
  world.cut("1", "2")
  world.run(1000)
  for (const [loses, gains] of [
    [1, 2],
    [2, 1],
    [1, 2],
  ] as const) {
    world.heal()
    world.cut("1", "2")
    world.cut(String(loses), "@witness")
    const from = world.log.length
    expect(world.runUntil(() => activeOn(gains), 40_000)).toBe(true)
    const news = world.log.slice(from).filter(({ node }) => node === gains)
    const granted = news.find(({ event }) => event === "voice-granted")
    const starting = news.find(({ event }) => event === "service-starting")
    expect((starting?.at ?? 0) - (granted?.at ?? Number.POSITIVE_INFINITY)).toBeGreaterThanOrEqual(
      margin * 0.999,
    )
  }
  expect(world.violations).toEqual([])
})

test("[VL8] [VL5] an answer that waited for the memo is not spoken when the other one has given the vote away", () => {
  const sites = ["north", "south", "west", "west"]
  const plain = {
    ...twoSites(),
    site: ["north", "south", "west"].map((name) => ({ name })),
    node: sites.map((site, index) => node(index + 1, site, { wan: `198.51.100.${index + 1}` })),
    timings: { mandate_ttl_ms: 60_000, voice_ttl_ms: 12_000, renewal_ms: 4000 },
    service: [service("ledger", selfLease)],
  }
  const world = new World(accepted(parse(plain)), { seed: 4 })
  const ticket = (id: number) => world.core(id).tickets.get(ticketName("main"))
  const deadlineOf = (id: number) => world.core(id).view?.voice.deadline
  const join = (a: number, b: number | string) => {
    world.cuts.delete(`${a}>${b}`)
    world.cuts.delete(`${b}>${a}`)
  }
  for (const other of [3, 4]) for (const id of [1, 2]) world.cut(id, other)
  world.cut(1, 2)
  world.start()
  world.run(3500)
  // West claims nothing itself.
  world.command(3, { kind: "maintenance-on", service: undefined })
  world.run(1500)
  world.cut(3, 4)
  expect(world.runUntil(() => deadlineOf(3) !== undefined, 8000)).toBe(true)
  world.run(200)
  world.cut(3, "@witness")
  world.run((deadlineOf(3) ?? 0) - world.core(3).steppedAt - 1300)
  join(1, 3)
  expect(world.runUntil(() => world.core(3).view?.memo.acts.length === 1, 4000)).toBe(true)
  expect(world.runUntil(() => deadlineOf(4) !== undefined, 15_000)).toBe(true)
  join(2, 4)
  join(3, "@witness")
  expect(world.runUntil(() => ticket(2)?.gainedAt !== undefined, 15_000)).toBe(true)
  world.cut(4, "@witness")
  // North stands still, and so goes on with its claim, until the answer may be there.
  world.run(8000)
  world.freeze(1)
  world.cut(1, 3)
  const before = deadlineOf(3)
  expect(world.runUntil(() => deadlineOf(3) !== before, 20_000)).toBe(true)
  join(1, 3)
  expect(world.runUntil(() => ticket(3)?.pledge?.site === "south", 1000)).toBe(true)
  world.run(100)
  world.thaw(1)
  world.run(10_000)
  expect(world.core(3).view?.memo.acts).toEqual([])
  expect(world.active("ledger")).toEqual([2])
  expect(world.violations).toEqual([])
})

test("[VL8] [M11] a release that waited for the memo is not told when the other one has run the service since", () => {
  const timings = { mandate_ttl_ms: 60_000, voice_ttl_ms: 6000 }
  const plain = {
    ...twoSites(),
    node: ["north", "north", "south"].map((site, index) =>
      node(index + 1, site, { wan: `198.51.100.${index + 1}` }),
    ),
    timings,
    service: [service("ledger", { proof: "self-lease", self_lease_margin_ms: 1000 })],
  }
  const world = new World(accepted(parse(plain)), { seed: 4 })
  const main = ticketName("main")
  world.start()
  expect(world.runUntil(() => world.active("ledger")[0] === 1, 20_000)).toBe(true)
  world.run(8000)
  world.cut(1, 2)
  world.run(3000)
  // Assigned anew, and so without doubt.
  world.command(1, { kind: "service-stop", service: serviceName("ledger") })
  expect(world.runUntil(() => world.active("ledger").length === 0, 3000)).toBe(true)
  world.run(500)
  world.command(1, { kind: "service-start", service: serviceName("ledger") })
  expect(world.runUntil(() => world.active("ledger")[0] === 1, 10_000)).toBe(true)
  world.run(3000)
  const epoch = world.core(1).tickets.get(main)?.epoch
  world.cut(1, "@witness")
  world.command(1, { kind: "ticket-move", ticket: main, to: siteId("south") })
  const waits = () =>
    world.core(1).view?.memo.acts.some((act) => act.kind === "release" && act.stopped) === true
  expect(world.runUntil(waits, 4000)).toBe(true)
  expect(world.runUntil(() => world.active("ledger")[0] === 2, 20_000)).toBe(true)
  expect(world.core(2).tickets.get(main)?.epoch).toBe(epoch)
  world.cuts.delete("1>@witness")
  world.cuts.delete("@witness>1")
  world.cut(2, "@witness")
  expect(world.runUntil(() => world.core(1).view?.memo.acts.length === 0, 20_000)).toBe(true)
  world.run(3000)
  expect(world.core(3).tickets.get(main)?.releasedEpoch).toBe(0)
  expect(world.arbiter.leases["mandate:main"]?.releasedEpoch).toBe(0)
  expect(world.violations).toEqual([])
})

test("[VL8] [VL6] nothing from before starts before it knows what the other one ran", () => {
  const world = new World(configOf("1x4"), { seed: 1 })
  const ledger = serviceName("ledger")
  const parts = [
    [1, 2],
    [3, 4],
  ] as const
  const give = (to: 0 | 1) => {
    for (const id of parts[to]) {
      world.cuts.delete(`${id}>@witness`)
      world.cuts.delete(`@witness>${id}`)
    }
    for (const id of parts[1 - to] ?? []) world.cut(id, "@witness")
  }
  const runsIn = (part: 0 | 1) => () =>
    world.active("ledger").some((id) => parts[part].some((each) => each === id))
  world.start()
  expect(world.runUntil(() => world.active("ledger").length === 1, 20_000)).toBe(true)
  world.run(5000)
  world.command(1, { kind: "service-stop", service: ledger })
  world.run(2000)
  world.host(2).diskFull = true
  for (const a of parts[0]) for (const b of parts[1]) world.cut(a, b)
  give(0)
  expect(world.runUntil(() => world.core(1).view?.entitledAt !== undefined, 9000)).toBe(true)
  world.run(500)
  // Ordered, and delivered only when the voice has run out: node 2 could not store its epoch.
  world.command(1, { kind: "service-start", service: ledger })
  expect(world.runUntil(() => world.core(1).view?.underWay.has("assign:ledger") === true, 3000)).toBe(true)
  world.run(100)
  give(1)
  world.run(11_000)
  world.host(2).diskFull = false
  expect(world.runUntil(runsIn(1), 30_000)).toBe(true)
  world.run(3000)
  expect(world.core(1).activations.get(ledger)).toMatchObject({ phase: "stopped", epoch: expect.any(String) })
  give(0)
  expect(world.runUntil(runsIn(0), 30_000)).toBe(true)
  world.run(3000)
  expect(world.violations).toEqual([])
})
