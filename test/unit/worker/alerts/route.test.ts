import { describe, expect, it } from "vitest"
import type { ReportedEvent } from "../../../../protocol/summaries.ts"
import { receiversFor } from "../../../../worker/alerts/route.ts"
import { now } from "./notification-builder.ts"

const event: ReportedEvent = {
  id: "site-silent:south:7",
  kind: "site-silent",
  subject: "site south",
  severity: "critical",
  at: now,
  detail: "",
}

describe("routing", () => {
  const receivers = [{ name: "ops" }, { name: "chat" }]

  it("every event goes to every receiver", () => {
    expect(receiversFor(event, receivers)).toEqual(["ops", "chat"])
  })

  it("a receiver is not told that it cannot be told", () => {
    expect(receiversFor({ ...event, kind: "delivery-failed", subject: "ops" }, receivers)).toEqual(["chat"])
  })
})
