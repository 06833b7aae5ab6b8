/**
 * Better Stack (Uptime), incidents API v3. It has no deduplication key: an incident is known by the id that its creation
 * answered, which is our reference. What was never created there is neither acknowledged nor resolved there. A creation
 * whose answer was lost is made again, so a second incident may appear: at least once, not exactly once.
 */
import * as v from "valibot"
import { detailOf, factsOf, fitting, headline, oneLine, truncated } from "../text.ts"
import {
  joined,
  jsonPost,
  nameSetting,
  type ReceiverKind,
  secretSetting,
  textSetting,
  urlSetting,
} from "./kind.ts"
import { bodyAs, delivered, reasonOf } from "./outcome.ts"

export const betterStackSchema = v.strictObject({
  name: nameSetting,
  kind: v.literal("better-stack"),
  token: secretSetting(8, 512),
  /** A user of the team, in whose name incidents are opened. */
  requester_email: v.pipe(textSetting, v.email("not an email address"), v.maxLength(254)),
  /** Escalation policy; the team's default without it. */
  policy_id: v.optional(v.pipe(textSetting, v.regex(/^[0-9]{1,20}$/, "not a policy's id"))),
  url: v.optional(urlSetting, "https://uptime.betterstack.com"),
})

type Settings = v.InferOutput<typeof betterStackSchema>

/** None is published; these keep a screen readable. */
export const betterStackLimits = { name: 255, summary: 1_024, description: 8_192 } as const
const bodyMax = 64_000
const byMax = 255
const answerSchema = v.object({ data: v.object({ id: v.string() }) })

export const betterStack: ReceiverKind<Settings> = {
  traits: {
    lane: "paging",
    perMinute: 60,
    burst: 10,
    mute: { update: "Better Stack takes no updates of an incident" },
    reminderEvery: undefined,
  },
  secrets: ["token"],
  address: ({ url }) => url,
  request({ url, token, requester_email, policy_id }, notification, { now, reference, rendering }) {
    const { action, incidents, link } = notification
    const headers = { authorization: `Bearer ${token}` }
    const incidentsUrl = joined(url, "api/v3/incidents")
    if (action === "acknowledge" || action === "resolve") {
      if (reference === undefined) return undefined
      const by = truncated(oneLine(incidents[0].acknowledgedBy ?? "Quorumbeat"), byMax)
      const body = action === "resolve" ? { resolved_by: by } : { acknowledged_by: by }
      const path = `${encodeURIComponent(reference)}/${action}`
      return jsonPost(joined(incidentsUrl, path), JSON.stringify(body), headers)
    }
    // It has no key: another trigger would be another incident. An open one escalates there by itself.
    if (notification.repeat > 0 && reference !== undefined) return undefined
    const head = headline(notification)
    const incident = {
      requester_email,
      name: truncated(head, betterStackLimits.name),
      summary: truncated(head, betterStackLimits.summary),
      ...(policy_id === undefined ? {} : { policy_id }),
    }
    const facts = factsOf(notification, now).map(({ name, value }) => `${name}: ${value}`)
    const fuller = (listed: number) => () => {
      const lines = [...(link === undefined ? [] : [link]), detailOf(notification, listed), ...facts]
      const description = truncated(lines.join("\n"), betterStackLimits.description)
      return JSON.stringify({ ...incident, description })
    }
    const plain = JSON.stringify(link === undefined ? incident : { ...incident, description: link })
    return jsonPost(
      incidentsUrl,
      rendering === "minimal" ? plain : fitting([fuller(50), fuller(0)], bodyMax),
      headers,
    )
  },
  outcome(answer) {
    if (answer.status === 201) return delivered(answer, bodyAs(answer, answerSchema)?.data.id)
    // Acknowledged or resolved there already: what was wanted is so.
    return answer.status === 409
      ? { kind: "delivered", reason: reasonOf(answer), reference: undefined }
      : undefined
  },
}
