/**
 * ntfy, published as JSON to the server's root. A trigger is a message of its own, each time: it must ring. What follows
 * names its id as the sequence id: servers from 2.16 on replace the notification without a sound, older ones show another.
 */
import * as v from "valibot"
import type { Notification, RequestContext } from "../notification.ts"
import { detailOf, factsOf, fitting, headline, truncatedBytes } from "../text.ts"
import {
  joined,
  jsonPost,
  nameSetting,
  type ReceiverKind,
  secretSetting,
  textSetting,
  urlSetting,
} from "./kind.ts"
import { bodyAs, delivered } from "./outcome.ts"

export const ntfySchema = v.strictObject({
  name: nameSetting,
  kind: v.literal("ntfy"),
  /** On a public server the topic is the password. */
  topic: v.pipe(textSetting, v.regex(/^[A-Za-z0-9_-]{1,64}$/, "not a topic's name")),
  token: v.optional(secretSetting(8, 256)),
  url: v.optional(urlSetting, "https://ntfy.sh"),
})

type Settings = v.InferOutput<typeof ntfySchema>

/** Bytes; a longer message would become an attachment. The title is ours to bound. */
export const ntfyLimits = { message: 4_096, title: 250 } as const
const bodyMax = 8_192
const messageMax = 3_500
const linkMax = 2_048
/** The sequence is named after its first message. */
const answerSchema = v.object({ id: v.string(), sequence_id: v.optional(v.string()) })

export const ntfy: ReceiverKind<Settings> = {
  // A visitor has 60 at once, then one every 5 s; a storm must leave something for what follows.
  traits: { lane: "chat", perMinute: 12, burst: 20, mute: {}, reminderEvery: undefined },
  secrets: ["topic", "token"],
  address: ({ url }) => url,
  request({ url, topic, token }, notification, context) {
    const body = (listed: number | undefined) => () =>
      JSON.stringify({ topic, ...messageOf(notification, context, listed) })
    const text =
      context.rendering === "minimal"
        ? body(undefined)()
        : fitting([body(20), body(5), body(0), body(undefined)], bodyMax)
    return jsonPost(joined(url, ""), text, token === undefined ? {} : { authorization: `Bearer ${token}` })
  },
  outcome(answer) {
    const sent = answer.status === 200 ? bodyAs(answer, answerSchema) : undefined
    return sent && delivered(answer, sent.sequence_id || sent.id)
  },
}

function messageOf(
  notification: Notification,
  { now, reference }: RequestContext,
  listed: number | undefined,
): object {
  const { link, action } = notification
  const facts =
    listed === undefined ? [] : factsOf(notification, now).map(({ name, value }) => `${name}: ${value}`)
  const detail = listed === undefined ? "" : detailOf(notification, listed)
  const lines = [headline(notification), detail, ...facts].filter((line) => line !== "")
  return {
    title: truncatedBytes(headline(notification), ntfyLimits.title),
    message: truncatedBytes(lines.join("\n"), messageMax),
    priority: priorityOf(notification),
    tags: [tagOf(notification)],
    ...(action === "trigger" || reference === undefined ? {} : { sequence_id: reference }),
    ...(link === undefined || link.length > linkMax ? {} : { click: link }),
  }
}

/** 5 rings through "do not disturb", 2 makes no sound. */
function priorityOf({ action, incidents: [lead] }: Notification): number {
  if (action === "acknowledge") return 2
  if (action === "resolve") return 3
  return lead.severity === "critical" ? 5 : lead.severity === "warning" ? 4 : 3
}

/** Names of symbols, which ntfy shows before the title. */
function tagOf({ action, incidents: [lead] }: Notification): string {
  if (action === "resolve") return "white_check_mark"
  if (action === "acknowledge") return "eyes"
  return lead.severity === "critical" ? "rotating_light" : "warning"
}
