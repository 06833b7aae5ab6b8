import { describe, expect, test } from "vitest"
import { toHex } from "../../../protocol/bytes.ts"
import { bodyBytesMax, type Frame, frameLimits, type TokenFrame } from "../../../protocol/frame.ts"
import { fitting, inTurn } from "../../../protocol/frame-fields.ts"
import { decodeFrame, encodeFrame } from "../../../protocol/frames.ts"
import { tokenLists } from "../../../protocol/token-frame.ts"
import { incarnation, millis, nodeId } from "../../../protocol/units.ts"
import { emptyToken, ring } from "./empty-token.ts"

describe("bounds", () => {
  test("[F4] the four lists of a token at their largest fill a datagram and no more", () => {
    const { messageBytes, rightBytes, watchBytes, healthBytes } = frameLimits
    const fixed = encodeFrame(emptyToken).length
    expect(fixed + messageBytes + rightBytes + watchBytes + healthBytes).toBe(bodyBytesMax)
    const full: TokenFrame = {
      ...emptyToken,
      messages: [{ seq: 1, origin: nodeId(1), payload: "x".repeat(frameLimits.payloadBytes) }],
      rights: [56, 68].map((length) => ({
        owner: nodeId(1),
        right: "r".repeat(length),
        epoch: 1,
        remaining: millis(1),
      })),
      watches: [24, 68].map((length) => ({
        owner: nodeId(1),
        name: "w".repeat(length),
        witness: "00000000",
        epoch: 1,
        seq: 1,
      })),
      health: [{ owner: nodeId(1), bytes: new Uint8Array(healthBytes - 3) }],
    }
    const bytes = encodeFrame(full)
    expect(bytes.length).toBe(bodyBytesMax)
    expect(decodeFrame(bytes)).toEqual({ kind: "ok", value: full })
  })

  test("[F4] every other kind at its largest fits a datagram", () => {
    const members = Array.from({ length: frameLimits.members }, (_, i) => nodeId(i + 1))
    const all = members.map((each) => ({ node: each, incarnation: incarnation(1) }))
    const text = "~".repeat(frameLimits.textBytes)
    const largest: readonly Frame[] = [
      { kind: "join", sequence: 1, hears: all, accuses: members, proposal: members, owner: true },
      { kind: "commit", ring, members: all, committed: 32 },
      { kind: "site", text },
    ]
    for (const frame of largest) {
      expect(decodeFrame(encodeFrame(frame))).toEqual({ kind: "ok", value: frame })
    }
  })

  test("[F4] fitting takes the longest beginning of a list that a token may carry", () => {
    const message = (length: number) => ({ seq: 1, origin: nodeId(1), payload: "x".repeat(length) })
    const fits = (lengths: readonly number[]) => fitting(lengths.map(message), tokenLists.messages).length
    expect(fits([])).toBe(0)
    expect(fits([frameLimits.payloadBytes])).toBe(1)
    expect(fits([frameLimits.payloadBytes, 0])).toBe(1)
    expect(fits([345, 345])).toBe(2)
    expect(fits([345, 346, 0])).toBe(1)
    expect(fits(Array.from({ length: 30 }, () => 1))).toBe(frameLimits.messages)
  })

  test("[F4] in turn, with one visit after the other, every entry is told though only some fit", () => {
    const names = Array.from({ length: 9 }, (_, i) => `mandate:ticket-${i}`)
    const watches = names.map((name) => ({ owner: nodeId(1), name, witness: "00c0ffee", epoch: 1, seq: 1 }))
    const told = new Set<string>()
    for (let visit = 100; visit < 109; visit += 1) {
      const fits = fitting(inTurn(watches, visit), tokenLists.watches)
      expect(fits.length).toBeGreaterThan(1)
      for (const watch of fits) told.add(watch.name)
    }
    expect([...told].toSorted()).toEqual(names)
    expect(inTurn([], 3)).toEqual([])
  })

  test.each<[string, Frame]>([
    [
      "a payload beyond its bound",
      { ...emptyToken, messages: [{ seq: 1, origin: nodeId(1), payload: "x".repeat(701) }] },
    ],
    [
      "messages beyond their share",
      {
        ...emptyToken,
        messages: [1, 2].map((seq) => ({ seq, origin: nodeId(1), payload: "x".repeat(346) })),
      },
    ],
    [
      "too many messages",
      {
        ...emptyToken,
        messages: Array.from({ length: 17 }, (_, seq) => ({ seq, origin: nodeId(1), payload: "" })),
      },
    ],
    [
      "an empty name",
      { ...emptyToken, rights: [{ owner: nodeId(1), right: "", epoch: 1, remaining: millis(1) }] },
    ],
    [
      "a right that is over",
      { ...emptyToken, rights: [{ owner: nodeId(1), right: "voice", epoch: 1, remaining: millis(-1) }] },
    ],
    [
      "a right without an end",
      {
        ...emptyToken,
        rights: [{ owner: nodeId(1), right: "voice", epoch: 1, remaining: millis(Number.NaN) }],
      },
    ],
    [
      "a witness that is not hex",
      { ...emptyToken, watches: [{ owner: nodeId(1), name: "m", witness: "00C0FFEE", epoch: 1, seq: 1 }] },
    ],
    [
      "a health slot beyond its share",
      { ...emptyToken, health: [{ owner: nodeId(1), bytes: new Uint8Array(123) }] },
    ],
    ["a number beyond its field", { ...emptyToken, number: 2 ** 48 }],
    ["a number that is not whole", { ...emptyToken, seq: 1.5 }],
    ["node 0", { ...emptyToken, ring: { ...ring, representative: nodeId(0) } }],
    ["a ring without a sequence", { kind: "token-wanted", ring: { ...ring, sequence: 0 } }],
    [
      "an incarnation that never was",
      { kind: "token-wanted", ring: { ...ring, incarnation: incarnation(0) } },
    ],
    ["a text that is not ASCII", { kind: "site", text: "Zürich" }],
    ["a text with a control character", { kind: "site", text: "a\nb" }],
    ["a text beyond its bound", { kind: "site", text: "x".repeat(1001) }],
    ["more committed than members", { kind: "commit", ring, members: [], committed: 1 }],
    [
      "a member twice",
      {
        kind: "commit",
        ring,
        members: [1, 2].map((start) => ({ node: nodeId(9), incarnation: incarnation(start) })),
        committed: 0,
      },
    ],
  ])("[F3] %s is never sent", (_, frame) => {
    expect(() => encodeFrame(frame)).toThrow()
  })

  test.each<[string, string, string]>([
    ["node 0", "03" + "000000000102" + "0000" + "00000007", "out-of-range"],
    ["ring sequence 0", "03" + "000000000000" + "0001" + "00000007", "out-of-range"],
    ["incarnation 0", "03" + "000000000102" + "0001" + "00000000", "out-of-range"],
    ["a text that is too long", `09${"03e9"}${"78".repeat(1001)}`, "out-of-range"],
    ["a text with a control character", "09" + "0001" + "0a", "not-ascii"],
    ["a text with a high bit", "09" + "0001" + "fc", "not-ascii"],
    ["more committed than members", "07" + "000000000102000100000007" + "01" + "00", "out-of-range"],
    ["33 members", `07${"000000000102000100000007"}${"00"}${"21"}`, "out-of-range"],
    [
      "a member twice",
      "07" + "000000000102000100000007" + "00" + "02" + "000900000001" + "000900000002",
      "duplicate",
    ],
    ["an owner neither yes nor no", "06" + "000000000001" + "02" + "000000", "out-of-range"],
  ])("[F3] %s is refused", (_, hex, kind) => {
    const bytes = new Uint8Array((hex.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16)))
    expect(decodeFrame(bytes)).toMatchObject({ kind: "error", error: { kind } })
  })

  test("[F3] a list that takes more than its share of bytes is refused, its entries sound as they are", () => {
    const entry = (length: number) => `0001${length.toString(16).padStart(2, "0")}${"00".repeat(length)}`
    const hex = (entries: string) => `${toHex(encodeFrame(emptyToken)).slice(0, -2)}02${entries}`
    const decode = (text: string) =>
      decodeFrame(new Uint8Array((text.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16))))
    expect(decode(hex(entry(59) + entry(60)))).toMatchObject({ kind: "ok" })
    expect(decode(hex(entry(60) + entry(60)))).toMatchObject({
      kind: "error",
      error: { kind: "out-of-range" },
    })
  })
})
