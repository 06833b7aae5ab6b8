import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { toHex } from "../../../protocol/bytes.ts"
import {
  bodyBytesMax,
  type Frame,
  frameLimits,
  linksMax,
  lossMax,
  type TokenFrame,
} from "../../../protocol/frame.ts"
import { fitting } from "../../../protocol/frame-fields.ts"
import { decodeFrame, encodeFrame } from "../../../protocol/frames.ts"
import { tokenLists } from "../../../protocol/token-frame.ts"
import { incarnation, millis, nodeId } from "../../../protocol/units.ts"
import { emptyToken, ring } from "./empty-token.ts"

const u48 = fc.integer({ min: 0, max: 0xffff_ffff_ffff })
const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const node = fc.integer({ min: 1, max: 0xffff }).map(nodeId)
const start = fc.integer({ min: 1, max: 0xffff_ffff }).map(incarnation)
const ascii = (maxLength: number, minLength = 0) =>
  fc.string({ unit: "grapheme-ascii", minLength, maxLength })
const ringId = fc.record({
  sequence: fc.integer({ min: 1, max: 0xffff_ffff_ffff }),
  representative: node,
  incarnation: start,
})
const nodes = fc.uniqueArray(node, { maxLength: frameLimits.members })
const peers = fc.uniqueArray(fc.record({ node, incarnation: start }), {
  maxLength: frameLimits.members,
  selector: (peer) => peer.node,
})
const name = ascii(frameLimits.nameBytes, 1)
const remaining = u32.map((units) => millis(units / 16))
const witness = u32.map((value) => value.toString(16).padStart(8, "0"))

const token: fc.Arbitrary<Frame> = fc.record({
  kind: fc.constant("token"),
  ring: ringId,
  number: u48,
  seq: u48,
  aru: u48,
  aruBy: fc.integer({ min: 0, max: 0xffff }).map(nodeId),
  messages: fc
    .array(fc.record({ seq: u48, origin: node, payload: ascii(frameLimits.payloadBytes) }), { maxLength: 20 })
    .map((entries) => fitting(entries, tokenLists.messages)),
  rights: fc
    .array(fc.record({ owner: node, right: name, epoch: u48, remaining }), { maxLength: 20 })
    .map((entries) => fitting(entries, tokenLists.rights)),
  watches: fc
    .array(fc.record({ owner: node, name, witness, epoch: u48, seq: u48 }), { maxLength: 20 })
    .map((entries) => fitting(entries, tokenLists.watches)),
  health: fc
    .array(fc.record({ owner: node, bytes: fc.uint8Array({ maxLength: 122 }) }), { maxLength: 40 })
    .map((entries) => fitting(entries, tokenLists.health)),
})

const join: fc.Arbitrary<Frame> = fc.record({
  kind: fc.constant("join"),
  sequence: u48,
  hears: peers,
  accuses: nodes,
  proposal: nodes,
  owner: fc.boolean(),
})

const commit: fc.Arbitrary<Frame> = fc
  .tuple(ringId, peers, fc.nat(frameLimits.members))
  .map(([id, members, n]) => ({ kind: "commit", ring: id, members, committed: Math.min(n, members.length) }))

const anyFrame: fc.Arbitrary<Frame> = fc.oneof(
  token,
  fc.record({ kind: fc.constant("token-ack"), ring: ringId, number: u48 }),
  fc.record({ kind: fc.constant("token-wanted"), ring: ringId }),
  fc.record({ kind: fc.constantFrom("probe", "probe-ack"), id: u32 }),
  fc.record({ kind: fc.constant("standing"), reaches: nodes, ring: nodes }),
  fc.record({
    kind: fc.constant("evidence"),
    round: fc.integer({ min: 0, max: 0xffff }),
    echoes: fc.array(fc.record({ node, round: fc.integer({ min: 0, max: 0xffff }) }), {
      maxLength: frameLimits.members,
    }),
    relayed: fc.array(fc.record({ by: node, of: node }), { maxLength: frameLimits.members }),
  }),
  fc.record({
    kind: fc.constantFrom("link-probe", "link-answer"),
    id: u32,
    link: fc.integer({ min: 0, max: linksMax - 1 }),
    sent: u48,
    report: fc.record({
      state: fc.constantFrom("up", "suspect", "down"),
      loss: fc.integer({ min: 0, max: lossMax }),
      jitter: fc.integer({ min: 0, max: 0xffff }).map((units) => millis(units / 16)),
    }),
  }),
  join,
  commit,
  fc.record({ kind: fc.constant("commit-ack"), ring: ringId, committed: fc.nat(frameLimits.members) }),
  fc.record({ kind: fc.constant("site"), text: ascii(frameLimits.textBytes) }),
)

