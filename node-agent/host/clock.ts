/**
 * The two clocks. Everything about rights reads the monotonic one (CLOCK_MONOTONIC, the same for all processes of
 * this machine, so an `Instant` may be handed to the control process and written to lease files); the wall clock
 * is for people.
 */
import { type Instant, instant, type WallTime, wallTime } from "../../protocol/units.ts"

export function monotonicNow(): Instant {
  return instant(Number(process.hrtime.bigint()) / 1e6)
}

export function wallNow(): WallTime {
  return wallTime(Date.now())
}

/** An instant in nanoseconds, rounded down: a deadline written to a file never lies later than the one held. */
export function nanosecondsOf(at: Instant): bigint {
  return BigInt(Math.floor(at * 1e6))
}
