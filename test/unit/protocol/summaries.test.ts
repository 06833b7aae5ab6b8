import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { LeaseAnswer, LeaseSummary } from "../../../protocol/lease.ts"
import {
  documentsPerPostMax,
  encodePost,
  encodePostReplies,
  encodeReply,
  encodeSummary,
  nodeKeyId,
  parsePost,
  parsePostReplies,
  parseReply,
  parseSummary,
  postBytesMax,
  type Reply,
  type Summary,
  witnessKeyId,
} from "../../../protocol/summaries.ts"
import {
  epoch,
  incarnation,
  millis,
  nodeId,
  serviceName,
  siteId,
  ticketName,
  wallTime,
} from "../../../protocol/units.ts"
import { mandate, releaseOfMandate, releaseOfVoice, tag, voice, waited } from "../worker/arbiter-builder.ts"

const summary: Summary = {
  cluster: "plant-7",
  node: nodeId(1),
  incarnation: incarnation(3),
  counter: 41,
  challenge: "object-1",
  site: siteId("a"),
  configuration: { version: 2, checksum: "c0ffee" },
  view: {
    ring: { sequence: 5, representative: nodeId(1), incarnation: incarnation(3) },
    members: [nodeId(1), nodeId(2)],
  },
  state: {
    voice: "held",
    tickets: [{ ticket: ticketName("main"), epoch: epoch(3), held: true }],
    nodes: [{ node: nodeId(2), state: "alive" }],
    services: [
      { name: serviceName("pump"), state: "running", owner: nodeId(1), epoch: epoch(3) },
      { name: serviceName("valve"), state: "stopped", owner: undefined, epoch: epoch(0) },
    ],
  },
  events: [
    {
      id: "e-1",
      kind: "service-moved",
      subject: "pump",
      severity: "info",
      at: wallTime(1_800_000_000_000),
      detail: "é",
    },
  ],
  highest: [{ name: "voice:a", ...tag(2, 9) }],
  claims: [
    voice([1, 2], 5, { seen: tag(2, 9), waited: waited(tag(2, 9), 20.5), memo: { base: 4, text: "pledge" } }),
    mandate("a", 3),
    releaseOfVoice([11, 12], 7, 2, true),
    { ...releaseOfMandate("a", 3), name: "mandate:other" },
  ],
}

const lease: LeaseSummary = {
  name: "voice:a",
  holder: {
    kind: "view",
    ring: { sequence: 5, representative: nodeId(1), incarnation: incarnation(3) },
    members: [nodeId(1)],
  },
  ...tag(2, 9),
  ttl: millis(10_000),
  releasedEpoch: epoch(1),
}
const granted: LeaseAnswer = {
  kind: "granted",
  name: "voice:a",
  ...tag(2, 9),
  ttl: millis(10_000),
  claim: { node: nodeId(1), incarnation: incarnation(3), counter: 41 },
  memo: { version: 4, text: "pledge" },
}
const reply: Reply = {
  cluster: "plant-7",
  node: nodeId(1),
  incarnation: incarnation(3),
  counter: 41,
  witness: "object-1",
  leases: [
    lease,
    { ...lease, name: "mandate:main", holder: { kind: "site", site: siteId("b") } },
    { ...lease, holder: undefined },
  ],
  answers: [
    granted,
    { ...granted, kind: "renewed", name: "mandate:main", memo: undefined },
    { ...granted, kind: "repeated" },
    { kind: "released", name: "voice:a", ...tag(2, 10) },
    { kind: "refused", name: "voice:a", reason: "not-waited", current: lease },
    { kind: "refused", name: "voice:x", reason: "unknown-lease", current: undefined },
  ],
  interval: millis(2_000),
  quotaPercent: 12.5,
}

