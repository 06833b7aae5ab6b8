/** Leases through the whole Worker: signed documents in, signed replies out, in the real runtime. */

import { evictDurableObject } from "cloudflare:test"
import { describe, expect, it } from "vitest"
import { millis, stretched } from "../../protocol/units.ts"
import {
  mandate,
  releaseOfMandate,
  releaseOfVoice,
  tag,
  voice,
  waited,
} from "../unit/worker/arbiter-builder.ts"
import { readReply, TestCluster, tagIn } from "./witness-client.ts"

const longEnough = stretched(millis(10_000), 0.001)

describe("a cluster", () => {
  it("[W6] [W11] replies tell every lease, the object's incarnation and how often to post", async () => {
    const cluster = await TestCluster.create()
    const reply = await cluster.node(1).post()
    expect(reply).toMatchObject({
      cluster: cluster.name,
      witness: cluster.witness,
      answers: [],
      interval: 2_000,
      leases: [
        { name: "voice:a", epoch: 0, seq: 0, holder: undefined },
        { name: "voice:b", epoch: 0, seq: 0, holder: undefined },
        { name: "mandate:main", epoch: 0, seq: 0, holder: undefined },
      ],
    })
  })

  it("[A5] the interval is never above a third of the shortest TTL", async () => {
    const cluster = await TestCluster.create({ interval_ms: 5_000, voice_ttl_ms: 3_000 })
    expect(await cluster.node(1).post()).toMatchObject({ interval: 1_000 })
  })

  it("[W8] [W9] grant, renewal, repetition: voice and mandate in one document", async () => {
    const cluster = await TestCluster.create()
    const node = cluster.node(1)
    const granted = await node.post([voice([1, 2], 5), mandate("a", 4)])
    expect(granted.answers).toMatchObject([
      { kind: "granted", name: "voice:a", ...tag(1, 1), claim: { node: 1, counter: 1 } },
      { kind: "granted", name: "mandate:main", ...tag(4, 1) },
    ])
    const renewed = await node.post([
      voice([1, 2], 5, { seen: tag(1, 1) }),
      mandate("a", 4, { seen: tag(4, 1) }),
    ])
    expect(renewed.answers).toMatchObject([
      { kind: "renewed", ...tag(1, 2), claim: { node: 1, counter: 2 } },
      { kind: "renewed", ...tag(4, 2) },
    ])
    const repeated = await node.post([voice([1, 2], 5, { seen: tag(1, 1) })])
    expect(repeated.answers).toMatchObject([
      { kind: "repeated", ...tag(1, 2), claim: { node: 1, counter: 2 } },
    ])
    expect(tagIn(repeated, "mandate:main")).toEqual(tag(4, 2))
  })

  it("[W9] a retry, the same bytes, gets the same grant", async () => {
    const cluster = await TestCluster.create()
    const node = cluster.node(1)
    const document = await node.sign(node.summary([mandate("a", 4)]))
    const [first] = await cluster.post([document])
    const [second] = await cluster.post([document])
    const [granted] = (await readReply(cluster.name, first)).answers
    const [again] = (await readReply(cluster.name, second)).answers
    expect(again).toEqual({ ...granted, kind: "repeated" })
  })

  it("[W10] [VL4] a half of the old view rebinds the voice and gets the memo; a stale base writes nothing", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).claim(voice([1, 2], 5, { memo: { base: 0, text: "pledged to b" } }))
    const rebound = await cluster.node(2).claim(voice([2], 6, { memo: { base: 0, text: "lost" } }))
    expect(rebound).toMatchObject({
      kind: "granted",
      ...tag(2, 2),
      memo: { version: 1, text: "pledged to b" },
    })
    const old = await cluster.node(1).claim(voice([1], 6))
    expect(old).toMatchObject({ kind: "refused", reason: "no-former-member", current: { ...tag(2, 2) } })
  })

  it("[W11] the other site takes the mandate when it has waited, not before", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).claim(mandate("a", 4))
    const taker = cluster.node(11)
    expect(await taker.claim(mandate("b", 5))).toMatchObject({ kind: "refused", reason: "held-by-other" })
    const early = await taker.claim(mandate("b", 5, { waited: waited(tag(4, 1), 9_999) }))
    expect(early).toMatchObject({ kind: "refused", reason: "not-waited" })
    const taken = await taker.claim(mandate("b", 5, { waited: waited(tag(4, 1), longEnough) }))
    expect(taken).toMatchObject({ kind: "granted", ...tag(5, 2) })
    const lost = await cluster.node(1).claim(mandate("a", 4, { seen: tag(4, 1) }))
    expect(lost).toMatchObject({
      kind: "refused",
      reason: "held-by-other",
      current: { holder: { site: "b" } },
    })
  })

  it("[W13] releases", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).post([voice([1, 2], 5), mandate("a", 4)])
    const reply = await cluster.node(2).post([releaseOfVoice([1, 2], 6, 1, true), releaseOfMandate("a", 4)])
    expect(reply.answers).toMatchObject([{ kind: "released" }, { kind: "released" }])
    expect(reply.leases).toMatchObject([
      { name: "voice:a", holder: undefined, ...tag(1, 2) },
      { name: "voice:b" },
      { name: "mandate:main", holder: undefined, ...tag(4, 2), releasedEpoch: 4 },
    ])
  })

  it("[W5] a neighbour relays: one post, each node's own document, each its own reply", async () => {
    const cluster = await TestCluster.create()
    const documents = await Promise.all(
      [1, 2, 11].map((id) =>
        cluster.node(id).sign(cluster.node(id).summary([mandate(id > 10 ? "b" : "a", 4)])),
      ),
    )
    const replies = await cluster.post(documents)
    const answers = await Promise.all(
      replies.map(async (each) => (await readReply(cluster.name, each)).answers[0]),
    )
    expect(answers).toMatchObject([
      { kind: "granted" },
      { kind: "repeated" },
      { kind: "refused", reason: "held-by-other" },
    ])
  })

  it("[W5] one bad document does not spoil its neighbours'", async () => {
    const cluster = await TestCluster.create()
    const good = await cluster.node(1).sign(cluster.node(1).summary([mandate("a", 4)]))
    const [bad, answered] = await cluster.post(["not.a.jws", good])
    expect(bad).toMatchObject({ kind: "refused", reason: "document-not-signed" })
    expect((await readReply(cluster.name, answered)).answers).toMatchObject([{ kind: "granted" }])
  })

  it("[W6] with another challenge nothing is granted; the reply tells the one to use", async () => {
    const cluster = await TestCluster.create()
    const reply = await cluster.node(1).post([mandate("a", 4)], { challenge: "" })
    expect(reply.answers).toMatchObject([{ kind: "refused", reason: "challenge-mismatch" }])
    expect(await cluster.node(1).claim(mandate("a", 4), { challenge: reply.witness })).toMatchObject({
      kind: "granted",
    })
  })

  it("[W14] claims under an older configuration are refused", async () => {
    const cluster = await TestCluster.create()
    expect((await cluster.configure({ version: 2, checksum: "beef" })).status).toBe(200)
    expect(await cluster.node(1).claim(mandate("a", 4))).toMatchObject({ reason: "configuration-older" })
    const configuration = { version: 2, checksum: "beef" }
    expect(await cluster.node(1).claim(mandate("a", 4), { configuration })).toMatchObject({ kind: "granted" })
  })
})

