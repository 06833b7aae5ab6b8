/** Alerts: what the witness notices, and how it gets out. The object's wall clock is fake and far ahead: no alarm fires by itself. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { ReportedEvent, Summary } from "../../protocol/summaries.ts"
import { incarnation, millis, nodeId, wallTime } from "../../protocol/units.ts"
import { registryName } from "../../worker/cluster.ts"
import worker from "../../worker/index.ts"
import { Tables } from "../../worker/schema.ts"
import { mandate, tag } from "../unit/worker/arbiter-builder.ts"
import { environment, TestCluster } from "./witness-client.ts"

const start = Date.UTC(2040, 0, 1)
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

describe("[A2] the dead-man check", () => {
  it("a site that falls silent is told once, and once that it is back", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).post()
    await cluster.node(11).post()
    for (let second = 0; second < 120; second += 30) {
      advance(30)
      await cluster.node(11).post()
      await runAlarm(cluster)
    }
    expect(await kinds(cluster)).toEqual(["site-silent a"])
    await cluster.node(2).post()
    await cluster.node(1).post()
    expect(await kinds(cluster)).toEqual(["site-silent a", "site-back a"])
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
    expect((await cluster.describe()).sites).toMatchObject([{ state: "suspect" }, { state: "never-heard" }])
  })

  it("a site on its way to silence shows it: late, suspect, silent", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).post()
    const stage = async () => (await cluster.describe()).sites[0]?.state
    expect(await stage()).toBe("heard")
    advance(6)
    expect(await stage()).toBe("late")
    advance(9)
    expect(await stage()).toBe("suspect")
    advance(15)
    await runAlarm(cluster)
    expect(await stage()).toBe("silent")
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
    expect(await kinds(cluster)).toEqual(["site-silent a"])
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
    expect(await kinds(cluster), "and that it was lost is told").toEqual(["witness-alarm-lost object"])
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
    expect(await kinds(cluster)).toEqual(["node-down 2", "node-up 2"])
  })

  it("two halves that call each other down do not flap: the one with the higher ring sequence speaks", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).post([], seen([1, 2], 5, []))
    for (let post = 0; post < 4; post += 1) {
      await cluster.node(2).post([], seen([2], 8, [1]))
      await cluster.node(1).post([], seen([1], 6, [2]))
    }
    expect(await kinds(cluster)).toEqual(["node-down 1"])
  })

  it("a site speaks of its own nodes only", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).post([], seen([1, 2], 5, []))
    await cluster.node(11).post([], seen([11, 12], 9, [1, 2]))
    expect(await kinds(cluster)).toEqual([])
  })

  it("a mandate that went to another site without being given up", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).claim(mandate("a", 4))
    const seen = tag(4, 1)
    await cluster.node(11).claim(mandate("b", 5, { seen, waited: { ...seen, waited: millis(11_000) } }))
    expect(await kinds(cluster)).toContain("mandate-moved main")
  })

  it("a site without voice, once no view of it has had it for ten seconds", async () => {
    const cluster = await TestCluster.create()
    const without: Partial<Summary> = { state: { voice: "not-held", tickets: [], services: [], nodes: [] } }
    await cluster.node(1).post([], seen([1, 2], 5, []))
    await cluster.node(2).post([], without)
    expect(await kinds(cluster)).toEqual([])
    advance(11)
    await cluster.node(2).post([], without)
    await cluster.node(2).post([], without)
    await cluster.node(1).post([], seen([1, 2], 7, []))
    expect((await kinds(cluster)).toSorted()).toEqual(["voice-gained a", "voice-lost a"])
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
