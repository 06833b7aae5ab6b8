/**
 * From an event to the receivers and back, in the real runtime: rows, alarms, restarts. What goes out is caught at `fetch`;
 * receivers that are real servers are in `test/e2e/delivery.test.ts`. The wall clock is fake and far ahead: no alarm fires
 * by itself.
 */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test"
import { env } from "cloudflare:workers"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { ReportedEvent } from "../../protocol/summaries.ts"
import { wallTime } from "../../protocol/units.ts"
import { AlertTables } from "../../worker/alert-tables.ts"
import worker from "../../worker/index.ts"
import { dump } from "./stored.ts"
import { environment, TestCluster } from "./witness-client.ts"

const start = Date.UTC(2040, 0, 1)
const secret = `whsec_${btoa("0123456789abcdef0123456789abcdef")}`

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: start })
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

function webhook(name: string, url = `https://${name}.example.com/hook`): string {
  return `[[receiver]]\nname = "${name}"\nkind = "webhook"\nurl = "${url}"\nsecret = "${secret}"\n`
}

function pagerduty(name: string): string {
  return `[[receiver]]\nname = "${name}"\nkind = "pagerduty"\nrouting_key = "e93facc04764012d7bfb002500d5d1a6"\n`
}

/** Told at once, and again only when somebody asks for it. */
const atOnce = 'group_wait = "0s"\ngroup_interval = "0s"\nrepeat_interval = "30d"\n'

async function clusterWith(...receivers: readonly string[]): Promise<TestCluster> {
  const cluster = await TestCluster.create({ dead_man_ms: 3_600_000 })
  await cluster.rules(atOnce + receivers.join(""))
  return cluster
}

function advance(seconds: number): void {
  vi.setSystemTime(Date.now() + seconds * 1_000)
}

async function runAlarm(cluster: TestCluster): Promise<void> {
  await runDurableObjectAlarm(cluster.stub)
}

let serial = 0

async function report(cluster: TestCluster, kind: string, subject = "pump"): Promise<void> {
  serial += 1
  const event: ReportedEvent = {
    id: `e${serial}`,
    kind,
    subject,
    severity: "critical",
    at: wallTime(Date.now()),
    detail: "",
  }
  await cluster.node(1).post([], { events: [event] })
}

/** A status; one with a Retry-After; or no answer. */
type Answer = number | { readonly status: number; readonly retryAfter: string } | Error

interface Caught {
  readonly to: string
  readonly headers: Headers
  readonly body: { event_action?: string; dedup_key?: string; type?: string; data?: object }
}

/** Answers with these, the last one again and again; returns what was sent. */
function answering(...answers: readonly Answer[]): Caught[] {
  const queue = [...answers]
  const caught: Caught[] = []
  vi.spyOn(globalThis, "fetch").mockImplementation(async (url, init) => {
    caught.push({
      to: new URL(String(url)).hostname.split(".")[0] ?? "",
      headers: new Headers(init?.headers),
      body: JSON.parse(String(init?.body)),
    })
    const answer = queue.length > 1 ? queue.shift() : queue[0]
    if (answer instanceof Error) throw answer
    if (typeof answer !== "object") return new Response("{}", { status: answer ?? 200 })
    return new Response("{}", { status: answer.status, headers: { "retry-after": answer.retryAfter } })
  })
  return caught
}

interface Delivery {
  readonly id: string
  readonly receiver: string
  readonly action: string
  readonly state: string
  readonly attempts: number
  readonly reason: string
  readonly next_at_ms?: number
  readonly log: readonly { status?: number; reason: string; ms: number }[]
}

async function deliveries(cluster: TestCluster): Promise<readonly Delivery[]> {
  const { deliveries: found } = await cluster.ask<{ deliveries: Delivery[] }>("GET", "/alerts/deliveries")
  return found.toReversed()
}