describe("frames and bytes", () => {
  test("[F1] a frame encoded and decoded is the same frame", () => {
    fc.assert(
      fc.property(anyFrame, (frame) => {
        expect(decodeFrame(encodeFrame(frame))).toEqual({ kind: "ok", value: frame })
      }),
      { numRuns: 500 },
    )
  })

  test("[F1] what decodes is encoded to the same bytes again: one frame has one form", () => {
    fc.assert(
      fc.property(anyFrame, fc.nat(), fc.nat(7), (frame, place, bit) => {
        const bytes = encodeFrame(frame)
        const at = place % bytes.length
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit)
        const decoded = decodeFrame(bytes)
        if (decoded.kind === "ok") expect(encodeFrame(decoded.value)).toEqual(bytes)
      }),
      { numRuns: 1000 },
    )
  })

  test("[F2] a frame cut off anywhere is an error", () => {
    fc.assert(
      fc.property(anyFrame, (frame) => {
        const bytes = encodeFrame(frame)
        for (let length = 0; length < bytes.length; length += 1) {
          expect(decodeFrame(bytes.subarray(0, length)).kind).toBe("error")
        }
      }),
      { numRuns: 30 },
    )
  })

  test("[F2] bytes left over are an error", () => {
    fc.assert(
      fc.property(anyFrame, (frame) => {
        const bytes = encodeFrame(frame)
        if (bytes.length === bodyBytesMax) return
        const longer = new Uint8Array([...bytes, 0])
        expect(decodeFrame(longer)).toEqual({
          kind: "error",
          error: { kind: "trailing-bytes", at: bytes.length },
        })
      }),
    )
  })

  test("[F2] random bytes give a frame or an error, never an exception", () => {
    const kinds = fc.integer({ min: 0, max: 20 })
    fc.assert(
      fc.property(kinds, fc.uint8Array({ maxLength: 1300 }), (kind, rest) => {
        expect(["ok", "error"]).toContain(decodeFrame(new Uint8Array([kind, ...rest])).kind)
      }),
      { numRuns: 2000 },
    )
  })

  test("[F2] nothing, an unknown kind and too much are told apart", () => {
    expect(decodeFrame(new Uint8Array(0))).toMatchObject({ error: { kind: "truncated" } })
    expect(decodeFrame(new Uint8Array([0]))).toMatchObject({ error: { kind: "unknown-kind" } })
    expect(decodeFrame(new Uint8Array([200, 0]))).toMatchObject({ error: { kind: "unknown-kind" } })
    expect(decodeFrame(new Uint8Array(bodyBytesMax + 1))).toMatchObject({ error: { kind: "out-of-range" } })
  })

  test("[F1] the layout on the wire is fixed", () => {
    expect(toHex(encodeFrame({ kind: "probe", id: 0x01020304 }))).toBe("0401020304")
    const report = { state: "suspect", loss: 1_000, jitter: millis(1.5) } as const
    expect(toHex(encodeFrame({ kind: "link-answer", id: 1, link: 2, sent: 3, report }))).toBe(
      "0c" + "00000001" + "02" + "000000000003" + "01" + "000003e8" + "0018",
    )
    expect(toHex(encodeFrame({ kind: "token-ack", ring, number: 9 }))).toBe(
      "02" + "000000000102" + "0001" + "00000007" + "000000000009",
    )
    const carried: TokenFrame = {
      ...emptyToken,
      messages: [{ seq: 4, origin: nodeId(3), payload: "{}" }],
      rights: [{ owner: nodeId(3), right: "voice", epoch: 2, remaining: millis(1.5) }],
      watches: [{ owner: nodeId(3), name: "m", witness: "00c0ffee", epoch: 2, seq: 1 }],
      health: [{ owner: nodeId(3), bytes: new Uint8Array([0xaa]) }],
    }
    expect(toHex(encodeFrame(carried))).toBe(
      "01" +
        "000000000102000100000007" +
        "000000000005" +
        "000000000004" +
        "000000000003" +
        "0002" +
        "01" +
        "000000000004" +
        "0003" +
        "0002" +
        "7b7d" +
        "01" +
        "0003" +
        "05" +
        "766f696365" +
        "000000000002" +
        "00000018" +
        "01" +
        "0003" +
        "01" +
        "6d" +
        "00c0ffee" +
        "000000000002" +
        "000000000001" +
        "01" +
        "0003" +
        "01" +
        "aa",
    )
  })
})

describe("what remains of a right", () => {
  const told = (value: number): number => {
    const rights = [{ owner: nodeId(1), right: "voice", epoch: 1, remaining: millis(value) }]
    const decoded = decodeFrame(encodeFrame({ ...emptyToken, rights }))
    if (decoded.kind !== "ok" || decoded.value.kind !== "token") throw new Error("not a token")
    return decoded.value.rights[0]?.remaining ?? Number.NaN
  }

  test("[F5] [Q3] a right never grows on the wire and loses less than 1/16 ms", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 86_400_000, noNaN: true }), (value) => {
        expect(told(value)).toBeLessThanOrEqual(value)
        expect(value - told(value)).toBeLessThan(1 / 16)
      }),
    )
  })

  test("[F5] a right passed on does not shrink further", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 86_400_000, noNaN: true }), (value) => {
        expect(told(told(value))).toBe(told(value))
      }),
    )
  })

  test("[F5] a right longer than 74 hours is told as 74 hours", () => {
    expect(told(Number.POSITIVE_INFINITY)).toBe(0xffff_ffff / 16)
  })
})
