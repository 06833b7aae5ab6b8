/** Every request against the limits its service publishes, whatever the names and details are made of. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { wallTime } from "../../../../protocol/units.ts"
import type { Notification, RequestContext } from "../../../../worker/alerts/notification.ts"
import { betterStackLimits } from "../../../../worker/alerts/receivers/better-stack.ts"
import { discordLimits } from "../../../../worker/alerts/receivers/discord.ts"
import { incidentIoLimits } from "../../../../worker/alerts/receivers/incident-io.ts"
import { ntfyLimits } from "../../../../worker/alerts/receivers/ntfy.ts"
import { opsgenieLimits } from "../../../../worker/alerts/receivers/opsgenie.ts"
import { pagerdutyLimits } from "../../../../worker/alerts/receivers/pagerduty.ts"
import { type Receiver, requestFor } from "../../../../worker/alerts/receivers/receiver.ts"
import { slackLimits } from "../../../../worker/alerts/receivers/slack.ts"
import { teamsLimits } from "../../../../worker/alerts/receivers/teams.ts"
import { telegramLimits } from "../../../../worker/alerts/receivers/telegram.ts"
import { webhookLimits } from "../../../../worker/alerts/receivers/webhook.ts"
import { now, receivers } from "./notification-builder.ts"

/** What has broken one sender of alerts or another: markup, mentions, wide and joined characters, halves of pairs, no characters. */
const hostile = [
  "<!channel>",
  "@everyone",
  "</b>",
  "&amp;",
  "🏴󠁧󠁢󠁳󠁣󠁴󠁿",
  "👩‍👩‍👧‍👦",
  "é",
  "\ud800",
  "\u202e",
  "\u0000",
  "\r\n",
  "*_~`|>",
  "[x](y)",
  '"\\',
  "漢",
  "",
]
const text = (maxLength: number) =>
  fc.oneof(
    fc.string({ unit: "binary", maxLength }),
    fc.array(fc.constantFrom(...hostile), { maxLength }).map((parts) => parts.join("")),
  )
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
const time = fc.integer({ min: 0, max: Number(now) }).map(wallTime)

const incidentArbitrary = fc.record({
  id: fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: 32, maxLength: 32 }),
  phase: fc.constantFrom("open", "acknowledged", "resolved"),
  kind: fc.constantFrom("site-silent", "node-down", "service-failed"),
  severity: fc.constantFrom("info", "warning", "critical"),
  subject: text(600),
  title: text(2_000),
  detail: text(600),
  site: optional(text(64)),
  node: optional(text(64)),
  openedAt: time,
  resolvedAt: optional(time),
  acknowledgedBy: optional(text(300)),
})
const notificationArbitrary: fc.Arbitrary<Notification> = fc.record({
  id: fc.constant("n-1"),
  action: fc.constantFrom("trigger", "update", "acknowledge", "resolve"),
  cluster: fc.string({ unit: fc.constantFrom(..."abc-._9"), minLength: 1, maxLength: 63 }),
  receiver: fc.constant("ops"),
  dedupKey: fc.string({ unit: fc.constantFrom(..."abcXYZ019._:-"), minLength: 1, maxLength: 128 }),
  incidents: fc
    .tuple(incidentArbitrary, fc.array(incidentArbitrary, { maxLength: 49, size: "max" }))
    .map(([lead, rest]) => [lead, ...rest] as const),
  omitted: fc.nat(1_000),
  repeat: fc.nat(99),
  escalation: fc.nat(9),
  at: time,
  link: optional(fc.constant(`https://witness.example.com/${"c".repeat(200)}`)),
  test: fc.boolean(),
})
const contextArbitrary: fc.Arbitrary<RequestContext> = fc.record({
  now: fc.constant(now),
  reference: optional(fc.constant("77")),
  rendering: fc.constantFrom("full", "minimal"),
})

/** Some hundred notifications of the largest kind take seconds; the failing one is shrunk and printed. */
const runs = { numRuns: 60 }

type Body = ReturnType<typeof JSON.parse>

async function holds(receiver: Receiver, check: (body: Body, raw: string) => void): Promise<void> {
  await fc.assert(
    fc.asyncProperty(notificationArbitrary, contextArbitrary, async (notification, context) => {
      const request = await requestFor(notification, receiver, context)
      if (request === undefined) return
      expect(request.body.isWellFormed()).toBe(true)
      expect(request.body, "no half of a surrogate pair, also not escaped").not.toMatch(/\\ud[89a-f]/i)
      expect(() => new Headers(request.headers)).not.toThrow()
      expect(URL.canParse(request.url)).toBe(true)
      check(JSON.parse(request.body), request.body)
    }),
    runs,
  )
}

const bytes = (value: string): number => Buffer.byteLength(value)
function within(value: unknown, max: number): void {
  if (value !== undefined) expect(String(value).length).toBeLessThanOrEqual(max)
}

