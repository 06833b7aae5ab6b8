/**
 * Discord, webhook of a channel. A trigger is a new message; what follows edits it in place. `wait=true`, because without
 * it Discord does not say whether the message was kept, nor its id.
 */
import * as v from "valibot"
import type { Notification, RequestContext } from "../notification.ts"
import { retryAfterSecondsMs } from "../retry-after.ts"
import { detailOf, type Escape, factsOf, headline, isoTime, symbolOf, truncated } from "../text.ts"
import { jsonPost, nameSetting, type ReceiverKind, textSetting, urlSetting } from "./kind.ts"
import { bodyAs, delivered, reasonOf } from "./outcome.ts"

export const discordSchema = v.strictObject({
  name: nameSetting,
  kind: v.literal("discord"),
  /** `https://discord.com/api/webhooks/ID/TOKEN`: whoever knows it may post. */
  url: urlSetting,
  thread_id: v.optional(v.pipe(textSetting, v.regex(/^[0-9]{1,20}$/, "not a thread's id"))),
})

type Settings = v.InferOutput<typeof discordSchema>

/** Characters, published; `embed` is what all texts of the embeds may have together. */
export const discordLimits = {
  content: 2_000,
  title: 256,
  description: 4_096,
  fields: 25,
  name: 256,
  value: 1_024,
  embed: 6_000,
} as const
/** Such that title, description and ten fields stay below `embed`. */
const descriptionMax = 2_400
const valueMax = 250

const answerSchema = v.object({ id: v.optional(v.string()) })
const rateSchema = v.object({ retry_after: v.number() })
const faultSchema = v.object({ code: v.number() })
/** "Unknown Message", against "Unknown Webhook": somebody deleted the message, the webhook works. */
const unknownMessage = 10_008

export const discord: ReceiverKind<Settings> = {
  traits: { lane: "chat", perMinute: 25, burst: 4, mute: {}, reminderEvery: undefined },
  secrets: ["url"],
  address: ({ url }) => url,
  request({ url, thread_id }, notification, context) {
    const { reference } = context
    const target = new URL(url)
    if (thread_id !== undefined) target.searchParams.set("thread_id", thread_id)
    const body = JSON.stringify(messageOf(notification, context))
    if (notification.action === "trigger" || reference === undefined) {
      target.searchParams.set("wait", "true")
      return jsonPost(target.href, body)
    }
    target.pathname = `${target.pathname.replace(/\/$/, "")}/messages/${encodeURIComponent(reference)}`
    return { ...jsonPost(target.href, body), method: "PATCH" }
  },
  outcome(answer) {
    const { status } = answer
    if (status === 200 || status === 204) return delivered(answer, bodyAs(answer, answerSchema)?.id)
    if (status === 429) {
      const asked = retryAfterSecondsMs(bodyAs(answer, rateSchema)?.retry_after)
      return asked === undefined
        ? undefined
        : { kind: "throttled", reason: reasonOf(answer), retryAfterMs: asked }
    }
    if (status === 404 && bodyAs(answer, faultSchema)?.code === unknownMessage)
      return { kind: "transient", reason: reasonOf(answer), reference: null }
    return undefined
  },
}

function messageOf(notification: Notification, { now, rendering }: RequestContext): object {
  const { link, at } = notification
  const head = `${symbolOf(notification)} ${headline(notification)}`
  // Names are never mentions, whatever they are made of.
  const message = { allowed_mentions: { parse: [] } }
  if (rendering === "minimal") {
    const lines = [
      truncated(head, discordLimits.content / 2, markdownEscape),
      ...(link === undefined ? [] : [link]),
    ]
    return { ...message, content: truncated(lines.join("\n"), discordLimits.content), embeds: [] }
  }
  const description = truncated(detailOf(notification, 20), descriptionMax, markdownEscape)
  const embed = {
    title: truncated(head, discordLimits.title, markdownEscape),
    ...(description === "" ? {} : { description }),
    ...(link === undefined ? {} : { url: link }),
    color: colourOf(notification),
    timestamp: isoTime(at),
    fields: factsOf(notification, now).map(({ name, value }) => {
      return { name, value: truncated(value, valueMax, markdownEscape), inline: true }
    }),
  }
  return { ...message, content: "", embeds: [embed] }
}

const markdownEscape: Escape = (character) =>
  /[\\*_~|`>[\]()#<@]/.test(character) ? `\\${character}` : character

/** Red, orange, blue, green. */
function colourOf({ action, incidents: [lead] }: Notification): number {
  if (action === "resolve") return 0x2eb67d
  if (lead.severity === "critical") return 0xe01e5a
  return lead.severity === "warning" ? 0xecb22e : 0x36c5f0
}
