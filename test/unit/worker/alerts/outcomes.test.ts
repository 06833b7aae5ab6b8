/** What each answer means: the usual meaning, and every word that a service has of its own. */
import { describe, expect, it } from "vitest"
import { wallTime } from "../../../../protocol/units.ts"
import type { Outcome } from "../../../../worker/alerts/notification.ts"
import { classify, type Receiver } from "../../../../worker/alerts/receivers/receiver.ts"
import { retryAfterMs, retryAfterSecondsMs } from "../../../../worker/alerts/retry-after.ts"
import { allReceivers, answered, now, receivers } from "./notification-builder.ts"

const secrets = /sEcReT|tOkEn-of|ABC-DEF|BwcHBw|e93facc0|token-1234|tk_1234|key-1234|plant-topic/

function meaning(
  receiver: Receiver,
  status: number,
  body: unknown = "",
  headers: Record<string, string> = {},
): Outcome {
  const text = typeof body === "string" ? body : JSON.stringify(body)
  return classify(receiver, answered(status, text, headers), now)
}

describe.each(allReceivers)("$kind: answers that mean the same everywhere", (receiver) => {
  it.each([
    [301, "endpoint-rejected"],
    [302, "endpoint-rejected"],
    [307, "endpoint-rejected"],
    [400, "message-rejected"],
    [401, "endpoint-rejected"],
    [403, "endpoint-rejected"],
    [404, "endpoint-rejected"],
    [408, "transient"],
    [410, "endpoint-rejected"],
    [413, "message-rejected"],
    [415, "message-rejected"],
    [422, "message-rejected"],
    [425, "transient"],
    [429, "throttled"],
    [500, "transient"],
    [502, "transient"],
    [503, "transient"],
    [504, "transient"],
    [522, "transient"],
    [529, "transient"],
  ])("%i is %s", (status, kind) => {
    expect(meaning(receiver, status)).toMatchObject({
      kind,
      reason: expect.stringContaining(`status ${status}`),
    })
  })

  it("only 410 is gone for good", () => {
    expect(meaning(receiver, 410)).toMatchObject({ gone: true })
    for (const status of [301, 401, 403, 404])
      expect(meaning(receiver, status)).toMatchObject({ gone: false })
  })

  it("Retry-After is taken from 429 and 503, in both forms", () => {
    expect(meaning(receiver, 429, "", { "retry-after": "120" })).toMatchObject({ retryAfterMs: 120_000 })
    const date = "Sun, 01 Jan 2040 12:01:00 GMT"
    expect(meaning(receiver, 503, "", { "retry-after": date })).toMatchObject({
      kind: "throttled",
      retryAfterMs: 60_000,
    })
    expect(meaning(receiver, 429)).toMatchObject({ kind: "throttled", retryAfterMs: undefined })
  })

  it("no answer is transient, with the reason in one line", () => {
    const outcome = classify(receiver, { kind: "failed", reason: "connection\r\nreset\u0007" }, now)
    expect(outcome).toEqual({ kind: "transient", reason: "connection reset" })
  })

  it("a redirect says where to, and that it is not followed", () => {
    const outcome = meaning(receiver, 302, "", { location: "http://169.254.169.254/latest/meta-data" })
    expect(outcome.reason).toContain("169.254.169.254")
    expect(outcome.reason).not.toContain("latest")
  })

  it("whatever the body is, there is an outcome", () => {
    for (const body of [
      "",
      "null",
      "[]",
      '"x"',
      "{",
      "<html>",
      '{"id":7,"data":null,"parameters":3}',
      "\ud800",
    ]) {
      for (const status of [200, 201, 202, 204, 400, 404, 429, 500]) {
        expect(() => meaning(receiver, status, body)).not.toThrow()
      }
    }
  })

  it("a service that repeats our secrets does not get them into the log", () => {
    const said = JSON.stringify(receiver)
    for (const status of [400, 401, 500]) {
      const { reason } = meaning(receiver, status, said)
      expect(reason).not.toMatch(secrets)
    }
    const { reason } = classify(receiver, { kind: "failed", reason: `cannot reach ${said}` }, now)
    expect(reason).not.toMatch(secrets)
  })

  it("what the service says is kept short", () => {
    expect(meaning(receiver, 500, "x".repeat(60_000)).reason.length).toBeLessThan(200)
  })
})