describe("the way of an incident", () => {
  it("trigger and resolve carry one key, and come in order", async () => {
    const caught = answering(202)
    const cluster = await clusterWith(pagerduty("pager"))
    await report(cluster, "service-failed")
    await runAlarm(cluster)
    await report(cluster, "service-started")
    advance(31)
    await runAlarm(cluster)
    await runAlarm(cluster)
    expect(caught.map(({ body }) => body.event_action)).toEqual(["trigger", "resolve"])
    expect(new Set(caught.map(({ body }) => body.dedup_key)).size).toBe(1)
    expect(caught[0]?.body.dedup_key).toMatch(new RegExp(`^${cluster.name}:[0-9a-f]{32}$`))
    expect(await deliveries(cluster)).toMatchObject([
      { action: "trigger", state: "delivered", attempts: 1, log: [{ status: 202 }] },
      { action: "resolve", state: "delivered", attempts: 1 },
    ])
  })

  it("goes to every receiver, signed as a Standard Webhook", async () => {
    const caught = answering(200)
    const cluster = await clusterWith(webhook("one"), webhook("two"))
    await report(cluster, "service-failed")
    await runAlarm(cluster)
    expect(caught.map(({ to }) => to).toSorted()).toEqual(["one", "two"])
    for (const { headers } of caught) {
      expect(headers.get("webhook-signature")).toMatch(/^v1,/)
      expect(headers.get("webhook-timestamp")).toBe(String(start / 1_000))
    }
  })

  it("[A7] the letter is stored with the change: it survives a restart, and none leaves without it", async () => {
    const caught = answering(202)
    const cluster = await clusterWith(pagerduty("pager"))
    vi.spyOn(AlertTables.prototype, "storeLetter").mockImplementationOnce(() => {
      throw new Error("storage is away")
    })
    await expect(report(cluster, "service-failed")).rejects.toThrow()
    expect((await cluster.describe()).incidents, "neither incident nor letter").toEqual([])
    await report(cluster, "service-failed", "valve")
    await evictDurableObject(cluster.stub)
    expect(caught).toEqual([])
    await runAlarm(cluster)
    expect(caught).toHaveLength(1)
  })

  it("[A8] killed between sending and noting it: sent again, under the same id", async () => {
    const caught = answering(202)
    const cluster = await clusterWith(webhook("one"))
    await report(cluster, "service-failed")
    const settle = vi.spyOn(AlertTables.prototype, "storeLetter").mockImplementationOnce(() => {
      throw new Error("the object is gone")
    })
    vi.spyOn(console, "error").mockImplementation(() => undefined)
    await runAlarm(cluster)
    settle.mockRestore()
    await evictDurableObject(cluster.stub)
    await runAlarm(cluster)
    expect(caught).toHaveLength(2)
    expect(new Set(caught.map(({ headers }) => headers.get("webhook-id"))).size).toBe(1)
    expect(await deliveries(cluster)).toMatchObject([{ state: "delivered" }])
  })

  it("a retry that was pending while the object slept, and whose alarm was lost, is made after the next post", async () => {
    const caught = answering(500, 202)
    const cluster = await clusterWith(pagerduty("pager"))
    await report(cluster, "service-failed")
    await runAlarm(cluster)
    await cluster.forgetAlarm()
    await evictDurableObject(cluster.stub)
    advance(60)
    await cluster.node(11).post()
    await runAlarm(cluster)
    expect(caught).toHaveLength(2)
    expect(await deliveries(cluster)).toMatchObject([{ state: "delivered", attempts: 2 }])
  })

  it("over before it was tried: nobody is woken for nothing; after a try the end is told", async () => {
    const caught = answering(503, 202)
    const cluster = await clusterWith(pagerduty("pager"))
    await cluster.rules(`${atOnce}[kind.service-failed]\nclear = "0s"\n${pagerduty("pager")}`)
    await report(cluster, "service-failed")
    await report(cluster, "service-started")
    await runAlarm(cluster)
    expect(caught).toEqual([])
    expect((await deliveries(cluster)).map(({ state, reason }) => [state, reason])).toEqual([
      ["dropped", "superseded by resolve"],
      ["dropped", "it was over before it could be told"],
    ])
    await report(cluster, "service-failed", "valve")
    await runAlarm(cluster)
    await report(cluster, "service-started", "valve")
    advance(60)
    await runAlarm(cluster)
    expect(caught.map(({ body }) => body.event_action)).toEqual(["trigger", "trigger", "resolve"])
  })
})

