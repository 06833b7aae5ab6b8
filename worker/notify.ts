/** Sends one notification over HTTP. The only place where the witness reaches out; what came of it is a value. */

import { never } from "../protocol/assert.ts"
import type { WallTime } from "../protocol/units.ts"
import type { Attempt } from "./alerts/delivery.ts"
import { type Notification, webhookRequest } from "./alerts/receivers/webhook.ts"
import { type TargetPolicy, webhookTarget } from "./alerts/target.ts"
import type { Receiver } from "./configuration.ts"

/** A slow receiver should fail over to its next attempt; five at once stay far below an alarm's minute. */
const timeoutMs = 10_000

/** One attempt at `now`. Redirects are not followed: they would lead around the check of the target. */
export async function sendNotification(
  notification: Notification,
  receiver: Receiver,
  { policy, now }: { readonly policy: TargetPolicy; readonly now: WallTime },
): Promise<Attempt> {
  const target = webhookTarget(receiver.url, policy)
  if (target.kind === "error") return { kind: "failed", reason: target.error }
  try {
    const { method, headers, body } = await requestFor(notification, receiver, now)
    const response = await fetch(target.value, {
      method,
      headers,
      body,
      redirect: "manual",
      signal: AbortSignal.timeout(timeoutMs),
    })
    await response.body?.cancel()
    return { kind: "answered", status: response.status, retryAfter: response.headers.get("retry-after") }
  } catch (error) {
    // No name, no route, no TLS, no answer in time: all of them are "try again later".
    return { kind: "failed", reason: error instanceof Error ? error.message.slice(0, 200) : "failed" }
  }
}

function requestFor(
  notification: Notification,
  receiver: Receiver,
  now: WallTime,
): ReturnType<typeof webhookRequest> {
  switch (receiver.kind) {
    case "webhook":
      return webhookRequest(notification, receiver.secret, now)
    default:
      return never(receiver.kind)
  }
}
