import fc from "fast-check"
import { describe, expect, test } from "vitest"
import {
  createReplayWindow,
  isReplayed,
  markSeen,
  replayWindowSize,
} from "../../../node-agent/core/replay-window.ts"

describe("the replay window", () => {
  test("[K6] it spans more than 1024 counters", () => {
    expect(replayWindowSize).toBe(2016)
  })

  test("[K6] counter 0 was never sent: it counts as seen", () => {
    expect(isReplayed(createReplayWindow(), 0)).toBe(true)
    expect(isReplayed(createReplayWindow(), 1)).toBe(false)
  })

  test("[K6] it agrees with a list of everything seen, for small steps, great leaps and counters beyond 2^32", () => {
    const step = fc.oneof(
      fc.integer({ min: -2100, max: 40 }),
      fc.integer({ min: 1, max: 5000 }),
      fc.constantFrom(1, 31, 32, 33, 2015, 2016, 2017, 2047, 2048, 2049, -2015, -2016, 2 ** 33),
    )
    fc.assert(
      fc.property(fc.constantFrom(1, 2 ** 32 - 20), fc.array(step, { maxLength: 120 }), (first, steps) => {
        const window = createReplayWindow()
        const seen = new Set<number>()
        let highest = 0
        for (const each of [0, ...steps]) {
          const counter = Math.max(1, (highest === 0 ? first : highest) + each)
          const known = seen.has(counter) || highest - counter >= replayWindowSize
          expect(isReplayed(window, counter)).toBe(known)
          if (known) continue
          markSeen(window, counter)
          seen.add(counter)
          highest = Math.max(highest, counter)
          expect(isReplayed(window, counter)).toBe(true)
        }
      }),
      { numRuns: 500 },
    )
  })

  test("[K6] a counter is marked once", () => {
    const window = createReplayWindow()
    markSeen(window, 5)
    expect(() => markSeen(window, 5)).toThrow()
  })
})