describe("what receivers answer", () => {
  const retried: readonly (readonly [string, Answer, number])[] = [
    ["500", 500, 3],
    ["no answer in time", new DOMException("The operation timed out", "TimeoutError"), 3],
    ["a connection closed early", new TypeError("Network connection lost."), 3],
    ["429 with Retry-After in seconds", { status: 429, retryAfter: "120" }, 120],
    [
      "429 with Retry-After as a date",
      { status: 429, retryAfter: new Date(start + 300_000).toUTCString() },
      300,
    ],
    ["503 with Retry-After", { status: 503, retryAfter: "60" }, 60],
    ["429 without a word", 429, 40],
    ["401", 401, 3],
    ["404", 404, 3],
  ]
  it.each(retried)("%s: tried again, not before its time", async (_, answer, seconds) => {
    const caught = answering(answer, 202)
    const cluster = await clusterWith(pagerduty("pager"))
    await report(cluster, "service-failed")
    await runAlarm(cluster)
    expect(await deliveries(cluster)).toMatchObject([{ state: "pending", attempts: 1 }])
    advance(seconds >= 60 ? seconds - 1 : 1)
    await runAlarm(cluster)
    expect(caught, "not before its time").toHaveLength(1)
    advance(seconds >= 60 ? 1 : seconds)
    await runAlarm(cluster)
    expect(caught).toHaveLength(2)
    expect(await deliveries(cluster)).toMatchObject([{ state: "delivered", attempts: 2 }])
  })

  it("one that asks for patience is left alone with all that is for it", async () => {
    const caught = answering({ status: 429, retryAfter: "120" }, 202)
    const cluster = await clusterWith(pagerduty("pager"))
    await report(cluster, "service-failed")
    await runAlarm(cluster)
    await report(cluster, "service-blocked")
    advance(60)
    await runAlarm(cluster)
    expect(caught).toHaveLength(1)
    advance(60)
    await runAlarm(cluster)
    expect(caught).toHaveLength(3)
  })

  it("400: once more with the least of it, then dead", async () => {
    const caught = answering(400)
    const cluster = await clusterWith(pagerduty("pager"))
    await report(cluster, "service-failed")
    await runAlarm(cluster)
    advance(10)
    await runAlarm(cluster)
    expect(caught).toHaveLength(2)
    expect(JSON.stringify(caught[1]?.body).length).toBeLessThan(JSON.stringify(caught[0]?.body).length)
    expect((await deliveries(cluster))[0]).toMatchObject({ state: "dead", attempts: 2 })
  })

  it("410: dead at once; the receiver counts as failing, and the others hear of both", async () => {
    vi.spyOn(globalThis, "fetch").mockImplementation(async (url) => {
      return new Response("{}", { status: String(url).includes("gone") ? 410 : 202 })
    })
    const cluster = await clusterWith(webhook("gone"), pagerduty("pager"))
    await report(cluster, "service-failed")
    await runAlarm(cluster)
    await runAlarm(cluster)
    const found = await deliveries(cluster)
    expect(found.filter(({ receiver }) => receiver === "gone")).toMatchObject([
      { state: "dead", attempts: 1 },
    ])
    expect(found.filter(({ receiver, state }) => receiver === "pager" && state === "delivered")).toHaveLength(
      3,
    )
    expect((await cluster.describe()).incidents.map(({ kind }) => kind).toSorted()).toEqual([
      "delivery-failed",
      "receiver-failing",
      "service-failed",
    ])
  })

  it("a redirect, as to a private address, is not followed: it counts as a failure", async () => {
    const fetched = vi
      .spyOn(globalThis, "fetch")
      .mockResolvedValue(
        new Response(null, { status: 302, headers: { location: "http://169.254.169.254/" } }),
      )
    const cluster = await clusterWith(webhook("one"))
    await report(cluster, "service-failed")
    await runAlarm(cluster)
    expect(fetched).toHaveBeenCalledOnce()
    expect(fetched.mock.calls[0]?.[1]).toMatchObject({ redirect: "manual" })
    expect(await deliveries(cluster)).toMatchObject([{ state: "pending", log: [{ status: 302 }] }])
  })

  it("one that fails again and again opens an incident on the others, and closes it when a test goes through", async () => {
    let well = false
    vi.spyOn(globalThis, "fetch").mockImplementation(async (url) => {
      return new Response("{}", { status: well || !String(url).includes("pagerduty") ? 202 : 500 })
    })
    const cluster = await clusterWith(pagerduty("pager"), webhook("other"))
    await report(cluster, "service-failed")
    for (let attempt = 0; attempt < 8; attempt += 1) {
      await runAlarm(cluster)
      advance(30)
    }
    const failing = async () =>
      (await cluster.describe()).incidents.filter(({ kind }) => kind === "receiver-failing")
    expect(await failing()).toMatchObject([{ subject: "receiver pager", state: "open" }])
    expect(
      (await deliveries(cluster)).some(
        ({ receiver, state }) => receiver === "other" && state === "delivered",
      ),
    ).toBe(true)
    well = true
    const tested = await cluster.ask<{ attempts: object[] }>("POST", "/alerts/receivers/pager/test")
    expect(tested.attempts).toMatchObject([
      { action: "trigger", outcome: "delivered", status: 202 },
      { action: "resolve", outcome: "delivered" },
    ])
    expect(await failing()).toMatchObject([{ state: "clearing" }])
  })

  it("one that hangs holds up no other, and nobody's post", async () => {
    const released = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<void>()
    vi.spyOn(globalThis, "fetch").mockImplementation(async (url) => {
      if (String(url).includes("fast")) asked.resolve()
      if (String(url).includes("slow")) await released.promise
      return new Response("{}", { status: 202 })
    })
    const cluster = await clusterWith(webhook("slow"), webhook("fast"))
    await report(cluster, "service-failed", "one")
    const alarm = runAlarm(cluster)
    await asked.promise
    const isTold = ({ receiver, state }: Delivery): boolean => receiver === "fast" && state === "delivered"
    while (!(await deliveries(cluster)).some(isTold)) await scheduler.wait(5)
    await report(cluster, "service-failed", "two")
    released.resolve()
    await alarm
    await runAlarm(cluster)
    expect((await deliveries(cluster)).filter(({ state }) => state === "delivered")).toHaveLength(4)
  })

  it("a dead letter can be sent again, one by one or all of a receiver", async () => {
    answering(410, 202)
    const cluster = await clusterWith(webhook("one"))
    await report(cluster, "service-failed")
    await runAlarm(cluster)
    const [dead] = await deliveries(cluster)
    await cluster.ask("POST", `/alerts/deliveries/${dead?.id}/replay`)
    await cluster.ask("POST", `/alerts/deliveries/${dead?.id}/replay`, undefined, 409)
    advance(600)
    await runAlarm(cluster)
    expect(await deliveries(cluster)).toMatchObject([{ state: "delivered" }])
    const replayed = await cluster.ask("POST", "/alerts/deliveries/replay", { receiver: "one" })
    expect(replayed).toEqual({ replayed: [] })
  })
})