describe("the object's life", () => {
  it("[W1] an evicted object keeps leases, memo, counters and its incarnation", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).post([voice([1, 2], 5, { memo: { base: 0, text: "kept" } }), mandate("a", 4)])
    await evictDurableObject(cluster.stub)
    const reply = await cluster.node(2).post([voice([1, 2], 5, { seen: tag(1, 1) })])
    expect(reply).toMatchObject({ witness: cluster.witness })
    expect(reply.answers).toMatchObject([
      { kind: "renewed", ...tag(1, 2), memo: { version: 1, text: "kept" } },
    ])
    expect(tagIn(reply, "mandate:main")).toEqual(tag(4, 1))
    const { nodes } = await cluster.describe()
    expect(nodes.find(({ node }) => node === 1)).toMatchObject({ counter: 1 })
  })

  it("[W1] a retry that meets a restarted object gets the same grant", async () => {
    const cluster = await TestCluster.create()
    const document = await cluster.node(1).sign(cluster.node(1).summary([mandate("a", 4)]))
    await cluster.post([document])
    await evictDurableObject(cluster.stub)
    const [again] = await cluster.post([document])
    expect((await readReply(cluster.name, again)).answers).toMatchObject([{ kind: "repeated", ...tag(4, 1) }])
  })

  it("[W1] a new configuration changes no lease and no incarnation", async () => {
    const cluster = await TestCluster.create()
    await cluster.node(1).claim(mandate("a", 4))
    const response = await cluster.configure({ version: 2, checksum: "beef", tickets: ["main", "second"] })
    expect(await response.json()).toMatchObject({ created: false, witness: cluster.witness })
    const reply = await cluster.node(1).post()
    expect(tagIn(reply, "mandate:main")).toEqual(tag(4, 1))
    expect(tagIn(reply, "mandate:second")).toEqual(tag(0, 0))
  })
})

describe("rival claims", () => {
  it("[W10] two halves that claim within the window are decided together: the owner wins", async () => {
    const cluster = await TestCluster.create({ arbitration_window_ms: 100 })
    await cluster.node(1).claim(voice([1, 2], 5))
    const [first, second] = await Promise.all([
      cluster.node(1).claim(voice([1], 6)),
      cluster.node(2).claim(voice([2], 6, { ownsService: true })),
    ])
    expect(first).toMatchObject({ kind: "refused", reason: "lost-arbitration" })
    expect(second).toMatchObject({ kind: "granted", ...tag(2, 2) })
  })

  it("[W10] a renewal does not wait for the window, nor does it end it", async () => {
    const cluster = await TestCluster.create({ arbitration_window_ms: 300 })
    await cluster.node(11).claim(mandate("b", 4))
    await cluster.node(1).claim(voice([1, 2], 5))
    const order: string[] = []
    const rival = cluster
      .node(1)
      .claim(voice([1], 6))
      .then(() => order.push("rival"))
    const renewal = cluster
      .node(11)
      .claim(mandate("b", 4, { seen: tag(4, 1) }))
      .then(({ kind }) => order.push(kind))
    const owner = cluster.node(2).claim(voice([2], 6, { ownsService: true }))
    await Promise.all([rival, renewal, owner])
    expect(order).toEqual(["renewed", "rival"])
    expect(await owner).toMatchObject({ kind: "granted" })
  })
})
