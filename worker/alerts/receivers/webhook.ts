/**
 * Generic webhook, signed as Standard Webhooks 1.0.0. `webhook-id` is the same on every attempt and the timestamp is the
 * attempt's. What a consumer needs to act on stands in `data`; the lead's fields stand there, the group in `incidents`.
 */
import * as v from "valibot"
import type { Notification, NotificationAction, NotifiedIncident, RequestContext } from "../notification.ts"
import { isWebhookSecret, webhookHeaders } from "../standard-webhooks.ts"
import { fitting, headline, isoTime, truncated } from "../text.ts"
import { jsonPost, nameSetting, type ReceiverKind, textSetting, urlSetting } from "./kind.ts"

const secretSchema = v.pipe(
  textSetting,
  v.check(isWebhookSecret, "not a Standard Webhooks secret (whsec_... or whsk_...)"),
)

export const webhookSchema = v.strictObject({
  name: nameSetting,
  kind: v.literal("webhook"),
  url: urlSetting,
  /** `whsec_`: shared, signs as v1. `whsk_`: Ed25519, signs as v1a. */
  secret: secretSchema,
  /** The former secret, while consumers change: both sign. */
  previous_secret: v.optional(secretSchema),
})

type Settings = v.InferOutput<typeof webhookSchema>

/** Bytes, as the specification advises. */
export const webhookLimits = { body: 20_000 } as const
const detailMax = 2_048
const textMax = 512

export const webhook: ReceiverKind<Settings> = {
  traits: { lane: "webhook", perMinute: 120, burst: 20, mute: {}, reminderEvery: undefined },
  // Many services put their credential into the path.
  secrets: ["url", "secret", "previous_secret"],
  address: ({ url }) => url,
  async request({ url, secret, previous_secret }, notification, context) {
    const body = bodyOf(notification, context)
    const content = {
      id: notification.id.replaceAll(".", "_"),
      timestamp: Math.floor(context.now / 1_000),
      body,
    }
    const secrets = previous_secret === undefined ? [secret] : [secret, previous_secret]
    return jsonPost(url, body, await webhookHeaders(content, secrets))
  },
}

function bodyOf(notification: Notification, { rendering }: RequestContext): string {
  const { incidents, action, at } = notification
  const body = (listed: number) => () =>
    JSON.stringify({
      type: typeOf(action),
      timestamp: isoTime(at),
      data: dataOf(notification, incidents.slice(0, listed)),
    })
  return rendering === "minimal" ? body(1)() : fitting([body(50), body(10), body(1)], webhookLimits.body)
}

function typeOf(action: NotificationAction): string {
  switch (action) {
    case "trigger":
      return "incident.opened"
    case "update":
      return "incident.updated"
    case "acknowledge":
      return "incident.acknowledged"
    case "resolve":
      return "incident.resolved"
  }
}

function dataOf(notification: Notification, incidents: readonly NotifiedIncident[]): object {
  const { cluster, dedupKey, omitted, repeat, escalation, link, test } = notification
  return {
    ...incidentOf(notification.incidents[0]),
    cluster,
    headline: truncated(headline(notification), textMax),
    dedup_key: dedupKey,
    repeat,
    escalation,
    test,
    ...(link === undefined ? {} : { link }),
    incidents: incidents.map(incidentOf),
    omitted: omitted + notification.incidents.length - incidents.length,
  }
}

function incidentOf(incident: NotifiedIncident): object {
  const { id, phase, kind, severity, subject, title, detail, site, node } = incident
  const { openedAt, resolvedAt, acknowledgedBy } = incident
  return {
    id,
    phase,
    kind,
    severity,
    subject: truncated(subject, textMax),
    title: truncated(title, textMax),
    detail: truncated(detail, detailMax),
    site: given(site),
    node: given(node),
    opened_at: isoTime(openedAt),
    resolved_at: resolvedAt === undefined ? undefined : isoTime(resolvedAt),
    acknowledged_by: given(acknowledgedBy),
  }
}

function given(text: string | undefined): string | undefined {
  return text === undefined ? undefined : truncated(text, textMax)
}
