/** Alerts: what the witness notices, and how it gets out. The object's wall clock is fake and far ahead: no alarm fires by itself. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test"
import { env } from "cloudflare:workers"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { ReportedEvent, Summary } from "../../protocol/summaries.ts"
import { incarnation, nodeId, wallTime } from "../../protocol/units.ts"
import { schedules } from "../../worker/alerts/delivery.ts"
import { registryName } from "../../worker/cluster.ts"
import worker from "../../worker/index.ts"
import { Tables } from "../../worker/schema.ts"
import { mandate, tag } from "../unit/worker/arbiter-builder.ts"
import { dump } from "./stored.ts"
import { environment, TestCluster } from "./witness-client.ts"

const start = Date.UTC(2040, 0, 1)
const secret = `whsec_${btoa("0123456789abcdef0123456789abcdef")}`
const receiver = (name: string) => ({
  name,
  kind: "webhook",
  url: `https://${name}.example.com/hook`,
  secret,
})

/** No dead-man check comes in between. */
const quiet = { dead_man_ms: 3_600_000 }

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: start })
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

function advance(seconds: number): void {
  vi.setSystemTime(Date.now() + seconds * 1_000)
}

async function runAlarm(cluster: TestCluster): Promise<void> {
  expect(await runDurableObjectAlarm(cluster.stub)).toBe(true)
}

async function kinds(cluster: TestCluster): Promise<readonly string[]> {
  return (await cluster.describe()).events.map(({ kind, subject }) => `${kind} ${subject}`).toReversed()
}

function answering(...statuses: readonly number[]) {
  const queue = [...statuses]
  return vi
    .spyOn(globalThis, "fetch")
    .mockImplementation(
      async () => new Response("thanks", { status: queue.shift() ?? statuses.at(-1) ?? 200 }),
    )
}

describe("the dead-man check", () => {
  it("a site that falls silent is told once, and once that it is back", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).post()
    await cluster.node(11).post()
    for (let second = 0; second < 120; second += 30) {
      advance(30)
      await cluster.node(11).post()
      await runAlarm(cluster)
    }
    expect(await kinds(cluster)).toEqual(["site-silent site a"])
    await cluster.node(2).post()
    await cluster.node(1).post()
    expect(await kinds(cluster)).toEqual(["site-silent site a", "site-back site a"])
    expect((await cluster.describe()).sites).toMatchObject([{ state: "heard" }, { state: "heard" }])
  })

  it("a site that posts is not told, and a site that never posted is not watched", async () => {
    const cluster = await TestCluster.create()
    for (let second = 0; second < 120; second += 15) {
      await cluster.node(1).post()
      advance(15)
      await runAlarm(cluster)
    }
    expect(await kinds(cluster)).toEqual([])
    expect((await cluster.describe()).sites).toMatchObject([{ state: "heard" }, { state: "never-heard" }])
  })

  it("not heard since a restart is not silent: one whole period is given, also if only alarms wake the object", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).post()
    advance(300)
    await evictDurableObject(cluster.stub)
    await runAlarm(cluster)
    expect(await kinds(cluster)).toEqual([])
    advance(31)
    await evictDurableObject(cluster.stub)
    await runAlarm(cluster)
    expect(await kinds(cluster)).toEqual(["site-silent site a"])
  })

  it("one lazy alarm: posts do not move it, its firing does", async () => {
    const cluster = await TestCluster.create()
    const alarm = () => runInDurableObject(cluster.stub, (_instance, { storage }) => storage.getAlarm())
    await cluster.node(1).post()
    expect(await alarm()).toBe(start + 30_000)
    for (let post = 0; post < 5; post += 1) {
      advance(5)
      await cluster.node(1).post()
    }
    expect(await alarm()).toBe(start + 30_000)
    advance(5)
    await runAlarm(cluster)
    expect(await alarm()).toBe(start + 55_000)
  })

  it("an alarm that was lost is set again by the next post, and by the cron", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).post()
    const forget = () => runInDurableObject(cluster.stub, (_instance, { storage }) => storage.deleteAlarm())
    const alarm = () => runInDurableObject(cluster.stub, (_instance, { storage }) => storage.getAlarm())
    await forget()
    await cluster.node(1).post()
    expect(await alarm()).not.toBeNull()
    await forget()
    await worker.scheduled(undefined as never, environment)
    expect(await alarm()).not.toBeNull()
    expect(await environment.CLUSTER.getByName(registryName).registeredClusters()).toContain(cluster.name)
  })

  it("an alarm that fails does not throw, and is set again", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).post()
    advance(60)
    vi.spyOn(Tables.prototype, "unknownEvents").mockImplementationOnce(() => {
      throw new Error("storage is away")
    })
    const log = vi.spyOn(console, "error").mockImplementation(() => undefined)
    await runAlarm(cluster)
    expect(log).toHaveBeenCalledOnce()
    await runAlarm(cluster)
    expect((await kinds(cluster)).length).toBeLessThanOrEqual(1)
  })
})