describe("nothing of its own makes the alarm a loop", () => {
  async function alarmIn(cluster: TestCluster): Promise<number> {
    const at = await runInDurableObject(cluster.stub, (_instance, { storage }) => storage.getAlarm())
    return (at ?? Number.NaN) - Date.now()
  }

  it("a run that fails is tried again, and not at once", async () => {
    answering(202)
    const cluster = await clusterWith(pagerduty("pager"))
    const complaints = vi.spyOn(console, "error").mockImplementation(() => undefined)
    const bindings: { RECEIVER_KEY?: string } = env as object
    bindings.RECEIVER_KEY = "no key"
    try {
      await evictDurableObject(cluster.stub)
      await report(cluster, "service-failed")
      await runAlarm(cluster)
      expect(JSON.stringify(complaints.mock.calls)).toContain("RECEIVER_KEY")
      expect(await alarmIn(cluster)).toBeGreaterThanOrEqual(15_000)
    } finally {
      delete bindings.RECEIVER_KEY
    }
    await evictDurableObject(cluster.stub)
    advance(15)
    await runAlarm(cluster)
    expect(await deliveries(cluster)).toMatchObject([{ state: "delivered" }])
  })

  it("a reminder of what never got there", async () => {
    answering(400)
    const cluster = await clusterWith(
      '[[receiver]]\nname = "am"\nkind = "alertmanager"\nurl = "https://am.example.com"\n',
    )
    await report(cluster, "service-failed")
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await runAlarm(cluster)
      advance(10)
    }
    expect((await deliveries(cluster)).find(({ receiver }) => receiver === "am")).toMatchObject({
      state: "dead",
    })
    await runAlarm(cluster)
    await runAlarm(cluster)
    expect(await alarmIn(cluster)).toBeGreaterThan(10_000)
  })
})

