/**
 * How fast one receiver may be told, and whether it is well. Pure; the state is plain data that the outbox stores beside
 * the receiver. It keeps a receiver's trouble its own: while one waits here, the others are delivered.
 *
 *   rate      a bucket of `burst` tokens that fills at `perMinute`; an attempt takes one
 *   pause     the service asked to be left alone (Retry-After): nothing is sent until then
 *   breaker   after failures in a row, whatever the message, only one attempt at a time is let through, less and less
 *             often; the first success closes it. Messages wait meanwhile, and their attempts are not used up.
 *
 * well -> failing: `failuresToOpen` failures in a row; -> broken: failing for `brokenAfterMs`, or gone by the service's own
 * word. A success makes it well again. A rejected message says nothing about its receiver.
 */
import { never } from "../../protocol/assert.ts"
import type { WallTime } from "../../protocol/units.ts"
import { wallTime } from "../../protocol/units.ts"
import { jittered } from "./delivery.ts"
import type { Outcome } from "./notification.ts"
import type { Traits } from "./receivers/kind.ts"

export interface Pace {
  readonly tokens: number
  readonly filledAt: WallTime
  /** 0: not asked to wait. */
  readonly pausedUntil: WallTime
  /** In a row. */
  readonly failures: number
  readonly failingSince: WallTime
  /** When the open breaker lets the next attempt through. */
  readonly trialAt: WallTime
  /** Said by the service: the address is no more. */
  readonly gone: boolean
  readonly reason: string
}

export type Permission =
  | { readonly kind: "now"; readonly pace: Pace }
  | { readonly kind: "later"; readonly at: WallTime; readonly reason: string }

export type Condition =
  | { readonly kind: "well" }
  | { readonly kind: "failing" | "broken"; readonly since: WallTime; readonly reason: string }

const minuteMs = 60_000
/** The breaker opens late enough for a restart of the service, early enough to save an hour of timeouts. */
export const failuresToOpen = 5
/** How long an open breaker waits: doubling, to the longest delay between two attempts to page. */
const trialFirstMs = 15_000
const trialMaxMs = 300_000
/** A trial that was allowed and of which nothing was heard (the sender was restarted) is allowed again after this. */
const trialLostMs = 60_000
/** Throttled without a word for how long. */
const pauseDefaultMs = 30_000
/** One stray refusal, or an hour's outage, is no reason to call a receiver broken. */
export const brokenAfterMs = 3_600_000

/** Of a receiver that nothing is known of: its bucket is full, whatever its size. */
export const freshPace: Pace = {
  tokens: Number.MAX_SAFE_INTEGER,
  filledAt: wallTime(0),
  pausedUntil: wallTime(0),
  failures: 0,
  failingSince: wallTime(0),
  trialAt: wallTime(0),
  gone: false,
  reason: "",
}

/** Whether an attempt may be made at `now`; if so, the pace with the attempt taken from it. */
export function mayAttempt(pace: Pace, { perMinute, burst }: Traits, now: WallTime): Permission {
  if (pace.pausedUntil > now) return later(pace.pausedUntil, `asked to wait: ${pace.reason}`)
  const isOpen = pace.failures >= failuresToOpen
  if (isOpen && pace.trialAt > now)
    return later(pace.trialAt, `${pace.failures} failures in a row: ${pace.reason}`)
  // A wall clock that was set back fills nothing, and takes nothing.
  const gained = (Math.max(0, now - pace.filledAt) * perMinute) / minuteMs
  const tokens = Math.min(burst, pace.tokens + gained)
  if (tokens < 1)
    return later(
      wallTime(Math.ceil(now + ((1 - tokens) * minuteMs) / perMinute)),
      `at most ${perMinute} a minute`,
    )
  const trialAt = isOpen ? wallTime(now + trialLostMs) : pace.trialAt
  return { kind: "now", pace: { ...pace, tokens: tokens - 1, filledAt: now, trialAt } }
}

/** What came of an attempt. `chance` in [0, 1) spreads the trials of receivers that failed together. */
export function noteAttempt(
  pace: Pace,
  outcome: Outcome,
  { now, chance }: { readonly now: WallTime; readonly chance: number },
): Pace {
  const { reason } = outcome
  switch (outcome.kind) {
    case "delivered":
    case "message-rejected":
      return { ...pace, pausedUntil: wallTime(0), failures: 0, trialAt: wallTime(0), gone: false, reason: "" }
    case "throttled": {
      const wait = outcome.retryAfterMs ?? jittered(pauseDefaultMs, chance)
      return { ...pace, pausedUntil: wallTime(now + wait), reason }
    }
    case "transient":
      return failed(pace, { now, chance, reason, gone: pace.gone })
    case "endpoint-rejected":
      return failed(pace, { now, chance, reason, gone: outcome.gone })
    default:
      return never(outcome)
  }
}

/** For the incident about the receiver, and for whoever looks at it. */
export function conditionOf(pace: Pace, now: WallTime): Condition {
  const { failures, failingSince: since, gone, reason } = pace
  if (gone) return { kind: "broken", since, reason }
  if (failures < failuresToOpen) return { kind: "well" }
  return { kind: now - since >= brokenAfterMs ? "broken" : "failing", since, reason }
}

interface Failure {
  readonly now: WallTime
  readonly chance: number
  readonly reason: string
  readonly gone: boolean
}

function failed(pace: Pace, { now, chance, reason, gone }: Failure): Pace {
  const failures = pace.failures + 1
  const opened = failures - failuresToOpen
  const wait = Math.min(trialMaxMs, trialFirstMs * 2 ** Math.min(Math.max(opened, 0), 10))
  return {
    ...pace,
    failures,
    failingSince: pace.failures === 0 ? now : pace.failingSince,
    trialAt: opened < 0 ? wallTime(0) : wallTime(now + jittered(wait, chance)),
    gone,
    reason,
  }
}

function later(at: WallTime, reason: string): Permission {
  return { kind: "later", at, reason }
}
