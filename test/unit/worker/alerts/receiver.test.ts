/** Settings: what an operator may write, and what anybody is ever shown of it. */
import * as v from "valibot"
import { describe, expect, it } from "vitest"
import {
  describeReceiver,
  receiverSchema,
  receiverTargets,
} from "../../../../worker/alerts/receivers/receiver.ts"
import { webhookTarget } from "../../../../worker/alerts/target.ts"
import { allReceivers, receivers } from "./notification-builder.ts"

describe.each(allReceivers)("$kind", (receiver) => {
  it("is taken as it is written, and its address is a target", () => {
    expect(v.safeParse(receiverSchema, receiver)).toMatchObject({ success: true, output: receiver })
    for (const target of receiverTargets(receiver)) {
      expect(webhookTarget(target, "public")).toMatchObject({ kind: "ok" })
    }
  })

  it("is shown without its secrets", () => {
    const shown = JSON.stringify(describeReceiver(receiver))
    expect(shown).toContain(`"kind":"${receiver.kind}"`)
    expect(shown).not.toMatch(
      /sEcReT|tOkEn-of|ABC-DEF|BwcHBw|e93facc0|token-1234|tk_1234|key-1234|plant-topic/,
    )
  })

  it("what is missing or unknown is said with its name and without its value", () => {
    const without = Object.fromEntries(
      Object.entries(receiver).filter(([name]) => name === "name" || name === "kind"),
    )
    const missing = v.safeParse(receiverSchema, without)
    expect(missing.success).toBe(false)
    expect(v.getDotPath(missing.issues?.[0] as v.BaseIssue<unknown>)).toMatch(/^[a-z_]+$/)
  })
})

describe("what is shown of a secret", () => {
  it("its last four characters; of a URL its origin", () => {
    expect(describeReceiver(receivers.pagerduty)).toMatchObject({ routing_key: "...d1a6" })
    expect(describeReceiver({ ...receivers.ntfy, topic: "abc" })).toMatchObject({ topic: "..." })
    expect(describeReceiver(receivers.slack)).toEqual({
      name: "sl",
      kind: "slack",
      url: "https://hooks.slack.com/...",
    })
    expect(describeReceiver(receivers.alertmanager)).toMatchObject({ url: receivers.alertmanager.url })
  })
})

describe("bad settings are refused without being repeated", () => {
  it.each([
    [{ ...receivers.pagerduty, routing_key: "too-short-sEcReT" }, "routing_key"],
    [{ ...receivers.telegram, token: "sEcReT" }, "token"],
    [{ ...receivers.telegram, chat_id: "a chat" }, "chat_id"],
    [{ ...receivers.webhook, secret: "sEcReT" }, "secret"],
    [{ ...receivers.webhook, previous_secret: "whsec_sEcReT" }, "previous_secret"],
    [{ ...receivers.slack, url: "sEcReT" }, "url"],
    [{ ...receivers.slack, url: `https://x.example/${"sEcReT".repeat(400)}` }, "url"],
    [{ ...receivers.ntfy, topic: "sEcReT/../x" }, "topic"],
    [{ ...receivers["incident-io"], source: "a/b" }, "source"],
    [{ ...receivers["better-stack"], requester_email: "nobody" }, "requester_email"],
    [{ ...receivers.opsgenie, api_key: "line\nsEcReT" }, "api_key"],
    [{ ...receivers.discord, thread_id: "x" }, "thread_id"],
    [{ ...receivers.ntfy, name: "Bad Name" }, "name"],
    [{ ...receivers.opsgenie, api_key: 5_318_008 }, "api_key"],
    [{ ...receivers.slack, channel: "#sEcReT" }, "channel"],
  ])("%#", (settings, path) => {
    const parsed = v.safeParse(receiverSchema, settings)
    expect(parsed.success).toBe(false)
    const [issue] = parsed.issues ?? []
    expect(issue && v.getDotPath(issue)).toBe(path)
    expect(issue?.message).not.toMatch(/sEcReT|5318008/)
  })

  it("two ways to authorize at an Alertmanager, or half of one", () => {
    const { alertmanager } = receivers
    for (const settings of [
      { token: "t", username: "u", password: "p" },
      { username: "u" },
      { password: "p" },
    ]) {
      expect(v.safeParse(receiverSchema, { ...alertmanager, ...settings }).success).toBe(false)
    }
  })

  it("a kind that there is not", () => {
    expect(v.safeParse(receiverSchema, { name: "x", kind: "fax" }).success).toBe(false)
  })
})