describe("what services say in their own way", () => {
  const rejected = { kind: "message-rejected" }
  const transient = { kind: "transient" }
  const refused = { kind: "endpoint-rejected", gone: false }
  const gone = { kind: "endpoint-rejected", gone: true }
  const done = (reference?: string) => ({ kind: "delivered", reference })
  const wait = (retryAfterMs: number) => ({ kind: "throttled", retryAfterMs })

  it.each<[keyof typeof receivers, number, unknown, object]>([
    ["pagerduty", 202, { status: "success", message: "Event processed", dedup_key: "k" }, done("k")],
    ["pagerduty", 400, { status: "invalid event", errors: ["'payload.severity' is invalid"] }, rejected],
    ["pagerduty", 400, { status: "invalid event", errors: ["'routing_key' is invalid"] }, refused],
    ["opsgenie", 202, { result: "Request will be processed", took: 0.3, requestId: "r-1" }, done("r-1")],
    ["opsgenie", 422, { message: "Request body is not processable" }, rejected],
    ["opsgenie", 403, { message: "Key is not eligible" }, refused],
    ["incident-io", 202, { status: "success", deduplication_key: "k" }, done("k")],
    ["better-stack", 201, { data: { id: "123456789", type: "incident" } }, done("123456789")],
    ["better-stack", 409, { errors: "already acknowledged" }, done()],
    ["better-stack", 200, {}, done()],
    ["alertmanager", 200, "", done()],
    ["alertmanager", 400, '"at least one label pair required"', rejected],
    ["alertmanager", 422, { code: 602, message: "0.labels in body is required" }, rejected],
    ["slack", 200, "ok", done()],
    ["slack", 200, "<html>a proxy's page</html>", transient],
    ["slack", 400, "invalid_payload", rejected],
    ["slack", 400, "user_not_found", rejected],
    ["slack", 500, "no_text", rejected],
    ["slack", 400, "invalid_token", refused],
    ["slack", 403, "action_prohibited", refused],
    ["slack", 404, "channel_not_found", refused],
    ["slack", 404, "no_service", refused],
    ["slack", 400, "no_active_hooks", refused],
    ["slack", 410, "channel_is_archived", gone],
    ["slack", 500, "rollup_error", transient],
    ["slack", 429, { retry_after: 3, ok: false, error: "rate_limited" }, wait(3_000)],
    ["teams", 202, "", done()],
    ["teams", 200, "", done()],
    ["teams", 413, "", rejected],
    ["discord", 200, { id: "1179", content: "" }, done("1179")],
    ["discord", 204, "", done()],
    ["discord", 429, { message: "You are being rate limited.", retry_after: 0.65, global: false }, wait(650)],
    ["discord", 404, { message: "Unknown Message", code: 10_008 }, { kind: "transient", reference: null }],
    ["discord", 404, { message: "Unknown Webhook", code: 10_015 }, refused],
    ["discord", 400, { embeds: ["0"] }, rejected],
    ["telegram", 200, { ok: true, result: { message_id: 12, chat: { id: -1001 } } }, done("-1001/12")],
    ["telegram", 200, "<html>", transient],
    [
      "telegram",
      429,
      {
        ok: false,
        error_code: 429,
        description: "Too Many Requests: retry after 34",
        parameters: { retry_after: 34 },
      },
      wait(34_000),
    ],
    [
      "telegram",
      400,
      {
        ok: false,
        description: "Bad Request: group chat was upgraded",
        parameters: { migrate_to_chat_id: -100777 },
      },
      { kind: "transient", reference: "-100777/" },
    ],
    ["telegram", 400, { ok: false, description: "Bad Request: message is not modified" }, done()],
    [
      "telegram",
      400,
      { ok: false, description: "Bad Request: message to edit not found" },
      { kind: "transient", reference: null },
    ],
    ["telegram", 400, { ok: false, description: "Bad Request: chat not found" }, refused],
    ["telegram", 403, { ok: false, description: "Forbidden: bot was blocked by the user" }, refused],
    ["telegram", 400, { ok: false, description: "Bad Request: can't parse entities" }, rejected],
    ["ntfy", 200, { id: "xE73Iyuabi", event: "message" }, done("xE73Iyuabi")],
    ["ntfy", 200, { id: "pBkF2Nl1Iw", sequence_id: "xE73Iyuabi", event: "message" }, done("xE73Iyuabi")],
    ["webhook", 204, "", done()],
    ["webhook", 503, "", transient],
  ])("%s: %i %o", (kind, status, body, outcome) => {
    expect(meaning(receivers[kind], status, body)).toMatchObject(outcome)
  })

  it("the reason quotes the service", () => {
    expect(meaning(receivers.slack, 404, "no_service").reason).toBe("status 404: no_service")
    expect(meaning(receivers.webhook, 204).reason).toBe("status 204")
  })
})

describe("Retry-After", () => {
  it.each([
    ["1", 1_000],
    ["1.5", 1_500],
    ["0", 0],
    ["-1", undefined],
    ["99999999", 3_600_000],
    ["Sun, 01 Jan 2040 12:01:00 GMT", 60_000],
    ["Sat, 01 Jan 2000 00:00:00 GMT", 0],
    ["Fri, 01 Jan 2060 00:00:00 GMT", 3_600_000],
    ["soon", undefined],
    ["2040", 2_040_000],
    ["Sun, whenever", undefined],
    ["5, 5", undefined],
    ["", undefined],
    [undefined, undefined],
  ])("%o is %o ms", (header, milliseconds) => {
    expect(retryAfterMs(header, now)).toBe(milliseconds)
  })

  it("in a body it is clamped alike", () => {
    expect(retryAfterSecondsMs(0.25)).toBe(250)
    expect(retryAfterSecondsMs(-3)).toBe(0)
    expect(retryAfterSecondsMs(1e9)).toBe(3_600_000)
    expect(retryAfterSecondsMs(undefined)).toBeUndefined()
    expect(retryAfterMs("Sun, 01 Jan 2040 12:01:00 GMT", wallTime(now + 60_000))).toBe(0)
  })
})
