/**
 * The largest sites: thirty nodes in one ring, three sites of ten. They form, survive kills, and no frame is beyond its
 * bound (an ordered message, list or datagram that were would end the node). A view of thirty takes no thirty rotations.
 */
import { expect, test } from "vitest"
import { World } from "../../node-agent/simulation/world.ts"
import { accepted, oneSite, type Plain, parse, service, sitesOf } from "../support/config-builder.ts"
import { selfLease } from "../support/layouts.ts"

const names = Array.from({ length: 32 }, (_, index) => `service-of-some-length-${index}`)
const many = names.map((name) => service(name, selfLease))
const [first = ""] = names

function world(plain: Plain): World {
  return new World(accepted(parse({ ...plain, service: many })), { seed: 3 })
}

/** All who run are in one view of their site, and each service is active once. */
function isWhole(at: World): boolean {
  const cores = [...at.hosts.values()].flatMap((host) => (host.node === undefined ? [] : [host.node]))
  const together = cores.every(({ membership, view, self }) => {
    const here = cores.filter((each) => each.self.site === self.site).map((each) => each.self.id)
    return membership.kind === "operational" && view?.members.join() === here.join()
  })
  return together && names.every((name) => at.active(name).length === 1)
}

test.each([
  ["industrial", {}],
  ["energy", { pass_ms: 10, lease_ms: 190 }],
] as const)("[C5] [R10] [F4] thirty nodes at one site with 32 services, %s", (profile, timings) => {
  const site = world({ ...oneSite(30), profile, timings })
  site.start()
  expect(site.runUntil(() => isWhole(site), 3_000)).toBe(true)
  const settled = site.log.length
  site.run(2_000)
  expect(site.log.slice(settled).filter(({ event }) => event === "gather")).toEqual([])
  for (const victim of [15, 30, 1]) {
    site.kill(victim)
    expect(
      site.runUntil(() => isWhole(site), 1_500),
      `after n${victim}`,
    ).toBe(true)
  }
  site.start(15, 30, 1)
  expect(site.runUntil(() => isWhole(site), 20_000)).toBe(true)
  expect(site.violations).toEqual([])
  expect(site.log.filter(({ level }) => level === "error")).toEqual([])
})

test("[C5] [M8] three sites of ten nodes; an owner dies, then its site is lost", () => {
  const three = world(sitesOf({ north: 10, south: 10, west: 10 }))
  three.start()
  expect(three.runUntil(() => isWhole(three), 20_000)).toBe(true)
  const [owner = 0] = three.active(first)
  three.kill(owner)
  expect(three.runUntil(() => isWhole(three), 2_000)).toBe(true)
  const [holder = 0] = three.active(first)
  expect(three.host(holder).site).toBe(three.host(owner).site)
  const lost = [...three.hosts.values()].filter(({ site }) => site === three.host(holder).site)
  three.powerOff(...lost.map(({ id }) => id))
  expect(three.runUntil(() => isWhole(three), 60_000)).toBe(true)
  expect(three.violations).toEqual([])
  expect(three.log.filter(({ level }) => level === "error")).toEqual([])
})
