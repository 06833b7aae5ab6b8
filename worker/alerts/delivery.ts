/**
 * What follows from one attempt to deliver a notification: done, try again at a time, or give up. Pure; the outbox keeps
 * the result in the notification's row. Three schedules, because news of an outage is worth most in its first minutes, a
 * chat message little after hours, and a program that was down over a weekend wants its webhooks on Monday.
 */
import { never } from "../../protocol/assert.ts"
import type { WallTime } from "../../protocol/units.ts"
import { wallTime } from "../../protocol/units.ts"
import type { Outcome, RequestContext } from "./notification.ts"
import type { Lane } from "./receivers/kind.ts"

type Rendering = RequestContext["rendering"]

export type Disposition =
  | { readonly kind: "delivered"; readonly reason: string; readonly reference: string | undefined }
  | { readonly kind: "again"; readonly at: WallTime; readonly rendering: Rendering; readonly reason: string }
  | { readonly kind: "dead"; readonly reason: string }

export interface AttemptMade {
  readonly lane: Lane
  /** This one included. */
  readonly attempts: number
  readonly firstAt: WallTime
  readonly rendering: Rendering
  readonly now: WallTime
  /** In [0, 1). */
  readonly chance: number
}

interface Schedule {
  /** Between attempts, each +-20 %; the last one repeats until the end. */
  readonly delaysSeconds: readonly number[]
  /** After the first attempt. */
  readonly endSeconds: number
}

const hour = 3_600

export const schedules: Readonly<Record<Lane, Schedule>> = {
  // Every two minutes for the first half hour, then every five.
  paging: {
    delaysSeconds: [2, 5, 10, 20, 40, 60, ...Array.from({ length: 14 }, () => 120), 300],
    endSeconds: 24 * hour,
  },
  chat: { delaysSeconds: [5, 15, 60, 300, 900, 1_800], endSeconds: 6 * hour },
  // The example schedule of Standard Webhooks, about 75 h.
  webhook: {
    delaysSeconds: [5, 300, 1_800, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour],
    endSeconds: 76 * hour,
  },
}

const jitter = 0.2
/** An address that was refused is tried at least this long, whatever the lane: proxies and outages refuse too. */
export const refusedForMs = hour * 1_000
const refusedDelayMs = 300_000

export function dispose(outcome: Outcome, made: AttemptMade): Disposition {
  const { reason } = outcome
  switch (outcome.kind) {
    case "delivered":
      return outcome
    case "throttled":
      return again(made, outcome.retryAfterMs ?? 0, reason)
    case "transient":
      return again(made, 0, reason)
    case "message-rejected":
      if (made.rendering === "minimal") return { kind: "dead", reason }
      return again({ ...made, rendering: "minimal" }, 0, reason)
    case "endpoint-rejected":
      if (outcome.gone || made.now - made.firstAt >= refusedForMs) return { kind: "dead", reason }
      return again(made, made.attempts > 1 ? refusedDelayMs : 0, reason)
    default:
      return never(outcome)
  }
}

function again(made: AttemptMade, atLeastMs: number, reason: string): Disposition {
  const { lane, attempts, firstAt, now, rendering, chance } = made
  const { delaysSeconds, endSeconds } = schedules[lane]
  const delay = delaysSeconds[Math.min(attempts, delaysSeconds.length) - 1] ?? 0
  const at = wallTime(now + Math.max(jittered(delay * 1_000, chance), atLeastMs))
  if (at - firstAt > endSeconds * 1_000) return { kind: "dead", reason }
  return { kind: "again", at, rendering, reason }
}

/** So that what failed together does not come back together. */
export function jittered(milliseconds: number, chance: number): number {
  return Math.ceil(milliseconds * (1 - jitter + 2 * jitter * chance))
}
