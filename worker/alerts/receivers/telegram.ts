/**
 * Telegram, Bot API. A trigger is a new message; what follows edits it in place. The reference is `chat/message`, since a
 * group that grows gets another id: Telegram says which, and it is used from the next attempt on.
 */
import * as v from "valibot"
import type { Notification, RequestContext } from "../notification.ts"
import { retryAfterSecondsMs } from "../retry-after.ts"
import { detailOf, entityEscape, factsOf, headline, symbolOf, truncated } from "../text.ts"
import { joined, jsonPost, nameSetting, type ReceiverKind, textSetting, urlSetting } from "./kind.ts"
import { bodyAs, delivered, reasonOf } from "./outcome.ts"

export const telegramSchema = v.strictObject({
  name: nameSetting,
  kind: v.literal("telegram"),
  /** From @BotFather: `123456:ABC-DEF...` */
  token: v.pipe(textSetting, v.regex(/^[0-9]{3,20}:[A-Za-z0-9_-]{20,64}$/, "not a bot's token")),
  chat_id: v.pipe(textSetting, v.regex(/^(-?[0-9]{1,20}|@[A-Za-z0-9_]{3,64})$/, "not a chat's id")),
  thread_id: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
  url: v.optional(urlSetting, "https://api.telegram.org"),
})

type Settings = v.InferOutput<typeof telegramSchema>

/** Characters; published for the text without its tags and entities, kept here with them. */
export const telegramLimits = { text: 4_096 } as const
/** Such that all parts together stay below it. */
const headMax = 600
const detailMax = 1_400
const factMax = 100
const linkMax = 600

const sentSchema = v.object({
  ok: v.literal(true),
  result: v.object({ message_id: v.number(), chat: v.object({ id: v.number() }) }),
})
const faultSchema = v.object({
  ok: v.literal(false),
  description: v.optional(v.string(), ""),
  parameters: v.optional(
    v.object({ retry_after: v.optional(v.number()), migrate_to_chat_id: v.optional(v.number()) }),
  ),
})

export const telegram: ReceiverKind<Settings> = {
  traits: { lane: "chat", perMinute: 18, burst: 3, mute: {}, reminderEvery: undefined },
  secrets: ["token"],
  address: ({ url }) => url,
  request({ url, token, chat_id, thread_id }, notification, context) {
    const [chat = "", message = ""] = (context.reference ?? "").split("/")
    const edits = notification.action !== "trigger" && message !== ""
    const text = {
      chat_id: chat === "" ? chat_id : chat,
      text: textOf(notification, context),
      parse_mode: "HTML",
      link_preview_options: { is_disabled: true },
    }
    const body = edits
      ? { ...text, message_id: Number(message) }
      : { ...text, ...(thread_id === undefined ? {} : { message_thread_id: thread_id }) }
    const method = edits ? "editMessageText" : "sendMessage"
    return jsonPost(joined(url, `bot${token}/${method}`), JSON.stringify(body))
  },
  outcome(answer) {
    const sent = bodyAs(answer, sentSchema)
    if (answer.status === 200) {
      return sent === undefined
        ? { kind: "transient", reason: "status 200, but the body is not Telegram's" }
        : delivered(answer, `${sent.result.chat.id}/${sent.result.message_id}`)
    }
    const fault = bodyAs(answer, faultSchema)
    if (fault === undefined) return undefined
    const { description, parameters } = fault
    const reason = reasonOf(answer)
    if (parameters?.migrate_to_chat_id !== undefined) {
      const chat = parameters.migrate_to_chat_id
      return {
        kind: "transient",
        reason: `the group is chat ${chat} now: correct chat_id`,
        reference: `${chat}/`,
      }
    }
    const asked = retryAfterSecondsMs(parameters?.retry_after)
    if (asked !== undefined) return { kind: "throttled", reason, retryAfterMs: asked }
    if (/message is not modified/.test(description)) return delivered(answer)
    if (/message (to edit not found|can't be edited)/i.test(description))
      return { kind: "transient", reason, reference: null }
    if (/chat not found|^Forbidden|^Unauthorized/.test(description))
      return { kind: "endpoint-rejected", reason, gone: false }
    return undefined
  },
}

/** Every part is escaped and cut before the tags are put around it. */
function textOf(notification: Notification, { now, rendering }: RequestContext): string {
  const { link } = notification
  const head = `<b>${truncated(`${symbolOf(notification)} ${headline(notification)}`, headMax, entityEscape)}</b>`
  const escaped = Array.from(link ?? "", entityEscape).join("")
  // Half a link leads nowhere.
  const shown = escaped.length > linkMax ? "" : escaped
  if (rendering === "minimal") return [head, shown].filter((line) => line !== "").join("\n")
  const detail = truncated(detailOf(notification, 20), detailMax, entityEscape)
  const facts = factsOf(notification, now).map(
    ({ name, value }) => `${name}: ${truncated(value, factMax, entityEscape)}`,
  )
  return [head, detail, facts.join("\n"), shown].filter((part) => part !== "").join("\n\n")
}