describe("summaries", () => {
  it("[W5] a summary survives its encoding, claims of every kind included", () => {
    expect(parseSummary(encodeSummary(summary))).toEqual({ kind: "ok", value: summary })
  })

  it("[W5] a summary of a node without a view, claims or news survives too", () => {
    const bare = { ...summary, view: undefined, challenge: "", events: [], highest: [], claims: [] }
    expect(parseSummary(encodeSummary(bare))).toEqual({ kind: "ok", value: bare })
  })

  it("wire names are in snake case and durations carry their unit", () => {
    const keys = [...new Set(encodeSummary(summary).match(/"[A-Za-z_]+":/g))]
    expect(keys.filter((key) => /[A-Z]/.test(key))).toEqual([])
    expect(keys).toEqual(
      expect.arrayContaining(['"ttl_ms":', '"waited_ms":', '"at_ms":', '"majority_alone":']),
    )
  })

  it("key ids name cluster and signer", () => {
    expect(nodeKeyId("plant-7", nodeId(3))).toBe("plant-7/3")
    expect(witnessKeyId("plant-7")).toBe("plant-7/witness")
  })

  it("another version is named as such, whatever else the document holds", () => {
    const later = JSON.stringify({ version: 2, everything: "else" })
    expect(parseSummary(later)).toMatchObject({ kind: "error", error: { kind: "unsupported-version" } })
    expect(parseReply(later)).toMatchObject({ kind: "error", error: { kind: "unsupported-version" } })
  })

  it("a reply is not a summary and a summary is not a reply", () => {
    expect(parseSummary(encodeReply(reply))).toMatchObject({ kind: "error", error: { kind: "malformed" } })
    expect(parseReply(encodeSummary(summary))).toMatchObject({ kind: "error", error: { kind: "malformed" } })
  })

  const broken: readonly (readonly [string, (wire: Record<string, unknown>) => void])[] = [
    ["node 0", (wire) => Object.assign(wire, { node: 0 })],
    ["node 65536", (wire) => Object.assign(wire, { node: 65_536 })],
    ["a fractional counter", (wire) => Object.assign(wire, { counter: 1.5 })],
    ["a counter beyond what is exact", (wire) => Object.assign(wire, { counter: 2 ** 53 })],
    ["a negative incarnation", (wire) => Object.assign(wire, { incarnation: -1 })],
    ["a cluster's name with a slash", (wire) => Object.assign(wire, { cluster: "a/b" })],
    ["33 events", (wire) => Object.assign(wire, { events: Array(33).fill(wire.events) })],
    [
      "two claims for one lease",
      (wire) => Object.assign(wire, { claims: [wire.claims, wire.claims].flat() }),
    ],
    ["no claims at all", (wire) => Object.assign(wire, { claims: undefined })],
  ]
  it.each(broken)("a summary with %s is malformed", (_, damage) => {
    const wire: Record<string, unknown> = JSON.parse(encodeSummary(summary))
    damage(wire)
    expect(parseSummary(JSON.stringify(wire))).toMatchObject({ kind: "error", error: { kind: "malformed" } })
  })

  it("[N4] keys that are not known yet are ignored", () => {
    const wire = { ...JSON.parse(encodeSummary(summary)), added_later: true }
    expect(parseSummary(JSON.stringify(wire))).toEqual({ kind: "ok", value: summary })
  })

  it("any text yields a document or an error, never an exception", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.json(), fc.constant("null"), fc.constant('{"version":1}')),
        (text) => {
          expect(parseSummary(text).kind).toBe("error")
          expect(parseReply(text).kind).toBe("error")
          expect(["ok", "error"]).toContain(parsePost(text).kind)
        },
      ),
      { seed: 7 },
    )
  })

  it("a summary whose parts are replaced by anything is read or refused", () => {
    const wire: Record<string, unknown> = JSON.parse(encodeSummary(summary))
    const anything = fc.record({ key: fc.constantFrom(...Object.keys(wire)), value: fc.jsonValue() })
    fc.assert(
      fc.property(anything, ({ key, value }) => {
        expect(["ok", "error"]).toContain(parseSummary(JSON.stringify({ ...wire, [key]: value })).kind)
      }),
      { seed: 8, numRuns: 500 },
    )
  })
})

describe("replies", () => {
  it("[W5] a reply survives its encoding, answers of every kind included", () => {
    expect(parseReply(encodeReply(reply))).toEqual({ kind: "ok", value: reply })
  })

  it("an unknown reason for a refusal is malformed", () => {
    const text = encodeReply(reply).replace("not-waited", "not-in-the-mood")
    expect(parseReply(text)).toMatchObject({ kind: "error", error: { kind: "malformed" } })
  })
})

describe("posts", () => {
  it("a post carries one to eight documents", () => {
    expect(parsePost(encodePost(["a.b.c"]))).toEqual({ kind: "ok", value: ["a.b.c"] })
    expect(parsePost(encodePost([]))).toMatchObject({ kind: "error" })
    expect(parsePost(encodePost(Array(documentsPerPostMax).fill("a.b.c")))).toMatchObject({ kind: "ok" })
    expect(parsePost(encodePost(Array(documentsPerPostMax + 1).fill("a.b.c")))).toMatchObject({
      kind: "error",
    })
  })

  it("the answer to a post has a signed reply or a reason for each document", () => {
    const replies = [
      { kind: "signed", document: "a.b.c" },
      { kind: "refused", reason: "counter-not-rising", message: "older" },
    ] as const
    expect(encodePostReplies(replies)).toBe(
      '{"replies":["a.b.c",{"error":{"reason":"counter-not-rising","message":"older"}}]}',
    )
    expect(parsePostReplies(encodePostReplies(replies))).toEqual({ kind: "ok", value: replies })
  })

  it("seven summaries with a full memo each fit one post", () => {
    const claims = [voice([1, 2], 5, { memo: { base: 0, text: "m".repeat(4_096) } }), mandate("a", 3)]
    const payload = encodeSummary({ ...summary, claims })
    const signed = "x".repeat(Math.ceil((payload.length * 4) / 3) + 250)
    expect(encodePost(Array(7).fill(signed)).length).toBeLessThan(postBytesMax)
  })
})
