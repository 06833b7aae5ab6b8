/** What makes an object on Cloudflare safe to rely on (SPEC W1 to W6), shown on the real one. */

import { evictDurableObject } from "cloudflare:test"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { epoch, millis, stretched } from "../../protocol/units.ts"
import { Tables } from "../../worker/schema.ts"
import { mandate, releaseOfMandate, tag, voice, waited } from "../unit/worker/arbiter-builder.ts"
import { dump, readRecord, restoreRecord } from "./stored.ts"
import { readReply, TestCluster, tagIn } from "./witness-client.ts"

const longEnough = stretched(millis(10_000), 0.001)

beforeEach(() => {
  // The Worker logs what it could not do; here that is the point of the test.
  vi.spyOn(console, "error").mockImplementation(() => undefined)
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

describe("a stale twin", () => {
  it("[W2] no grant, renewal, repetition or release leaves without a write: if it fails, nothing is said", async () => {
    const cluster = await TestCluster.create()
    const node = cluster.node(1)
    await node.claim(mandate("a", 4))
    const before = await dump(cluster)
    const positives = [
      [voice([1, 2], 5)],
      [mandate("a", 4, { seen: tag(4, 1) })],
      [mandate("a", 4)],
      [releaseOfMandate("a", 4)],
    ]
    for (const claims of positives) {
      const document = await node.sign(node.summary(claims))
      vi.spyOn(Tables.prototype, "replaceRecord").mockImplementationOnce(() => {
        throw new Error("this object has been replaced")
      })
      const response = await cluster.postRaw([document])
      expect(response.status).toBe(503)
      expect(await response.json()).toMatchObject({ error: { reason: "unavailable" } })
      expect(await dump(cluster)).toEqual(before)
    }
    const refused = await cluster.node(11).claim(mandate("b", 5))
    expect(refused).toMatchObject({ kind: "refused", current: { ...tag(4, 1) } })
  })

  it("[W2] after a failed write the retry of the same document is decided anew, and granted once", async () => {
    const cluster = await TestCluster.create()
    const document = await cluster.node(1).sign(cluster.node(1).summary([mandate("a", 4)]))
    vi.spyOn(Tables.prototype, "replaceRecord").mockImplementationOnce(() => {
      throw new Error("this object has been replaced")
    })
    expect((await cluster.postRaw([document])).status).toBe(503)
    const [retried] = await cluster.post([document])
    expect((await readReply(cluster.name, retried)).answers).toMatchObject([
      { kind: "granted", ...tag(4, 1) },
    ])
  })

  it("[W2] an instance whose memory is behind storage grants nothing: the write is a compare-and-set", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).claim(mandate("a", 4))
    const { revision, text } = await readRecord(cluster)
    await restoreRecord(cluster, { revision: revision + 1, text })
    const document = await cluster
      .node(1)
      .sign(cluster.node(1).summary([mandate("a", 4, { seen: tag(4, 1) })]))
    expect((await cluster.postRaw([document])).status).toBe(503)
    const [retried] = await cluster.post([document])
    expect((await readReply(cluster.name, retried)).answers).toMatchObject([
      { kind: "renewed", ...tag(4, 2) },
    ])
  })

  it("[W2] a refusal, and a summary without claims, write nothing", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).claim(mandate("a", 4))
    const before = await dump(cluster)
    await cluster.node(11).post([mandate("b", 5)])
    await cluster.node(2).post()
    expect(await dump(cluster)).toEqual(before)
  })
})

describe("a restored or recreated object", () => {
  it("[W6] one that was set back shows a lower (epoch, seq) under its own incarnation, and pages when a node tells", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).claim(mandate("a", 4))
    const earlier = await readRecord(cluster)
    await cluster.node(1).claim(mandate("a", 4, { seen: tag(4, 1) }))
    await cluster.node(11).claim(mandate("b", 5, { waited: waited(tag(4, 2), longEnough) }))
    await restoreRecord(cluster, earlier)
    await evictDurableObject(cluster.stub)

    const reply = await cluster.node(11).post([], { highest: [{ name: "mandate:main", ...tag(5, 3) }] })
    expect(reply.witness).toBe(cluster.witness)
    expect(tagIn(reply, "mandate:main")).toEqual(tag(4, 1))
    const { events } = await cluster.describe()
    expect(events).toContainEqual(
      expect.objectContaining({ kind: "witness-rolled-back", subject: "mandate:main", severity: "critical" }),
    )
  })

  it("[W6] the page is raised once, however often the nodes tell", async () => {
    const cluster = await TestCluster.create()
    const highest = [{ name: "mandate:main" as const, epoch: epoch(9), seq: 9 }]
    for (const id of [1, 2, 11, 1]) await cluster.node(id).post([], { highest })
    const { events } = await cluster.describe()
    expect(events.filter(({ kind }) => kind === "witness-rolled-back")).toHaveLength(1)
  })

  it("[W6] another object of the same name has another incarnation, and old challenges renew nothing", async () => {
    const [one, two] = [await TestCluster.create(), await TestCluster.create()]
    expect(one.witness).not.toBe(two.witness)
    const answer = await two.node(1).claim(mandate("a", 4), { challenge: one.witness })
    expect(answer).toMatchObject({ kind: "refused", reason: "challenge-mismatch" })
  })
})

describe("the object's clock", () => {
  /** The same story, with the object's wall clock stepped before each post. */
  async function tell(steps: readonly number[]): Promise<readonly object[]> {
    const cluster = await TestCluster.create()
    const start = Date.now()
    let post = 0
    const step = (): void => {
      vi.setSystemTime(start + (steps[post % steps.length] ?? 0))
      post += 1
    }
    const told: object[] = []
    const say = async (
      id: number,
      claim: Parameters<ReturnType<TestCluster["node"]>["claim"]>[0],
    ): Promise<void> => {
      step()
      told.push(await cluster.node(id).claim(claim))
    }
    vi.useFakeTimers({ toFake: ["Date"] })
    await say(1, voice([1, 2], 5, { memo: { base: 0, text: "m" } }))
    await say(1, mandate("a", 4))
    await say(11, mandate("b", 5, { waited: waited(tag(4, 1), longEnough - 1) }))
    await say(1, mandate("a", 4, { seen: tag(4, 1) }))
    await say(11, mandate("b", 5, { waited: waited(tag(4, 1), longEnough) }))
    await say(2, voice([2], 6))
    await say(1, voice([1, 2], 5, { seen: tag(1, 1) }))
    await say(11, mandate("b", 5, { waited: waited(tag(4, 2), longEnough) }))
    await say(1, mandate("a", 4, { seen: tag(4, 2) }))
    await evictDurableObject(cluster.stub)
    await say(11, mandate("b", 5, { seen: tag(5, 3) }))
    vi.useRealTimers()
    return told
  }

  it("[W3] stepped by +-20 s, by a day or standing still, it changes no decision", async () => {
    const steady = await tell([0])
    expect(steady.map((answer) => Reflect.get(answer, "kind"))).toEqual([
      ...["granted", "granted", "refused", "renewed", "refused"],
      ...["granted", "refused", "granted", "refused", "renewed"],
    ])
    expect(await tell([20_000, -20_000])).toEqual(steady)
    expect(await tell([0, -20_000, 20_000, 0, 40_000])).toEqual(steady)
    expect(await tell([-86_400_000, 86_400_000])).toEqual(steady)
  })
})