describe("field limits hold for any text", () => {
  it("PagerDuty", () =>
    holds(receivers.pagerduty, ({ payload, dedup_key, event_action }: Body, raw) => {
      expect(bytes(raw)).toBeLessThanOrEqual(pagerdutyLimits.body)
      within(dedup_key, 255)
      if (event_action !== "trigger") return
      within(payload.summary, pagerdutyLimits.summary)
      expect(payload.summary).not.toBe("")
      expect(payload.source).not.toBe("")
      expect(["critical", "error", "warning", "info"]).toContain(payload.severity)
    }))

  it("Opsgenie", () =>
    holds(receivers.opsgenie, (body: Body) => {
      within(body.message, opsgenieLimits.message)
      within(body.alias, opsgenieLimits.alias)
      within(body.description, opsgenieLimits.description)
      within(body.entity, opsgenieLimits.entity)
      within(body.source, opsgenieLimits.source)
      within(body.note, opsgenieLimits.note)
      within(body.user, opsgenieLimits.user)
      const tags: readonly string[] = body.tags ?? []
      within("x".repeat(tags.length), opsgenieLimits.tags)
      for (const tag of tags) within(tag, opsgenieLimits.tag)
      within(
        Object.entries(body.details ?? {})
          .flat()
          .join(""),
        opsgenieLimits.details,
      )
    }))

  it("Slack", () =>
    holds(receivers.slack, ({ text: shown, blocks = [] }: Body) => {
      within(shown, slackLimits.text + 1 + 230)
      expect(shown).not.toBe("")
      expect(blocks.length).toBeLessThanOrEqual(50)
      for (const block of blocks) {
        if (block.type === "header") within(block.text.text, slackLimits.header)
        if (block.type === "section") within(block.text?.text, slackLimits.section)
        expect((block.fields ?? []).length).toBeLessThanOrEqual(slackLimits.fields)
        for (const field of block.fields ?? []) within(field.text, slackLimits.field)
        for (const field of block.fields ?? []) expect(field.text).not.toMatch(/<(?!!date)|<[!@#]/)
      }
      expect(shown.split("\n")[0]).not.toMatch(/[<>]/)
    }))

  it("Microsoft Teams", () =>
    holds(receivers.teams, ({ attachments }: Body, raw) => {
      expect(bytes(raw)).toBeLessThanOrEqual(teamsLimits.body)
      expect(attachments).toHaveLength(1)
      const blocks: readonly Body[] = attachments[0].content.body
      expect(new Set(blocks.map(({ type }) => type))).toEqual(new Set(["RichTextBlock"]))
    }))

  it("Discord", () =>
    holds(receivers.discord, ({ content, embeds, allowed_mentions }: Body) => {
      within(content, discordLimits.content)
      expect(allowed_mentions).toEqual({ parse: [] })
      expect(content !== "" || embeds.length === 1).toBe(true)
      let all = 0
      for (const embed of embeds) {
        within(embed.title, discordLimits.title)
        within(embed.description, discordLimits.description)
        expect(embed.fields.length).toBeLessThanOrEqual(discordLimits.fields)
        all += embed.title.length + (embed.description ?? "").length
        for (const { name, value } of embed.fields) {
          within(name, discordLimits.name)
          within(value, discordLimits.value)
          expect(value).not.toBe("")
          all += name.length + value.length
        }
      }
      expect(all).toBeLessThanOrEqual(discordLimits.embed)
    }))

  it("Telegram", () =>
    holds(receivers.telegram, ({ text: shown }: Body) => {
      within(shown, telegramLimits.text)
      expect(shown.replace(/^<b>([^<]*)<\/b>/, "$1"), "no tags but the head's").not.toMatch(
        /[<>]|&(?!(amp|lt|gt);)/,
      )
    }))

  it("ntfy", () =>
    holds(receivers.ntfy, ({ message, title, priority }: Body) => {
      expect(bytes(message)).toBeLessThanOrEqual(ntfyLimits.message)
      expect(message).not.toBe("")
      expect(bytes(title)).toBeLessThanOrEqual(ntfyLimits.title)
      expect([1, 2, 3, 4, 5]).toContain(priority)
    }))

  it("Alertmanager", () =>
    holds(receivers.alertmanager, (alerts: Body[]) => {
      expect(alerts.length).toBeGreaterThan(0)
      for (const { labels, startsAt, endsAt } of alerts) {
        for (const [name, value] of Object.entries(labels)) {
          expect(name).toMatch(/^[a-zA-Z_][a-zA-Z0-9_]*$/)
          expect(value).not.toBe("")
        }
        expect(Date.parse(endsAt)).toBeGreaterThanOrEqual(Date.parse(startsAt))
      }
    }))

  it("incident.io", () =>
    holds(receivers["incident-io"], ({ title, status }: Body, raw) => {
      expect(bytes(raw)).toBeLessThanOrEqual(incidentIoLimits.body)
      expect(title).not.toBe("")
      expect(["firing", "resolved"]).toContain(status)
    }))

  it("Better Stack", () =>
    holds(receivers["better-stack"], (body: Body) => {
      within(body.name, betterStackLimits.name)
      within(body.summary, betterStackLimits.summary)
      within(body.description, betterStackLimits.description)
    }))

  it("the generic webhook", () =>
    holds(receivers.webhook, ({ type, data }: Body, raw) => {
      expect(bytes(raw)).toBeLessThanOrEqual(webhookLimits.body)
      expect(type).toMatch(/^[a-zA-Z0-9_]+(\.[a-zA-Z0-9_]+)*$/)
      expect(data.incidents.length).toBeGreaterThan(0)
    }))
})