describe("where notifications may go", () => {
  it("private addresses are for the embedded witness only: its deployment says so", async () => {
    const caught = answering(200)
    const cluster = await TestCluster.create({ dead_man_ms: 3_600_000 })
    const inside = webhook("inside", "http://192.168.1.20:8080/hook")
    expect(await cluster.rules(atOnce + inside, 400)).toContain("4:1: receiver[0]: blocked")
    const bindings: { ALLOW_PRIVATE_RECEIVERS?: string } = env as object
    bindings.ALLOW_PRIVATE_RECEIVERS = "1"
    try {
      await evictDurableObject(cluster.stub)
      await cluster.rules(atOnce + inside)
      await report(cluster, "service-failed")
      await runAlarm(cluster)
      expect(caught).toHaveLength(1)
      delete bindings.ALLOW_PRIVATE_RECEIVERS
      await evictDurableObject(cluster.stub)
      await report(cluster, "service-failed", "valve")
      await runAlarm(cluster)
      expect(caught, "asked again before each sending").toHaveLength(1)
    } finally {
      delete bindings.ALLOW_PRIVATE_RECEIVERS
    }
  })

  it("[A11] secrets are sealed in the storage, and never come back", async () => {
    const cluster = await clusterWith(webhook("one", "https://hooks.example.com/path-1"), pagerduty("pager"))
    const stored = JSON.stringify(await dump(cluster))
    const shown = JSON.stringify(await cluster.ask("GET", "/alerts/rules"))
    for (const text of [stored, shown, JSON.stringify(await cluster.describe())]) {
      expect(text).not.toContain(secret.slice(6, 26))
      expect(text).not.toContain("e93facc04764012d7bfb002500d5d1a6")
    }
    expect(stored).toContain("sealed.1.")
    expect(shown).toContain('"name":"pager"')
  })

  it("a post is answered although no receiver can be reached", async () => {
    answering(new Error("no route"))
    const cluster = await clusterWith(webhook("one"))
    await report(cluster, "service-failed")
    await runAlarm(cluster)
    expect(await deliveries(cluster)).toMatchObject([{ state: "pending", reason: "no route", attempts: 1 }])
    expect(await cluster.node(1).post()).toMatchObject({ answers: [] })
  })
})

describe("the second monitor", () => {
  it("[A17] hears from the alarm at its pace, and nothing if the alarm's work fails", async () => {
    const beats: string[] = []
    vi.spyOn(globalThis, "fetch").mockImplementation(async (url) => {
      beats.push(String(url))
      return new Response("OK")
    })
    const cluster = await TestCluster.create()
    await cluster.rules('[heartbeat]\nurl = "https://hc.example.com/ping/1"\nevery = "60s"\n')
    for (let second = 0; second < 300; second += 15) {
      advance(15)
      await cluster.node(1).post()
      await runAlarm(cluster)
    }
    expect(beats.length).toBeGreaterThanOrEqual(4)
    expect(beats.length).toBeLessThanOrEqual(6)
    await cluster.forgetAlarm()
    await worker.scheduled(undefined as never, environment)
    advance(120)
    await runAlarm(cluster)
    expect(beats.length, "and again after the cron set the alarm").toBeGreaterThanOrEqual(5)
  })
})
