/**
 * Thirty nodes in two sites that come and go for an hour of virtual time, and both sites with them. Each node and each
 * site is one root cause; whatever follows from it (links, takeovers, who cannot reach whom) is not.
 */
import { describe, expect, it } from "vitest"
import { createRandom, draw } from "../../../../node-agent/core/random.ts"
import { wallTime } from "../../../../protocol/units.ts"
import type { Signal } from "../../../../worker/alerts/incidents.ts"
import { Router, signal } from "./alert-builder.ts"

const sites = ["north", "south"]
const nodes = Array.from({ length: 30 }, (_, index) => ({
  name: `n${index + 1}`,
  site: index < 15 ? "north" : "south",
}))
const seconds = 3_600

interface Timed {
  readonly at: number
  readonly signal: Signal
}

/** What the cluster would report: down and up of each node with its links and takeovers, silence of each site with all of it. */
function storm(seed: number): readonly Timed[] {
  const random = createRandom(seed)
  const between = (from: number, to: number): number => from + draw(random) * (to - from)
  const timed: Timed[] = []
  const add = (at: number, ...signals: readonly Signal[]): void => {
    for (const each of signals) timed.push({ at, signal: each })
  }
  for (const [index, { name, site }] of nodes.entries()) {
    let incarnation = 1
    for (let at = between(0, 300); at < seconds; at += between(30, 400)) {
      const place = { site, node: name, cause: `i${incarnation}` }
      add(at, signal("node-down", name, place), signal("takeover", `service-${index}`, { site, node: name }))
      for (const link of [0, 1]) add(at + 1, signal("link-down", `${name}/${link}`, { site, node: name }))
      at += between(5, 120)
      incarnation += 1
      add(at, signal("node-up", name, { site, node: name }))
      for (const link of [0, 1]) add(at + 1, signal("link-up", `${name}/${link}`, { site, node: name }))
    }
  }
  const outages = sites.flatMap((site) => {
    const found: { site: string; from: number; to: number }[] = []
    for (let at = between(100, 600); at < seconds; at += between(120, 900)) {
      const from = at
      at += between(60, 240)
      found.push({ site, from, to: at })
    }
    return found
  })
  for (const { site, from, to } of outages) {
    const other = sites.find((each) => each !== site) ?? ""
    // A site that is out itself reports nothing.
    const witnessed = !outages.some((each) => each.site === other && each.from < from + 5 && each.to > from)
    const there = { site: other, peer: site }
    if (witnessed) add(from + 5, signal("site-unreachable", site, there))
    add(from + 30, signal("site-silent", site, { site, severity: "critical" }))
    add(from + 33, signal("mandate-moved", "main", { site }))
    add(to, signal("site-back", site, { site }), signal("site-reachable", site, there))
    for (const { name, site: home } of nodes) {
      if (home !== site) continue
      add(from + 30, signal("witness-unreachable", name, { site, node: name }))
      add(to, signal("witness-reachable", name, { site, node: name }))
    }
  }
  return timed.toSorted((a, b) => a.at - b.at)
}

describe("a storm of an hour", () => {
  it("[A6] [A10] one incident at most for each root cause is told, whatever the order", {
    timeout: 60_000,
  }, () => {
    for (const seed of [1, 2]) {
      const router = new Router()
      const start = router.now
      const events = storm(seed)
      for (const { at, signal: each } of events) {
        router.wait(Math.max(0, (start + at * 1_000 - router.now) / 1_000))
        router.take(each)
      }
      router.now = wallTime(Math.max(router.now, start + seconds * 1_000))
      router.wait(7_200)
      const told = router.sent.flatMap(({ incidents }) => incidents)
      const ids = new Set(told.map(({ id }) => id))
      const causes = new Set(told.map(({ kind, subject }) => `${kind} ${subject}`))
      const roots = nodes.length + sites.length
      console.log(
        `storm ${seed}: ${events.length} events would have been ${events.length} notifications; sent were ` +
          `${router.sent.length}, about ${ids.size} incidents of ${roots} root causes`,
      )
      expect([...causes].filter((cause) => !/^(node-down|site-silent) /.test(cause))).toEqual([])
      expect(ids.size).toBeLessThanOrEqual(roots)
      expect(ids.size, "nothing is lost: each node and site was told").toBe(roots)
      const open = [...router.state.incidents.values()].filter(({ phase }) => phase !== "resolved")
      expect(open, "and all of it is over in the end").toEqual([])
      expect(router.state.groups.size).toBe(0)
    }
  })
})
