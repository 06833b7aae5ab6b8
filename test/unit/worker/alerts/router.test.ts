import { describe, expect, it } from "vitest"
import { wallTime } from "../../../../protocol/units.ts"
import { incidentId } from "../../../../worker/alerts/identity.ts"
import { acknowledged, resolvedBy } from "../../../../worker/alerts/incidents.ts"
import { rehearse } from "../../../../worker/alerts/rehearsal.ts"
import { relook, reroute, withIncident } from "../../../../worker/alerts/router.ts"
import type { Silence } from "../../../../worker/alerts/suppression.ts"
import { circumstances, Router, receiverToml, signal } from "./alert-builder.ts"

const pager = receiverToml("pager")
const down = (node: string, place = {}) => signal("node-down", node, { site: "north", node, ...place })
const up = (node: string) => signal("node-up", node, { site: "north", node })

function acknowledge(router: Router, kind: string): Router {
  const change = (incident: Parameters<typeof acknowledged>[0]) => acknowledged(incident, "ann", router.now)
  const { id } = router.incident(kind)
  return router.apply(withIncident(router.state, change, id, router.circumstances, router.now))
}

function notes(router: Router, kind: string): string {
  return router
    .incident(kind)
    .notes.map(({ text }) => text)
    .join("; ")
}

describe("[A6] incidents", () => {
  it("have the id of cluster, kind, subject and cause, whoever reports them", () => {
    const router = new Router().take(down("a2", { cause: "i3" }))
    const { id } = router.incident("node-down")
    expect(id).toBe(incidentId("grid", "node-down", "node a2", "i3"))
    router.take(down("a2", { cause: "i3", detail: "by another" }))
    expect(router.state.incidents.size).toBe(1)
    expect(incidentId("grid", "node-down", "node a2", "i4")).not.toBe(id)
  })

  it("hold down: what is over before `for` was told to nobody, and says so", () => {
    const router = new Router(circumstances(`[kind.node-down]\nfor = "10s"\n${pager}`)).take(down("a2"))
    expect(router.wait(9)).toEqual([])
    router.take(up("a2"))
    expect(router.wait(600)).toEqual([])
    expect(notes(router, "node-down")).toContain("over before it had lasted")
  })

  it("flap: a short return is not an end, and each time it must stay away for longer", () => {
    const router = new Router().take(down("a2"))
    expect(router.wait(15)).toEqual(["pager trigger: node a2 is down"])
    for (let flap = 0; flap < 5; flap += 1) {
      router.take(up("a2"))
      router.wait(20)
      router.take(down("a2"))
      router.wait(60)
    }
    router.take(up("a2"))
    expect(router.wait(600), "half an hour by now").toEqual([])
    expect(router.incident("node-down")).toMatchObject({ count: 6, phase: "clearing" })
    expect(router.wait(1_500)).toEqual(["pager resolve: node a2 is down (6 times)"])
  })

  it("a kind that nobody knows is told by its own severity, and ends by itself", () => {
    const router = new Router().take(signal("flux-lost", "x", { severity: "critical" }))
    router.take(signal("flux-noted", "x", { severity: "info" }))
    expect(router.wait(20)).toEqual(["pager trigger: cluster x flux lost"])
    expect(router.wait(900)).toEqual(["pager resolve: cluster x flux lost"])
  })

  it("an operator's word ends it; the next sign opens it again", () => {
    const router = new Router().take(down("a2"))
    router.wait(20)
    const { id } = router.incident("node-down")
    const change = (incident: Parameters<typeof resolvedBy>[0]) => resolvedBy(incident, "ann", router.now)
    router.apply(withIncident(router.state, change, id, router.circumstances, router.now))
    expect(router.sent.at(-1)?.action).toBe("resolve")
    router.take(down("a2"))
    expect(router.wait(20)).toEqual(["pager trigger: node a2 is down (2 times)"])
  })
})

