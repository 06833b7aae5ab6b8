import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { wallTime } from "../../../../protocol/units.ts"
import { type AttemptMade, dispose, refusedForMs, schedules } from "../../../../worker/alerts/delivery.ts"
import type { Outcome } from "../../../../worker/alerts/notification.ts"
import { now } from "./notification-builder.ts"

const first: AttemptMade = { lane: "paging", attempts: 1, firstAt: now, rendering: "full", now, chance: 0.5 }
const transient: Outcome = { kind: "transient", reason: "status 500" }
const rejected: Outcome = { kind: "message-rejected", reason: "status 400" }
const refused: Outcome = { kind: "endpoint-rejected", reason: "status 404", gone: false }

describe("what follows from an attempt", () => {
  it("delivered is delivered, with the service's own id", () => {
    const outcome: Outcome = { kind: "delivered", reason: "status 202", reference: "r" }
    expect(dispose(outcome, first)).toEqual(outcome)
  })

  it.each([
    ["paging", [2, 5, 10, 20, 40, 60, 120]],
    ["chat", [5, 15, 60, 300, 900, 1_800, 1_800]],
    ["webhook", [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]],
  ] as const)("%s: delays follow the lane's schedule, 20 %% either way", (lane, delays) => {
    delays.forEach((delay, index) => {
      const at = (chance: number) => dispose(transient, { ...first, lane, attempts: index + 1, chance })
      expect(at(0)).toMatchObject({ kind: "again", at: now + delay * 800, rendering: "full" })
      expect(at(0.999_999_999)).toMatchObject({ kind: "again", at: now + delay * 1_200 })
    })
  })

  it.each([
    ["paging", 24],
    ["chat", 6],
    ["webhook", 76],
  ] as const)("%s: given up after %i h, and not before", (lane, hours) => {
    const made = { ...first, lane, attempts: 99, chance: 0 }
    const end = now + hours * 3_600_000
    const last = (schedules[lane].delaysSeconds.at(-1) ?? 0) * 800
    expect(dispose(transient, { ...made, now: wallTime(end - last) })).toMatchObject({ kind: "again" })
    expect(dispose(transient, { ...made, now: wallTime(end - last + 1) })).toEqual({
      kind: "dead",
      reason: "status 500",
    })
  })

  it("every lane ends, whatever chance does, and none before it has tried for hours", () => {
    fc.assert(
      fc.property(fc.constantFrom("paging", "chat", "webhook"), fc.integer(), (lane, seed) => {
        let state = seed
        const chance = () => {
          state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
          return (state >>> 0) / 2 ** 32
        }
        let at = now
        let attempts = 1
        for (;;) {
          const next = dispose(transient, { ...first, lane, attempts, now: at, chance: chance() })
          if (next.kind !== "again") break
          expect(next.at).toBeGreaterThan(at)
          at = next.at
          attempts += 1
          expect(attempts).toBeLessThan(400)
        }
        expect(at - now).toBeGreaterThan(4 * 3_600_000)
      }),
      { numRuns: 50 },
    )
  })

  it("Retry-After lengthens a delay and never shortens it", () => {
    const throttled = (retryAfterMs?: number): Outcome => ({
      kind: "throttled",
      reason: "status 429",
      retryAfterMs,
    })
    expect(dispose(throttled(60_000), first)).toMatchObject({ at: now + 60_000 })
    expect(dispose(throttled(1), first)).toMatchObject({ at: now + 2_000 })
    expect(dispose(throttled(), first)).toMatchObject({ at: now + 2_000 })
  })

  it("a rejected message is tried once more as plainly as possible, then it is dead", () => {
    expect(dispose(rejected, first)).toMatchObject({ kind: "again", rendering: "minimal" })
    expect(dispose(rejected, { ...first, attempts: 2, rendering: "minimal" })).toMatchObject({ kind: "dead" })
    expect(dispose(transient, { ...first, attempts: 2, rendering: "minimal" })).toMatchObject({
      kind: "again",
      rendering: "minimal",
    })
  })

  it("a refused address is tried for an hour, every five minutes; one that is gone is not", () => {
    expect(dispose(refused, first)).toMatchObject({ kind: "again", at: now + 2_000 })
    expect(dispose(refused, { ...first, attempts: 2 })).toMatchObject({ kind: "again", at: now + 300_000 })
    const late = wallTime(now + refusedForMs)
    expect(dispose(refused, { ...first, attempts: 9, now: wallTime(late - 1) })).toMatchObject({
      kind: "again",
    })
    expect(dispose(refused, { ...first, attempts: 9, now: late })).toMatchObject({ kind: "dead" })
    expect(dispose({ ...refused, gone: true }, first)).toEqual({ kind: "dead", reason: "status 404" })
  })
})
