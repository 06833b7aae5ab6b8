/** Notifications, receivers and answers for tests. Keys are made up and of the right form. */

import { wallTime } from "../../../../protocol/units.ts"
import type { HttpAnswer, Notification, NotifiedIncident } from "../../../../worker/alerts/notification.ts"
import type { Receiver } from "../../../../worker/alerts/receivers/receiver.ts"

export const now = wallTime(Date.UTC(2040, 0, 1, 12))

export const webhookSecret = "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="

export function incident(changes: Partial<NotifiedIncident> = {}): NotifiedIncident {
  return {
    id: "0123456789abcdef0123456789abcdef",
    phase: "open",
    kind: "site-silent",
    severity: "critical",
    subject: "site south",
    title: "site south is silent",
    detail: "no node of the site has posted for 30 s",
    site: "south",
    node: undefined,
    openedAt: wallTime(now - 40_000),
    resolvedAt: undefined,
    acknowledgedBy: undefined,
    ...changes,
  }
}

export function notification(changes: Partial<Notification> = {}): Notification {
  return {
    id: "n-1",
    action: "trigger",
    cluster: "plant-7",
    receiver: "ops",
    dedupKey: "plant-7:0123456789abcdef0123456789abcdef",
    incidents: [incident()],
    omitted: 0,
    repeat: 0,
    escalation: 0,
    at: wallTime(now - 1_000),
    link: "https://witness.example.com/c/plant-7/incidents/0123456789abcdef",
    test: false,
    ...changes,
  }
}

export function acknowledged(): Notification {
  const lead = incident({ phase: "acknowledged", acknowledgedBy: "anna" })
  return notification({ action: "acknowledge", incidents: [lead] })
}

export function resolved(): Notification {
  const lead = incident({ phase: "resolved", resolvedAt: now })
  return notification({ action: "resolve", incidents: [lead] })
}

/** One of each kind. */
export const receivers = {
  alertmanager: { name: "am", kind: "alertmanager", url: "https://am.example.com/prefix/" },
  "better-stack": {
    name: "bs",
    kind: "better-stack",
    token: "bs-token-12345678",
    requester_email: "ops@example.com",
    url: "https://uptime.betterstack.com",
  },
  discord: {
    name: "dc",
    kind: "discord",
    url: "https://discord.com/api/webhooks/1234567890/tOkEn-of_the-webhook",
  },
  "incident-io": {
    name: "io",
    kind: "incident-io",
    source: "01HX-source",
    token: "io-token-12345678",
    url: "https://api.incident.io",
  },
  ntfy: { name: "nt", kind: "ntfy", topic: "plant-topic", token: "tk_12345678", url: "https://ntfy.sh" },
  opsgenie: { name: "og", kind: "opsgenie", api_key: "og-key-12345678", url: "https://api.opsgenie.com" },
  pagerduty: {
    name: "pd",
    kind: "pagerduty",
    routing_key: "e93facc04764012d7bfb002500d5d1a6",
    url: "https://events.pagerduty.com",
  },
  slack: {
    name: "sl",
    kind: "slack",
    url: "https://hooks.slack.com/services/T0000000/B0000000/sEcReTsEcReT",
  },
  teams: {
    name: "tm",
    kind: "teams",
    url: "https://env.01.environment.api.powerplatform.com:443/powerautomate/workflows/f00/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sig=sEcReT-sIg_nature",
  },
  telegram: {
    name: "tg",
    kind: "telegram",
    token: "123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11",
    chat_id: "-1001234567890",
    url: "https://api.telegram.org",
  },
  webhook: {
    name: "wh",
    kind: "webhook",
    url: "https://hooks.example.com/in/sEcReTpath",
    secret: webhookSecret,
  },
} as const satisfies { readonly [Kind in Receiver["kind"]]: Extract<Receiver, { kind: Kind }> }

export const allReceivers: readonly Receiver[] = Object.values(receivers)

export function answered(
  status: number,
  body = "",
  headers: Readonly<Record<string, string>> = {},
): Extract<HttpAnswer, { kind: "answered" }> {
  return { kind: "answered", status, headers, body }
}
