/**
 * Slack, incoming webhook. Messages cannot be edited or taken back, so every action is a message of its own. Slack says
 * with words what it thinks of a message, under statuses that changed over the years: the word counts first.
 */
import * as v from "valibot"
import type { Notification, RequestContext } from "../notification.ts"
import { retryAfterSecondsMs } from "../retry-after.ts"
import { detailOf, entityEscape, factsOf, headline, symbolOf, truncated } from "../text.ts"
import { jsonPost, nameSetting, type ReceiverKind, urlSetting } from "./kind.ts"
import { bodyAs, delivered, reasonOf } from "./outcome.ts"

export const slackSchema = v.strictObject({
  name: nameSetting,
  kind: v.literal("slack"),
  /** Whoever knows it may post: the whole URL is the secret. */
  url: urlSetting,
})

type Settings = v.InferOutput<typeof slackSchema>

/** Characters of Block Kit's parts, published. `text` may be longer, but is meant for one glance. */
export const slackLimits = {
  text: 3_000,
  header: 150,
  section: 3_000,
  field: 2_000,
  fields: 10,
  url: 3_000,
} as const

const endpointWords = [
  ...["invalid_token", "action_prohibited", "posting_to_general_channel_denied", "team_disabled"],
  ...["channel_not_found", "no_service", "no_active_hooks", "no_team"],
]
const messageWords = [
  "invalid_payload",
  "invalid_blocks",
  "user_not_found",
  "no_text",
  "too_many_attachments",
]
const rateSchema = v.object({ retry_after: v.optional(v.number()), error: v.optional(v.string()) })

export const slack: ReceiverKind<Settings> = {
  traits: { lane: "chat", perMinute: 60, burst: 3, mute: {}, reminderEvery: undefined },
  secrets: ["url"],
  address: ({ url }) => url,
  request: ({ url }, notification, context) =>
    jsonPost(url, JSON.stringify(messageOf(notification, context))),
  outcome(answer) {
    const { status, body } = answer
    const word = body.trim()
    const reason = reasonOf(answer)
    if (status === 429 || bodyAs(answer, rateSchema)?.error === "rate_limited") {
      const asked = retryAfterSecondsMs(bodyAs(answer, rateSchema)?.retry_after)
      return asked === undefined ? undefined : { kind: "throttled", reason, retryAfterMs: asked }
    }
    if (word === "channel_is_archived") return { kind: "endpoint-rejected", reason, gone: true }
    if (endpointWords.includes(word)) return { kind: "endpoint-rejected", reason, gone: false }
    if (messageWords.includes(word)) return { kind: "message-rejected", reason }
    if (status !== 200) return undefined
    return word === "ok"
      ? delivered(answer)
      : { kind: "transient", reason: "status 200, but the body is not Slack's" }
  },
}

function messageOf(notification: Notification, { now, rendering }: RequestContext): object {
  const { link } = notification
  const head = `${symbolOf(notification)} ${headline(notification)}`
  const text = truncated(head, slackLimits.text, entityEscape)
  const isLinkable = link !== undefined && link.length <= slackLimits.url
  if (rendering === "minimal") return { text: isLinkable ? `${text}\n${link}` : text }
  const detail = truncated(detailOf(notification, 20), slackLimits.section, entityEscape)
  const fields = factsOf(notification, now).slice(0, slackLimits.fields)
  const blocks = [
    {
      type: "header",
      text: { type: "plain_text", text: truncated(head, slackLimits.header, entityEscape), emoji: false },
    },
    {
      type: "section",
      fields: fields.map(({ name, value }) =>
        markdown(`*${name}*\n${truncated(value, slackLimits.field - name.length - 3, entityEscape)}`),
      ),
    },
    ...(detail === "" ? [] : [{ type: "section", text: markdown(detail) }]),
    ...(isLinkable
      ? [
          {
            type: "actions",
            elements: [{ type: "button", text: { type: "plain_text", text: "Open incident" }, url: link }],
          },
        ]
      : []),
  ]
  return { text, blocks }
}

/** `verbatim`: names are not searched for channels, people and links. */
function markdown(text: string): object {
  return { type: "mrkdwn", text, verbatim: true }
}
