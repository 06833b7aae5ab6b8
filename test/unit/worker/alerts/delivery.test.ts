import { describe, expect, it } from "vitest"
import { wallTime } from "../../../../protocol/units.ts"
import {
  type Attempt,
  dispose,
  retryAfterSeconds,
  retryDelaysSeconds,
} from "../../../../worker/alerts/delivery.ts"

const now = wallTime(Date.UTC(2040, 0, 1))
const answered = (status: number, retryAfter: string | null = null): Attempt => ({
  kind: "answered",
  status,
  retryAfter,
})

describe("what follows from an attempt", () => {
  it.each([200, 201, 202, 204, 299])("%i is delivered", (status) => {
    expect(dispose(answered(status), { attempts: 1, now, chance: 0.5 })).toEqual({ kind: "delivered" })
  })

  it.each([301, 302, 401, 403, 404, 408, 425, 429, 500, 502, 503, 504, 522])(
    "%i is tried again",
    (status) => {
      const disposition = dispose(answered(status), { attempts: 2, now, chance: 0.5 })
      expect(disposition).toEqual({ kind: "again", at: now + 20_000, reason: `status ${status}` })
    },
  )

  it.each([400, 413, 415, 422])("%i is tried once more, then given up", (status) => {
    expect(dispose(answered(status), { attempts: 1, now, chance: 0.5 })).toMatchObject({ kind: "again" })
    expect(dispose(answered(status), { attempts: 2, now, chance: 0.5 })).toMatchObject({ kind: "dead" })
  })

  it("410 is given up at once", () => {
    expect(dispose(answered(410), { attempts: 1, now, chance: 0.5 })).toEqual({
      kind: "dead",
      reason: "status 410",
    })
  })

  it("delays follow the schedule with 20 % jitter either way, then the letter is dead", () => {
    const failed: Attempt = { kind: "failed", reason: "no route" }
    retryDelaysSeconds.forEach((delay, index) => {
      const at = (chance: number) => dispose(failed, { attempts: index + 1, now, chance })
      expect(at(0)).toMatchObject({ kind: "again", at: now + delay * 800 })
      expect(at(0.999_999_999_999)).toMatchObject({ kind: "again", at: now + delay * 1_200 })
    })
    const last = dispose(failed, { attempts: retryDelaysSeconds.length + 1, now, chance: 0 })
    expect(last).toEqual({ kind: "dead", reason: "no route" })
  })

  it("Retry-After lengthens a delay and never shortens it", () => {
    const again = (header: string) => dispose(answered(429, header), { attempts: 1, now, chance: 0.5 })
    expect(again("60")).toMatchObject({ at: now + 60_000 })
    expect(again("1")).toMatchObject({ at: now + 5_000 })
  })
})

describe("Retry-After", () => {
  it.each([
    ["1", 1],
    ["1.5", 1.5],
    ["0", 0],
    ["-1", 0],
    ["99999999", 3_600],
    ["Sun, 01 Jan 2040 00:01:00 GMT", 60],
    ["Sat, 01 Jan 2000 00:00:00 GMT", 0],
    ["soon", 0],
    ["", 0],
    [null, 0],
  ])("%o is %d s", (header, seconds) => {
    expect(retryAfterSeconds(header, now)).toBe(seconds)
  })
})
