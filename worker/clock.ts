/**
 * The only reader of the wall clock in the Worker. It serves alerts, deliveries and day counters; no lease rests on it:
 * the platform has no monotonic clock, and an object may wake up on another machine (SPEC W3).
 */
import type { WallTime } from "../protocol/units.ts"
import { wallTime } from "../protocol/units.ts"

export function readClock(): WallTime {
  return wallTime(Date.now())
}
