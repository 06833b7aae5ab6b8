/**
 * How often one cluster may ask, so that none on a shared witness takes it from the others. Counted in each isolate, before
 * any signature is verified or any object is woken; a flood is stopped cheaply, an exact count is not needed. Pure.
 */
import type { WallTime } from "../protocol/units.ts"

export interface Bucket {
  readonly tokens: number
  readonly at: WallTime
}

export interface Limit {
  readonly perSecond: number
  readonly burst: number
}

/** Sixteen sites that post once a second, with room for elections. */
export const postLimit: Limit = { perSecond: 40, burst: 200 }
/** People, dashboards and scripts. */
export const requestLimit: Limit = { perSecond: 10, burst: 100 }

/** The bucket after one more request; `undefined`: it is empty. */
export function take(
  bucket: Bucket | undefined,
  { perSecond, burst }: Limit,
  now: WallTime,
): Bucket | undefined {
  const gained = bucket === undefined ? burst : (Math.max(0, now - bucket.at) * perSecond) / 1_000
  const tokens = Math.min(burst, (bucket?.tokens ?? 0) + gained)
  return tokens < 1 ? undefined : { tokens: tokens - 1, at: now }
}

/** As the deployment sets it: `perSecond`, and five seconds of it at once. */
export function limitOf(text: string | undefined, fallback: Limit): Limit {
  const perSecond = Number(text)
  return Number.isFinite(perSecond) && perSecond > 0 ? { perSecond, burst: 5 * perSecond } : fallback
}

/** The buckets of an isolate, forgotten when there are too many. */
export class RateLimiter {
  #buckets = new Map<string, Bucket>()

  allows(key: string, limit: Limit, now: WallTime): boolean {
    const bucket = this.#buckets.get(key)
    const next = take(bucket, limit, now)
    if (next === undefined) return false
    if (this.#buckets.size >= bucketsMax && bucket === undefined) this.#buckets = new Map()
    this.#buckets.set(key, next)
    return true
  }
}

const bucketsMax = 10_000