describe("transitions", () => {
  const seen = (members: readonly number[], sequence: number, down: readonly number[]): Partial<Summary> => ({
    view: {
      ring: { sequence, representative: nodeId(members[0] ?? 1), incarnation: incarnation(1) },
      members: members.map(nodeId),
    },
    state: {
      voice: "held",
      tickets: [],
      services: [],
      nodes: [
        ...members.map((node) => ({ node: nodeId(node), state: "alive" as const })),
        ...down.map((node) => ({ node: nodeId(node), state: "down" as const })),
      ],
    },
  })

  it("a node that its site calls down, and up again", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).post([], seen([1, 2], 5, []))
    await cluster.node(1).post([], seen([1], 6, [2]))
    advance(1)
    await cluster.node(1).post([], seen([1], 6, [2]))
    await cluster.node(1).post([], seen([1, 2], 7, []))
    expect(await kinds(cluster)).toEqual(["node-down node 2", "node-up node 2"])
  })

  it("two halves that call each other down do not flap: the one with the higher ring sequence speaks", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).post([], seen([1, 2], 5, []))
    for (let post = 0; post < 4; post += 1) {
      await cluster.node(2).post([], seen([2], 8, [1]))
      await cluster.node(1).post([], seen([1], 6, [2]))
    }
    expect(await kinds(cluster)).toEqual(["node-down node 1"])
  })

  it("a site speaks of its own nodes only", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).post([], seen([1, 2], 5, []))
    await cluster.node(11).post([], seen([11, 12], 9, [1, 2]))
    expect(await kinds(cluster)).toEqual([])
  })

  it("leases that are granted and released", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).claim(mandate("a", 4))
    await cluster.node(1).claim(mandate("a", 4, { seen: tag(4, 1) }))
    expect(await kinds(cluster)).toEqual(["mandate-granted mandate:main"])
  })

  it("events of nodes are taken once, whoever tells them again; two nodes may use the same id", async () => {
    const cluster = await TestCluster.create()
    const event: ReportedEvent = {
      id: "e-1",
      kind: "service-blocked",
      subject: "pump",
      severity: "critical",
      at: wallTime(start - 5_000),
      detail: "no proof",
    }
    for (let post = 0; post < 3; post += 1) await cluster.node(1).post([], { events: [event] })
    await cluster.node(2).post([], { events: [event] })
    expect((await cluster.describe()).events.map(({ id }) => id).toSorted()).toEqual(["1:e-1", "2:e-1"])
  })

  it("a node in a loop cannot use up the day's rows with its events", async () => {
    const cluster = await TestCluster.create()
    for (let post = 0; post < 70; post += 1) {
      const events = Array.from({ length: 32 }, (_, index): ReportedEvent => {
        return {
          id: `e${post}-${index}`,
          kind: "noise",
          subject: "x",
          severity: "info",
          at: wallTime(start),
          detail: "",
        }
      })
      await cluster.node(1).post([], { events })
    }
    const { quota } = await cluster.describe()
    expect(quota.reported_events).toBe(2_000)
    expect(quota.rows_written).toBeLessThan(6_000)
  })
})

