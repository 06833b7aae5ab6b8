import { createHmac } from "node:crypto"
import { describe, expect, it } from "vitest"
import type { ReportedEvent } from "../../../../protocol/summaries.ts"
import { wallTime } from "../../../../protocol/units.ts"
import { signatureV1, webhookRequest } from "../../../../worker/alerts/receivers/webhook.ts"
import { receiversFor } from "../../../../worker/alerts/route.ts"

const event: ReportedEvent = {
  id: "site-silent:zürich.1:7",
  kind: "site-silent",
  subject: "site Zürich",
  severity: "critical",
  at: wallTime(Date.UTC(2040, 0, 1)),
  detail: "no node of the site has posted for 30 s",
}

describe("Standard Webhooks signatures", () => {
  it("the specification's own example", async () => {
    const content = 'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}'
    expect(await signatureV1("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLlSw", content)).toBe(
      "v1,qYEQ1j6Ialff1EWt9z98sgoR67BiLZCYiSj9rtiRnGM=",
    )
  })

  it("text beyond ASCII", async () => {
    const content = 'evt_01.1795233150.{"type":"incident.opened","data":{"site":"Zürich"}}'
    expect(await signatureV1("whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", content)).toBe(
      "v1,4aB2KqY7mUcc8O+qqZ0AMLDYUJQtoWF5tYVrs2cRs9g=",
    )
  })

  it("a request's signature is Node's HMAC over exactly what is sent", async () => {
    const raw = Buffer.alloc(32, 9)
    const notification = { cluster: "plant-7", receiver: "ops", event }
    const request = await webhookRequest(
      notification,
      `whsec_${raw.toString("base64")}`,
      wallTime(1_900_000_000_123),
    )
    const { "webhook-id": id, "webhook-timestamp": timestamp } = request.headers
    const expected = createHmac("sha256", raw).update(`${id}.${timestamp}.${request.body}`).digest("base64")
    expect(timestamp).toBe("1900000000")
    expect(id).not.toContain(".")
    expect(request.headers["webhook-signature"]).toBe(`v1,${expected}`)
  })

  it("the body says what happened and when, and has no secret", async () => {
    const notification = { cluster: "plant-7", receiver: "ops", event }
    const { body, headers } = await webhookRequest(notification, "whsec_AAAA", event.at)
    expect(headers["content-type"]).toBe("application/json")
    expect(JSON.parse(body)).toEqual({
      type: "quorumbeat.site_silent",
      timestamp: "2040-01-01T00:00:00.000Z",
      data: {
        cluster: "plant-7",
        id: event.id,
        kind: "site-silent",
        subject: "site Zürich",
        severity: "critical",
        detail: event.detail,
      },
    })
  })
})

describe("routing", () => {
  const receivers = [{ name: "ops" }, { name: "chat" }]

  it("every event goes to every receiver", () => {
    expect(receiversFor(event, receivers)).toEqual(["ops", "chat"])
  })

  it("a receiver is not told that it cannot be told", () => {
    expect(receiversFor({ ...event, kind: "delivery-failed", subject: "ops" }, receivers)).toEqual(["chat"])
  })
})
