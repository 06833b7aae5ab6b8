/** Waiting for something to come true, with a limit. For tests with real processes only: real time passes. */
import { setTimeout as sleep } from "node:timers/promises"

/** What did not come true in time, in words. */
export class NotInTime extends Error {
  override readonly name = "NotInTime"
}

/** Milliseconds of CLOCK_MONOTONIC, the clock of all processes on this machine. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

export interface Patience {
  /** What is waited for; stands in the error. */
  readonly what: string
  readonly limit: number
  /** Between two looks. */
  readonly interval?: number
  /** What is the case instead, for the error. */
  readonly instead?: () => string
}

/** Resolves with the first value that is not `undefined`. */
export async function waitFor<T>(
  { what, limit, interval = 25, instead }: Patience,
  look: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const from = now()
  for (;;) {
    const value = await look()
    if (value !== undefined) return value
    if (now() - from > limit) {
      throw new NotInTime(`${what}: not within ${limit} ms${instead === undefined ? "" : `; ${instead()}`}`)
    }
    await sleep(interval)
  }
}
