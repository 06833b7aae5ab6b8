/**
 * Opsgenie's Alert API, which Jira Service Management Operations speaks too under another address. Alerts are known by
 * their alias. Answers are 202: what comes of a request is decided later, so an unknown alias is no error here.
 */
import * as v from "valibot"
import type { Severity } from "../../../protocol/summaries.ts"
import { detailOf, factsOf, fitting, headline, oneLine, truncated } from "../text.ts"
import { joined, jsonPost, nameSetting, type ReceiverKind, secretSetting, urlSetting } from "./kind.ts"
import { bodyAs, delivered } from "./outcome.ts"

export const opsgenieSchema = v.strictObject({
  name: nameSetting,
  kind: v.literal("opsgenie"),
  /** Of an API integration, not an API token. */
  api_key: secretSetting(8, 255),
  /** EU: https://api.eu.opsgenie.com; JSM Operations: https://api.atlassian.com/jsm/ops/integration */
  url: v.optional(urlSetting, "https://api.opsgenie.com"),
})

type Settings = v.InferOutput<typeof opsgenieSchema>

/** Published limits in characters. */
export const opsgenieLimits = {
  message: 130,
  alias: 512,
  description: 15_000,
  entity: 512,
  source: 100,
  tags: 20,
  tag: 50,
  details: 8_000,
  note: 25_000,
  user: 100,
} as const
const bodyMax = 100_000
const detailMax = 512
const answerSchema = v.object({ requestId: v.string() })

export const opsgenie: ReceiverKind<Settings> = {
  traits: { lane: "paging", perMinute: 60, burst: 10, mute: {}, reminderEvery: undefined },
  secrets: ["api_key"],
  address: ({ url }) => url,
  request({ url, api_key }, notification, { now, rendering }) {
    const { action, dedupKey, incidents, cluster, link } = notification
    const [lead] = incidents
    const headers = { authorization: `GenieKey ${api_key}` }
    const source = truncated(`Quorumbeat ${cluster}`, opsgenieLimits.source)
    if (action === "acknowledge" || action === "resolve") {
      const verb = action === "resolve" ? "close" : "acknowledge"
      const by = lead.acknowledgedBy
      const body = {
        source,
        note: truncated(headline(notification), opsgenieLimits.note),
        ...(by === undefined ? {} : { user: truncated(oneLine(by), opsgenieLimits.user) }),
      }
      const path = `v2/alerts/${encodeURIComponent(dedupKey)}/${verb}?identifierType=alias`
      return jsonPost(joined(url, path), JSON.stringify(body), headers)
    }
    const alert = {
      message: truncated(headline(notification), opsgenieLimits.message),
      alias: dedupKey,
      priority: priorityOf(lead.severity),
      source,
      entity: truncated(oneLine(lead.subject), opsgenieLimits.entity),
    }
    const text = link === undefined ? headline(notification) : `${headline(notification)}\n${link}`
    const fuller = (listed: number) => () =>
      JSON.stringify({
        ...alert,
        description: truncated(
          `${text}\n\n${detailOf(notification, listed)}`.trim(),
          opsgenieLimits.description,
        ),
        tags: [cluster, lead.kind, lead.severity].map((tag) => truncated(tag, opsgenieLimits.tag)),
        details: Object.fromEntries(
          factsOf(notification, now).map(({ name, value }) => [name, truncated(value, detailMax)]),
        ),
      })
    const plain = () => JSON.stringify({ ...alert, description: truncated(text, opsgenieLimits.description) })
    const body = rendering === "minimal" ? plain() : fitting([fuller(50), fuller(0)], bodyMax)
    return jsonPost(joined(url, "v2/alerts"), body, headers)
  },
  outcome(answer) {
    return answer.status === 202 ? delivered(answer, bodyAs(answer, answerSchema)?.requestId) : undefined
  },
}

function priorityOf(severity: Severity): "P1" | "P3" | "P5" {
  return severity === "critical" ? "P1" : severity === "warning" ? "P3" : "P5"
}
