/** How long a service asks to be left alone, in each of the ways it may say so; at most an hour. */
import type { WallTime } from "../../protocol/units.ts"

const retryAfterMaxMs = 3_600_000

/** The header: seconds, whole or not, or an HTTP date. Anything else counts as absent. */
export function retryAfterMs(header: string | undefined, now: WallTime): number | undefined {
  const text = header?.trim() ?? ""
  const asked = /^[0-9]+(\.[0-9]+)?$/.test(text) ? Number(text) * 1_000 : httpDate(text) - now
  return clamped(asked)
}

/** The same, as a service says it in its body. */
export function retryAfterSecondsMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : clamped(seconds * 1_000)
}

function clamped(milliseconds: number): number | undefined {
  if (Number.isNaN(milliseconds)) return undefined
  return Math.ceil(Math.min(Math.max(milliseconds, 0), retryAfterMaxMs))
}

/** `Date.parse` takes far more than HTTP's forms ("-1", "tomorrow 5"): what begins with no weekday is no such date. */
function httpDate(text: string): number {
  return /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? /.test(text) ? Date.parse(text) : Number.NaN
}