describe("[A9] groups", () => {
  it("incidents of one kind and site are one notification; another site is another", () => {
    const router = new Router().take(
      down("a1"),
      down("a2"),
      signal("node-down", "b1", { site: "south", node: "b1" }),
    )
    expect(router.wait(20)).toEqual([
      "pager trigger: node a1 is down, node a2 is down",
      "pager trigger: node b1 is down",
    ])
  })

  it("who joins later comes with the next interval, under the same key; the end of all of it is told at once", () => {
    const router = new Router().take(down("a1"))
    router.wait(20)
    router.take(down("a2"))
    expect(notes(router, "node-down")).not.toContain("grouped")
    expect(router.wait(280)).toEqual([])
    expect(router.wait(30)).toEqual(["pager update: node a1 is down, node a2 is down"])
    router.take(up("a1"), up("a2"))
    expect(router.wait(31)).toEqual(["pager resolve: node a1 is down, node a2 is down"])
    expect(new Set(router.sent.map(({ dedupKey }) => dedupKey)).size).toBe(1)
    expect(new Set(router.sent.map(({ id }) => id)).size).toBe(3)
    expect(router.state.groups.size).toBe(0)
  })

  it("repeats while nobody acknowledges; the acknowledgement is told and ends them", () => {
    const router = new Router().take(down("a1"))
    router.wait(20)
    expect(router.wait(14_400)).toEqual(["pager trigger: node a1 is down"])
    expect(router.sent.at(-1)).toMatchObject({ repeat: 1 })
    acknowledge(router, "node-down")
    expect(router.sent.at(-1)).toMatchObject({ action: "acknowledge" })
    expect(router.wait(100_000)).toEqual([])
  })

  it("escalation goes on until somebody acknowledges", () => {
    const toml = `[[route]]\nreceivers = ["pager"]\nescalation = "boss"\n[[escalation]]\nname = "boss"\n
[[escalation.step]]\nafter = "5m"\nreceivers = ["boss"]\n[[escalation.step]]\nafter = "15m"\nreceivers = ["boss"]\n
${pager}${receiverToml("boss")}`
    const router = new Router(circumstances(toml)).take(down("a1"))
    expect(router.wait(299)).toEqual(["pager trigger: node a1 is down"])
    expect(router.wait(2)).toEqual(["boss trigger: node a1 is down"])
    expect(router.sent.at(-1)).toMatchObject({ escalation: 1 })
    acknowledge(router, "node-down")
    expect(router.wait(3_600)).toEqual([])
    expect(notes(router, "node-down")).toContain("escalation step 2: acknowledged before it was to be told")
    router.take(up("a1"))
    expect(router.wait(60).toSorted()).toEqual([
      "boss resolve: node a1 is down",
      "pager resolve: node a1 is down",
    ])
  })

  it("routes: the first that fits, more with `continue`; severities and matchers", () => {
    const toml = `[[route]]\nmatch = ['severity="critical"']\nreceivers = ["pager"]\ncontinue = true\n
[[route]]\nmatch = ['site=~"no.*"', 'kind!="site-silent"']\nreceivers = ["chat"]\n${pager}${receiverToml("chat")}`
    const router = new Router(circumstances(toml)).take(down("a1"))
    router.take(signal("clock-out-of-bounds", "b1", { site: "south", node: "b1" }))
    expect(router.wait(120).toSorted()).toEqual([
      "chat trigger: node a1 is down",
      "pager trigger: node a1 is down",
    ])
    expect(notes(router, "clock-out-of-bounds")).toContain("nobody is told: no route fits")
  })

  it("a receiver is not told that it fails; if it were the only one, the others are", () => {
    const toml = `[[route]]\nreceivers = ["pager"]\n${pager}${receiverToml("chat")}`
    const router = new Router(circumstances(toml)).take(signal("receiver-failing", "pager"))
    expect(router.wait(20)).toEqual(["chat trigger: receiver pager does not take notifications"])
  })

  it("new rules: what was told stays told, what was not finds its new way", () => {
    const router = new Router().take(down("a1"))
    router.wait(20)
    router.take(signal("site-silent", "south", { site: "south" }))
    router.circumstances = circumstances(`[[route]]\nreceivers = ["chat"]\n${pager}${receiverToml("chat")}`)
    router.apply(reroute(router.state, router.circumstances, router.now))
    expect(router.wait(20).toSorted()).toEqual([
      "chat trigger: node a1 is down",
      "chat trigger: site south is silent: none of its nodes reaches the witness",
    ])
  })
})

