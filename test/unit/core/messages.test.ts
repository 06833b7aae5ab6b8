/** SPEC R12, R16: ordered messages and site messages; any text gives a message or an error. */
import * as fc from "fast-check"
import { describe, expect, test } from "vitest"
import { encodeMessage, type Message, parseMessage, piecesOf } from "../../../node-agent/core/messages.ts"
import { parseSiteMessage } from "../../../node-agent/core/site-messages.ts"
import { frameLimits } from "../../../protocol/frame.ts"
import { epoch, incarnation, nodeId, serviceName, siteId, ticketName } from "../../../protocol/units.ts"
import { accepted } from "../../support/config-builder.ts"

const ledger = serviceName("ledger")
const main = ticketName("main")

const messages: readonly Message[] = [
  { kind: "report", part: 0, parts: 2, text: 'a "quoted" text' },
  { kind: "memo", part: 1, parts: 2, text: "" },
  {
    kind: "pledge",
    ticket: main,
    site: siteId("south"),
    number: 4,
    epoch: epoch(2),
    request: { node: nodeId(3), id: 9 },
  },
  {
    kind: "assign",
    service: ledger,
    node: nodeId(1),
    incarnation: incarnation(3),
    mandate: epoch(1),
    voice: epoch(0),
  },
  { kind: "revoke", service: ledger, epoch: "1.0.7.3" },
  { kind: "phase", service: ledger, phase: "stopped", epoch: "1.0.7.3", failed: true, reason: "füllt 100 %" },
  { kind: "command", number: 1, incarnation: 2, command: { kind: "service-stop", service: ledger } },
  { kind: "recorded", node: nodeId(2), number: 7 },
  { kind: "pin", witness: "00112233445566778899aabbccddeeff" },
  { kind: "departing" },
  { kind: "departed" },
  { kind: "coordinator", node: nodeId(2) },
]

test.each(messages)("[R12] $kind comes back as it was, in printable ASCII", (message) => {
  const payload = encodeMessage(message)
  expect(payload).toMatch(/^[\x20-\x7e]*$/)
  expect(accepted(parseMessage(payload))).toEqual(message)
})

test("[R12] any text gives a message or an error, never an exception", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.json(), fc.string()), (text) => {
      expect(["ok", "error"]).toContain(parseMessage(text).kind)
      expect(["ok", "error"]).toContain(parseSiteMessage(text).kind)
    }),
    { numRuns: 2000 },
  )
})

test("[R12] a message without one of its fields, or with one of another type, is refused", () => {
  for (const message of messages.filter(({ kind }) => kind !== "report" && kind !== "memo")) {
    const optional = ["epoch", "next"]
    for (const name of Object.keys(message).filter((each) => each !== "kind")) {
      if (message.kind === "phase" && optional.includes(name)) continue
      for (const value of [undefined, null, [], { kind: name }]) {
        if (typeof value === typeof (message as unknown as Record<string, unknown>)[name] && value !== null)
          continue
        expect(
          parseMessage(JSON.stringify({ ...message, [name]: value })).kind,
          `${message.kind}.${name}`,
        ).toBe("error")
      }
    }
  }
})

test.each([
  "",
  "null",
  "[]",
  "{}",
  '{"kind":"unheard-of"}',
  '{"kind":"toString"}',
  '"text"',
  "report 0 0 x",
  "report 2 2 x",
  "report 0 99 x",
  "memo a b c",
])("[R12] %j is refused", (payload) => expect(parseMessage(payload).kind).toBe("error"))

describe("pieces", () => {
  test("[R16] each fits its bound, and together they are the text", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 15_000 }), (length) => {
        const text = "x".repeat(length)
        const pieces = piecesOf("report", text)
        expect(pieces.map((piece) => piece.text).join("")).toBe(text)
        expect(pieces.map((piece) => [piece.part, piece.parts])).toEqual(
          pieces.map((_, part) => [part, pieces.length]),
        )
        for (const piece of pieces)
          expect(encodeMessage(piece).length).toBeLessThanOrEqual(frameLimits.payloadBytes)
      }),
    )
  })
})

test.each([
  { kind: "heartbeat", site: "north", checksum: "00", members: [], tickets: [] },
  { kind: "pledge-request", id: 1, ticket: "main", site: "north", epoch: 1 },
  { kind: "pledge-answer", id: 1, ticket: "main", granted: true, epoch: 1, known: 1, reason: "" },
])("[M8] $kind is taken whole, and refused without any of its fields", (message) => {
  expect(parseSiteMessage(JSON.stringify(message)).kind).toBe("ok")
  for (const name of Object.keys(message)) {
    expect(parseSiteMessage(JSON.stringify({ ...message, [name]: undefined })).kind).toBe("error")
  }
})
