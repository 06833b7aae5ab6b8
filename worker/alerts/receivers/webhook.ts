/**
 * Generic webhook, signed as Standard Webhooks 1.0.0 with a symmetric secret (`v1`, HMAC-SHA256). Pure but for WebCrypto:
 * a notification in, the HTTP request out. `webhook-id` is the same on every attempt, the timestamp is the attempt's.
 */
import type { ReportedEvent } from "../../../protocol/summaries.ts"
import type { WallTime } from "../../../protocol/units.ts"
import type { HttpRequest } from "../notification.ts"

/** One event for one receiver. */
export interface Notification {
  readonly cluster: string
  readonly receiver: string
  readonly event: ReportedEvent
}

/** The request to send at `now`. `secret` is `whsec_` and the base64 of its bytes; it was checked when it was stored. */
export async function webhookRequest(
  notification: Notification,
  secret: string,
  now: WallTime,
): Promise<Omit<HttpRequest, "url">> {
  const id = webhookId(notification)
  const timestamp = Math.floor(now / 1_000)
  const body = webhookBody(notification)
  const signature = await signatureV1(secret, `${id}.${timestamp}.${body}`)
  return {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": String(timestamp),
      "webhook-signature": signature,
    },
    body,
  }
}

/** `v1,<base64>` over the signed content. */
export async function signatureV1(secret: string, content: string): Promise<string> {
  const raw = Uint8Array.from(atob(secret.replace(/^whsec_/, "")), (character) => character.charCodeAt(0))
  const key = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"])
  const mac = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(content))
  return `v1,${btoa(String.fromCharCode(...new Uint8Array(mac)))}`
}

/** One id for each event and receiver. The signed content is split at dots, so the id has none. */
function webhookId({ cluster, receiver, event }: Notification): string {
  return `${cluster}:${receiver}:${event.id}`.replaceAll(".", "_")
}

function webhookBody({ cluster, event }: Notification): string {
  return JSON.stringify({
    type: `quorumbeat.${event.kind.replaceAll("-", "_")}`,
    timestamp: new Date(event.at).toISOString(),
    data: {
      cluster,
      id: event.id,
      kind: event.kind,
      subject: event.subject,
      severity: event.severity,
      detail: event.detail,
    },
  })
}
