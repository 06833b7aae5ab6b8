/**
 * What follows from one attempt to deliver a notification: done, try again at a time, or give up. Pure; the outbox in
 * `cluster.ts` keeps the result in the notification's row. At least once: the receiver knows repeats by `webhook-id`.
 */
import type { WallTime } from "../../protocol/units.ts"
import { wallTime } from "../../protocol/units.ts"

/** What the receiver answered, or that it did not. */
export type Attempt =
  | { readonly kind: "answered"; readonly status: number; readonly retryAfter: string | null }
  | { readonly kind: "failed"; readonly reason: string }

export type Disposition =
  | { readonly kind: "delivered" }
  | { readonly kind: "again"; readonly at: WallTime; readonly reason: string }
  | { readonly kind: "dead"; readonly reason: string }

/**
 * Seconds between attempts, each +-20 %; then the letter is dead. Standard Webhooks' example schedule with two short
 * delays put in front: news of a cluster is worth most in its first minutes. About 33 hours in all.
 */
export const retryDelaysSeconds = [5, 20, 60, 300, 1_800, 7_200, 18_000, 36_000, 57_600] as const
const jitter = 0.2
/** A receiver may ask for more patience, within reason. */
const retryAfterMaxSeconds = 3_600
/** Answers that no repetition of the same body will change; one more attempt, since proxies say such things too. */
const rejections = [400, 413, 415, 422]

/** `attempts` counts this one; `chance` is in [0, 1). */
export function dispose(
  attempt: Attempt,
  { attempts, now, chance }: { readonly attempts: number; readonly now: WallTime; readonly chance: number },
): Disposition {
  if (attempt.kind === "answered" && attempt.status >= 200 && attempt.status < 300)
    return { kind: "delivered" }
  const reason = attempt.kind === "answered" ? `status ${attempt.status}` : attempt.reason
  if (attempt.kind === "answered" && attempt.status === 410) return { kind: "dead", reason }
  if (attempt.kind === "answered" && rejections.includes(attempt.status) && attempts > 1)
    return { kind: "dead", reason }
  const delay = retryDelaysSeconds[attempts - 1]
  if (delay === undefined) return { kind: "dead", reason }
  const spread = delay * (1 - jitter + 2 * jitter * chance)
  const asked = attempt.kind === "answered" ? retryAfterSeconds(attempt.retryAfter, now) : 0
  return { kind: "again", at: wallTime(Math.ceil(now + Math.max(spread, asked) * 1_000)), reason }
}

/** Seconds, whole or not, or an HTTP date; anything else counts as absent. */
export function retryAfterSeconds(header: string | null, now: WallTime): number {
  if (header === null || header.trim() === "") return 0
  const seconds = /^[0-9]+(\.[0-9]+)?$/.test(header.trim())
    ? Number(header)
    : (Date.parse(header) - now) / 1_000
  if (!Number.isFinite(seconds)) return 0
  return Math.min(Math.max(seconds, 0), retryAfterMaxSeconds)
}
