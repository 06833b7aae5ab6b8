/**
 * Tells that the machine was suspended: CLOCK_BOOTTIME goes on meanwhile and CLOCK_MONOTONIC does not, so the first
 * gains on the second (SPEC H13). Each look reads the monotonic clock on both sides of the other, which bounds the gap from
 * below and above however long this process is held up between the readings: a wake-up that is merely late never
 * looks like a suspend.
 */
import { uptime } from "node:os"
import { type Millis, millis } from "../../protocol/units.ts"
import { monotonicNow } from "./clock.ts"
import type { Native } from "./native.ts"

/** All in milliseconds. */
export interface ClockPair {
  monotonic(): number
  boottime(): number
  /** `boottime` lies behind the truth by less than this. */
  readonly resolution: number
}

/** Both clocks tick alike between suspends; what is left is the rounding of two readings. */
const slack = 1

export class SuspendWatch {
  readonly #clocks: ClockPair
  /** The smallest upper bound of the gap seen since the last suspend. */
  #gap = Number.POSITIVE_INFINITY

  constructor(clocks: ClockPair) {
    this.#clocks = clocks
    this.look()
  }

  /** How long the machine was suspended since the last look, rounded down; `undefined`: it was not. */
  look(): Millis | undefined {
    const { monotonic, boottime, resolution } = this.#clocks
    const before = monotonic()
    const boot = boottime()
    const least = boot - monotonic()
    const most = boot + resolution - before
    const slept = least - this.#gap
    if (slept <= slack) {
      this.#gap = Math.min(this.#gap, most)
      return undefined
    }
    this.#gap = most
    return millis(slept)
  }
}

const clockBoottime = 7

/** By the C library where it can be called, otherwise by `/proc/uptime`, which counts hundredths of a second. */
export function machineClocks(native: Native | undefined): ClockPair {
  if (native === undefined) {
    return {
      monotonic: monotonicNow,
      boottime: () => uptime() * 1000,
      resolution: 10,
    }
  }
  const getTime = native.declare("clock_gettime", "int", ["int", "bytes"])
  const bytes = Buffer.alloc(16)
  const time = new BigInt64Array(bytes.buffer, bytes.byteOffset, 2)
  const boottime = (): number => {
    getTime(clockBoottime, bytes)
    return Number(time[0]) * 1000 + Number(time[1]) / 1e6
  }
  return { monotonic: monotonicNow, boottime, resolution: 0 }
}
