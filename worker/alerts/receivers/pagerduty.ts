/**
 * PagerDuty, Events API v2: one alert for each dedup key, which trigger, acknowledge and resolve name. An acknowledge or
 * resolve of an alert that is not open is dropped there, without an error.
 */
import * as v from "valibot"
import type { Notification, RequestContext } from "../notification.ts"
import { detailOf, factsOf, fitting, headline, isoTime, oneLine, truncated } from "../text.ts"
import { joined, jsonPost, nameSetting, type ReceiverKind, textSetting, urlSetting } from "./kind.ts"
import { bodyAs, delivered, reasonOf } from "./outcome.ts"

export const pagerdutySchema = v.strictObject({
  name: nameSetting,
  kind: v.literal("pagerduty"),
  /** Of an "Events API v2" integration. */
  routing_key: v.pipe(textSetting, v.regex(/^[A-Za-z0-9]{32}$/, "not a routing key: 32 letters and digits")),
  /** Another one in the EU: https://events.eu.pagerduty.com */
  url: v.optional(urlSetting, "https://events.pagerduty.com"),
})

type Settings = v.InferOutput<typeof pagerdutySchema>

/** Published limits: characters of the summary, bytes of the whole. */
export const pagerdutyLimits = { summary: 1_024, body: 512_000 } as const
/** Not published; source, group and class show on one line there. */
const fieldMax = 255
const detailMax = 16_384
const answerSchema = v.object({ dedup_key: v.optional(v.string()), errors: v.optional(v.array(v.string())) })

export const pagerduty: ReceiverKind<Settings> = {
  traits: { lane: "paging", perMinute: 100, burst: 20, mute: {}, reminderEvery: undefined },
  secrets: ["routing_key"],
  address: ({ url }) => url,
  request({ url, routing_key }, notification, context) {
    const { action, dedupKey } = notification
    const event = { routing_key, dedup_key: dedupKey }
    const address = joined(url, "v2/enqueue")
    if (action === "acknowledge" || action === "resolve") {
      return jsonPost(address, JSON.stringify({ ...event, event_action: action }))
    }
    const body = (listed: number) => () =>
      JSON.stringify({ ...event, event_action: "trigger", ...triggered(notification, context, listed) })
    return jsonPost(address, fitting([body(50), body(0)], pagerdutyLimits.body))
  },
  outcome(answer) {
    const said = bodyAs(answer, answerSchema)
    if (answer.status === 202) return delivered(answer, said?.dedup_key)
    if (answer.status !== 400) return undefined
    // A wrong key comes as a bad message; no plainer message will help it.
    const isKey = said?.errors?.some((error) => /routing[_ ]key/i.test(error)) ?? false
    return isKey ? { kind: "endpoint-rejected", reason: reasonOf(answer), gone: false } : undefined
  },
}

function triggered(notification: Notification, { now, rendering }: RequestContext, listed: number): object {
  const { incidents, cluster, link } = notification
  const [lead] = incidents
  const payload = {
    summary: truncated(headline(notification), pagerdutyLimits.summary),
    source: truncated(oneLine(lead.node ?? lead.site ?? lead.subject), fieldMax) || cluster,
    severity: lead.severity,
    timestamp: isoTime(lead.openedAt),
    component: truncated(oneLine(lead.subject), fieldMax),
    group: cluster,
    class: lead.kind,
  }
  const details = Object.fromEntries(factsOf(notification, now).map(({ name, value }) => [name, value]))
  return {
    payload:
      rendering === "minimal"
        ? payload
        : {
            ...payload,
            custom_details: { ...details, Detail: truncated(detailOf(notification, listed), detailMax) },
          },
    client: "Quorumbeat",
    ...(link === undefined ? {} : { client_url: link, links: [{ href: link, text: "Incident" }] }),
  }
}
