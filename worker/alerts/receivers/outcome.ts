/**
 * What an answer means where the service has no words of its own for it. One stray 404 of a proxy must not silence a
 * receiver, so only 410 is final; and no redirect is followed: its target was never checked.
 */
import * as v from "valibot"
import type { WallTime } from "../../../protocol/units.ts"
import type { HttpAnswer, Outcome } from "../notification.ts"
import { retryAfterMs } from "../retry-after.ts"
import { oneLine, truncated } from "../text.ts"
import type { Answered } from "./kind.ts"

const statusesOfTheMessage = [400, 413, 415, 422]
const statusesOfTheMoment = [408, 425]
const excerptMax = 160

export function usualOutcome(answer: HttpAnswer, now: WallTime): Outcome {
  if (answer.kind === "failed") {
    return { kind: "transient", reason: truncated(oneLine(answer.reason), excerptMax) }
  }
  const { status, headers } = answer
  const reason = reasonOf(answer)
  if (status >= 200 && status < 300) return delivered(answer)
  if (status >= 300 && status < 400)
    return { kind: "endpoint-rejected", reason: movedReason(answer), gone: false }
  const asked = retryAfterMs(headers["retry-after"], now)
  if (status === 429 || (status === 503 && asked !== undefined))
    return { kind: "throttled", reason, retryAfterMs: asked }
  if (status >= 500 || status < 200 || statusesOfTheMoment.includes(status))
    return { kind: "transient", reason }
  if (statusesOfTheMessage.includes(status)) return { kind: "message-rejected", reason }
  return { kind: "endpoint-rejected", reason, gone: status === 410 }
}

export function delivered(answer: Answered, reference?: string): Outcome {
  return { kind: "delivered", reason: reasonOf(answer), reference }
}

/** The status and how a refusal's body begins, in one line. */
export function reasonOf({ status, body }: Answered): string {
  const excerpt = status >= 200 && status < 300 ? "" : truncated(oneLine(body), excerptMax)
  return excerpt === "" ? `status ${status}` : `status ${status}: ${excerpt}`
}

/** The body as this shape; `undefined` if it is anything else. Never throws: bodies are whatever a stranger sent. */
export function bodyAs<Schema extends v.GenericSchema>(
  { body }: Answered,
  schema: Schema,
): v.InferOutput<Schema> | undefined {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    // A proxy's page, a cut text, nothing at all.
    return undefined
  }
  const parsed = v.safeParse(schema, value)
  return parsed.success ? parsed.output : undefined
}

function movedReason({ status, headers }: Answered): string {
  const { location } = headers
  const host = location !== undefined && URL.canParse(location) ? new URL(location).host : "another place"
  return `status ${status}: a redirect to ${truncated(oneLine(host), excerptMax)} is not followed; correct the URL`
}