describe("delivery", () => {
  it("an event goes to every receiver, signed as a Standard Webhook", async () => {
    const fetched = answering(202)
    const cluster = await TestCluster.create({ ...quiet, receivers: [receiver("one"), receiver("two")] })
    await cluster.node(1).claim(mandate("a", 4))
    await runAlarm(cluster)
    expect(fetched.mock.calls.map(([url]) => String(url)).toSorted()).toEqual([
      "https://one.example.com/hook",
      "https://two.example.com/hook",
    ])
    for (const [, init] of fetched.mock.calls) {
      const headers = new Headers(init?.headers)
      const body = String(init?.body)
      expect(init).toMatchObject({ method: "POST", redirect: "manual", signal: expect.any(AbortSignal) })
      expect(headers.get("webhook-timestamp")).toBe(String(start / 1_000))
      expect(headers.get("webhook-id")).not.toContain(".")
      expect(headers.get("webhook-signature")).toBe(await knownSignature(headers, body))
      expect(JSON.parse(body)).toMatchObject({
        type: "incident.opened",
        timestamp: new Date(start).toISOString(),
        data: { cluster: cluster.name, kind: "mandate-granted", subject: "mandate:main", severity: "info" },
      })
    }
    expect((await cluster.describe()).deliveries).toMatchObject([
      { state: "delivered", attempts: 1 },
      { state: "delivered", attempts: 1 },
    ])
  })

  it("event and letter are stored in one transaction with the transition: the outbox survives a restart", async () => {
    const fetched = answering(200)
    const cluster = await TestCluster.create({ ...quiet, receivers: [receiver("one")] })
    await cluster.node(1).claim(mandate("a", 4))
    await evictDurableObject(cluster.stub)
    expect(fetched).not.toHaveBeenCalled()
    await runAlarm(cluster)
    expect(fetched).toHaveBeenCalledOnce()
  })

  it("a failure is repeated under the same id with a new timestamp, later and later", async () => {
    const fetched = answering(500, 503, 200)
    const cluster = await TestCluster.create({ ...quiet, receivers: [receiver("one")] })
    await cluster.node(1).claim(mandate("a", 4))
    await runAlarm(cluster)
    advance(3)
    await runAlarm(cluster)
    expect(fetched, "not before its time").toHaveBeenCalledTimes(1)
    advance(3)
    await runAlarm(cluster)
    advance(360)
    await runAlarm(cluster)
    const headers = fetched.mock.calls.map(([, init]) => new Headers(init?.headers))
    expect(new Set(headers.map((each) => each.get("webhook-id"))).size).toBe(1)
    expect(new Set(headers.map((each) => each.get("webhook-timestamp"))).size).toBe(3)
    expect((await cluster.describe()).deliveries).toMatchObject([{ state: "delivered", attempts: 3 }])
  })

  it("Retry-After is honoured", async () => {
    const fetched = vi
      .spyOn(globalThis, "fetch")
      .mockResolvedValueOnce(new Response(null, { status: 429, headers: { "retry-after": "120" } }))
      .mockResolvedValue(new Response(null, { status: 200 }))
    const cluster = await TestCluster.create({ ...quiet, receivers: [receiver("one")] })
    await cluster.node(1).claim(mandate("a", 4))
    await runAlarm(cluster)
    advance(119)
    await runAlarm(cluster)
    expect(fetched).toHaveBeenCalledTimes(1)
    advance(1)
    await runAlarm(cluster)
    expect(fetched).toHaveBeenCalledTimes(2)
  })

  it("after the schedule the letter is dead, and that is told to the others; news of it does not breed", async () => {
    const fetched = vi.spyOn(globalThis, "fetch").mockImplementation(async (url) => {
      if (String(url).includes("broken")) throw new Error("connection refused")
      return new Response(null, { status: 200 })
    })
    const cluster = await TestCluster.create({ ...quiet, receivers: [receiver("broken"), receiver("works")] })
    await cluster.node(1).claim(mandate("a", 4))
    for (const delay of [0, ...schedules.webhook.delaysSeconds]) {
      advance(delay * 1.2)
      await runAlarm(cluster)
    }
    const dead = (await cluster.describe()).deliveries.filter(({ state }) => state === "dead")
    // Nine, since delays at their longest reach the lane's end before the tenth.
    const given = { receiver: "broken", attempts: 9, reason: "connection refused" }
    expect(dead).toContainEqual(expect.objectContaining(given))
    expect(await kinds(cluster)).toContain("delivery-failed broken")
    advance(1)
    await runAlarm(cluster)
    const bodies = fetched.mock.calls.map(([url, init]) => `${url} ${String(init?.body)}`)
    const told = bodies.filter((text) => /delivery-failed.*mandate-granted/.test(text))
    expect(told).toHaveLength(1)
    expect(told[0]).toContain("https://works.example.com")
  })

  it("a receiver that is gone (410) is given up at once; a rejected body after one more attempt", async () => {
    answering(410)
    const gone = await TestCluster.create({ ...quiet, receivers: [receiver("one")] })
    await gone.node(1).claim(mandate("a", 4))
    await runAlarm(gone)
    expect((await gone.describe()).deliveries).toContainEqual(
      expect.objectContaining({ state: "dead", attempts: 1 }),
    )
    vi.restoreAllMocks()
    answering(400)
    const rejected = await TestCluster.create({ ...quiet, receivers: [receiver("one")] })
    await rejected.node(1).claim(mandate("a", 4))
    await runAlarm(rejected)
    advance(10)
    await runAlarm(rejected)
    expect((await rejected.describe()).deliveries).toContainEqual(
      expect.objectContaining({ state: "dead", attempts: 2 }),
    )
  })

  it("a redirect is not followed: it counts as a failure", async () => {
    const fetched = vi
      .spyOn(globalThis, "fetch")
      .mockResolvedValue(
        new Response(null, { status: 302, headers: { location: "http://169.254.169.254/" } }),
      )
    const cluster = await TestCluster.create({ ...quiet, receivers: [receiver("one")] })
    await cluster.node(1).claim(mandate("a", 4))
    await runAlarm(cluster)
    expect(fetched).toHaveBeenCalledOnce()
    expect((await cluster.describe()).deliveries).toMatchObject([
      { state: "pending", reason: expect.stringMatching(/^status 302/) },
    ])
  })

  it("private addresses are for the embedded witness only: its deployment says so", async () => {
    const fetched = answering(200)
    const cluster = await TestCluster.create()
    const receivers = [{ ...receiver("inside"), url: "http://192.168.1.20:8080/hook" }]
    expect((await cluster.configure({ version: 2, receivers })).status).toBe(400)
    const bindings: { ALLOW_PRIVATE_RECEIVERS?: string } = env as object
    bindings.ALLOW_PRIVATE_RECEIVERS = "1"
    try {
      await evictDurableObject(cluster.stub)
      expect((await cluster.configure({ version: 2, receivers })).status).toBe(200)
      const configuration = { version: 2, checksum: "c0ffee" }
      await cluster.node(1).claim(mandate("a", 4), { configuration })
      await runAlarm(cluster)
      expect(fetched.mock.calls.map(([url]) => String(url))).toEqual(["http://192.168.1.20:8080/hook"])
    } finally {
      delete bindings.ALLOW_PRIVATE_RECEIVERS
    }
  })

  it("a post is answered although no receiver can be reached", async () => {
    vi.spyOn(globalThis, "fetch").mockRejectedValue(new Error("no route"))
    const cluster = await TestCluster.create({ ...quiet, receivers: [receiver("one")] })
    expect(await cluster.node(1).claim(mandate("a", 4))).toMatchObject({ kind: "granted" })
    await runAlarm(cluster)
    const before = await dump(cluster)
    expect(before).toMatchObject({ outbox: [{ state: "pending", reason: "no route", attempts: 1 }] })
    expect(await cluster.node(1).claim(mandate("a", 4, { seen: tag(4, 1) }))).toMatchObject({
      kind: "renewed",
    })
  })
})

/** The signature made again from the specification, by other means than the code under test. */
async function knownSignature(headers: Headers, body: string): Promise<string> {
  const content = `${headers.get("webhook-id")}.${headers.get("webhook-timestamp")}.${body}`
  const raw = new TextEncoder().encode("0123456789abcdef0123456789abcdef")
  const key = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"])
  const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(content)))
  return `v1,${btoa(String.fromCharCode(...mac))}`
}