describe("[A10] what is not told has its reason", () => {
  const silence = (match: string, seconds: number, from: number): Silence => ({
    id: "s1",
    kind: "silence",
    match: [{ label: "node", operator: "=", value: match }],
    author: "ann",
    reason: "new disk",
    startsAt: wallTime(from),
    endsAt: wallTime(from + seconds * 1_000),
  })

  it("a silence holds back until it ends; then what still fires is told", () => {
    const router = new Router()
    router.circumstances = circumstances(pager, [silence("a2", 600, router.now)])
    router.take(down("a2"))
    expect(router.wait(599)).toEqual([])
    expect(notes(router, "node-down")).toContain("silence s1 by ann: new disk")
    expect(router.wait(2)).toEqual(["pager trigger: node a2 is down"])
  })

  it("a silence that is ended early is looked at again at once", () => {
    const router = new Router()
    router.circumstances = circumstances(pager, [silence("a2", 6_000, router.now)])
    router.take(down("a2"))
    router.wait(30)
    router.circumstances = circumstances(pager, [])
    router.apply(relook(router.state, router.circumstances, router.now))
    expect(router.sent.map(({ action }) => action)).toEqual(["trigger"])
  })

  it("a silent site explains its nodes' troubles and that others cannot reach it, not dual activity", () => {
    const router = new Router().take(signal("site-silent", "north", { site: "north" }), down("a1"))
    router.take(signal("site-unreachable", "north", { site: "south", peer: "north" }))
    router.take(signal("dual-active", "pump", { site: "north" }))
    expect(router.wait(120).toSorted()).toEqual([
      "pager trigger: service pump was active on two nodes",
      "pager trigger: site north is silent: none of its nodes reaches the witness",
    ])
    expect(notes(router, "node-down")).toContain("inhibited by")
    router.take(signal("site-back", "north", { site: "north" }))
    expect(router.wait(60)).toContain("pager trigger: node a1 is down")
  })

  it("a cut seen from both sides is one incident", () => {
    const router = new Router().take(signal("site-unreachable", "south", { site: "north", peer: "south" }))
    router.take(signal("site-unreachable", "north", { site: "south", peer: "north" }))
    expect(router.wait(300)).toEqual([
      "pager trigger: cluster north - south is cut between two sites, both of which reach the witness",
    ])
    router.take(signal("site-reachable", "south", { site: "north", peer: "south" }))
    router.take(signal("site-reachable", "north", { site: "south", peer: "north" }))
    expect(router.wait(60)).toEqual([
      "pager resolve: cluster north - south is cut between two sites, both of which reach the witness",
    ])
  })

  it("a rule of the operator's inhibits too", () => {
    const toml = `[[inhibit]]\nsource = ['kind="fence-failed"']\ntarget = ['kind="service-blocked"']\nequal = ["site"]\n${pager}`
    const router = new Router(circumstances(toml))
    router.take(signal("fence-failed", "a1", { site: "north", node: "a1" }))
    router.take(
      signal("service-blocked", "pump", { site: "north" }),
      signal("service-blocked", "valve", { site: "south" }),
    )
    expect(router.wait(30).toSorted()).toEqual([
      "pager trigger: node a1 could not be fenced",
      "pager trigger: service valve is blocked: no proof that it stopped elsewhere",
    ])
  })

  it("the time of the week: told when the office opens, if it still fires", () => {
    const toml = `[[route]]\nreceivers = ["pager"]\nactive = ["office"]\n
[[time]]\nname = "office"\ndays = ["mon"]\nfrom = "08:00"\nto = "18:00"\nzone = "Europe/Berlin"\n${pager}`
    const router = new Router(circumstances(toml))
    router.now = wallTime(Date.UTC(2026, 10, 23, 6, 0, 0))
    router.take(down("a1"))
    expect(router.wait(3_500), "06:58 UTC is 07:58 in Berlin").toEqual([])
    expect(notes(router, "node-down")).toContain("not within office")
    expect(router.wait(500)).toEqual(["pager trigger: node a1 is down"])
  })

  it("a night that begins before midnight belongs to the day it began on", () => {
    const toml = `[[route]]\nreceivers = ["pager"]\nmuted = ["night"]\n
[[time]]\nname = "night"\ndays = ["mon"]\nfrom = "22:00"\nto = "06:00"\n${pager}`
    const router = new Router(circumstances(toml))
    router.now = wallTime(Date.UTC(2026, 10, 24, 5, 0, 0))
    router.take(down("a1"))
    expect(router.wait(3_000), "05:50 on Tuesday is still Monday's night").toEqual([])
    expect(router.wait(1_200)).toEqual(["pager trigger: node a1 is down"])
  })
})

describe("a rehearsal", () => {
  it("tells what other rules would have made of the past", () => {
    const events = [
      { ...down("a1").event, recordedAt: wallTime(1_000) },
      { ...up("a1").event, recordedAt: wallTime(5_000_000) },
    ]
    const toml = `group_wait = "1m"\nrepeat_interval = "30m"\n${pager}`
    const told = rehearse(events, circumstances(toml), wallTime(10_000_000))
    expect(told.map(({ action, at }) => `${action} ${at}`)).toEqual([
      "trigger 61000",
      "trigger 1861000",
      "trigger 3661000",
      "resolve 5030000",
    ])
  })
})
