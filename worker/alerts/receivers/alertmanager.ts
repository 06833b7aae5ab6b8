/**
 * Prometheus Alertmanager, API v2: one alert for each incident, known by its complete label set; what changes over an
 * incident's life stands in annotations. An alert ends by its `endsAt`, so an open one must be told again before. Every
 * Alertmanager of a high-available set is a receiver of its own: they are not to be reached through a load balancer.
 */
import * as v from "valibot"
import { millis, type WallTime, wallTime } from "../../../protocol/units.ts"
import type { Notification, NotifiedIncident, RequestContext } from "../notification.ts"
import { fitting, headline, isoTime, oneLine, truncated } from "../text.ts"
import {
  joined,
  jsonPost,
  nameSetting,
  type ReceiverKind,
  secretSetting,
  textSetting,
  urlSetting,
} from "./kind.ts"

export const alertmanagerSchema = v.pipe(
  v.strictObject({
    name: nameSetting,
    kind: v.literal("alertmanager"),
    /** Its root, or its path prefix. */
    url: urlSetting,
    /** Bearer token, or name and password, for the proxy in front of it. */
    token: v.optional(secretSetting(1, 2_048)),
    username: v.optional(v.pipe(textSetting, v.regex(/^[^:\p{Cc}]{1,255}$/u, "not a user name"))),
    password: v.optional(v.pipe(textSetting, v.regex(/^\P{Cc}{1,255}$/u, "not a password"))),
  }),
  v.check(
    ({ token, username }) => token === undefined || username === undefined,
    "token and username exclude each other",
  ),
  v.check(
    ({ username, password }) => (username === undefined) === (password === undefined),
    "username and password need each other",
  ),
)

type Settings = v.InferOutput<typeof alertmanagerSchema>

/** As its own clients do; four missed reminders are an end. */
const reminderEvery = millis(60_000)
const alertmanagerAliveMs = 240_000
const labelMax = 512
const annotationMax = 2_048
const bodyMax = 512_000

export const alertmanager: ReceiverKind<Settings> = {
  traits: {
    lane: "paging",
    perMinute: 600,
    burst: 20,
    mute: { acknowledge: "Alertmanager has no acknowledgement; silence the alert there" },
    reminderEvery,
  },
  secrets: ["token", "password"],
  address: ({ url }) => url,
  request(settings, notification, context) {
    const body = (listed: number) => () => JSON.stringify(alertsOf(notification, context, listed))
    return jsonPost(
      joined(settings.url, "api/v2/alerts"),
      fitting([body(50), body(1)], bodyMax),
      authorization(settings),
    )
  },
}

function alertsOf(notification: Notification, context: RequestContext, listed: number): readonly object[] {
  return notification.incidents.slice(0, listed).map((incident) => alertOf(notification, incident, context))
}

function alertOf(notification: Notification, incident: NotifiedIncident, context: RequestContext): object {
  const { cluster, action, link } = notification
  const { kind, severity, subject, site, node, id, title, detail, openedAt } = incident
  const { now, rendering } = context
  const labels = { alertname: pascalCase(kind), cluster, severity, subject, site, node, incident: id }
  const annotations = { summary: title, description: rendering === "minimal" ? undefined : detail }
  const isOver = action === "resolve" || incident.phase === "resolved"
  return {
    labels: textsOf(labels, labelMax),
    annotations: textsOf({ ...annotations, headline: headline(notification) }, annotationMax),
    startsAt: isoTime(openedAt),
    endsAt: isoTime(isOver ? overAt(incident, now) : wallTime(now + alertmanagerAliveMs)),
    ...(link === undefined ? {} : { generatorURL: link }),
  }
}

/** Not before it began, which is refused, and not in the future, or it would fire until then. */
function overAt({ openedAt, resolvedAt }: NotifiedIncident, now: WallTime): WallTime {
  return wallTime(Math.max(openedAt, Math.min(resolvedAt ?? now, now)))
}

/** An empty label is no label. */
function textsOf(texts: Readonly<Record<string, string | undefined>>, max: number): Record<string, string> {
  const entries = Object.entries(texts).map(
    ([name, text]) => [name, truncated(oneLine(text ?? ""), max)] as const,
  )
  return Object.fromEntries(entries.filter(([, text]) => text !== ""))
}

function authorization({ token, username, password }: Settings): Readonly<Record<string, string>> {
  if (token !== undefined) return { authorization: `Bearer ${token}` }
  if (username === undefined) return {}
  const bytes = new TextEncoder().encode(`${username}:${password}`)
  return { authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` }
}

/** `site-silent` is `SiteSilent` there. */
function pascalCase(kind: string): string {
  return kind
    .split(/[^A-Za-z0-9]+/)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join("")
}
