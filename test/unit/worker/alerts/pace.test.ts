import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type WallTime, wallTime } from "../../../../protocol/units.ts"
import type { Outcome } from "../../../../worker/alerts/notification.ts"
import {
  brokenAfterMs,
  conditionOf,
  failuresToOpen,
  freshPace,
  mayAttempt,
  noteAttempt,
  type Pace,
} from "../../../../worker/alerts/pace.ts"
import { traitsOf } from "../../../../worker/alerts/receivers/receiver.ts"
import { allReceivers, now, receivers } from "./notification-builder.ts"

const traits = traitsOf(receivers.telegram)
const { perMinute, burst } = traits
const delivered: Outcome = { kind: "delivered", reason: "status 200", reference: undefined }
const transient: Outcome = { kind: "transient", reason: "status 500" }
const rejected: Outcome = { kind: "message-rejected", reason: "status 400" }
const refused: Outcome = { kind: "endpoint-rejected", reason: "status 404", gone: false }
const at = (milliseconds: number): WallTime => wallTime(now + milliseconds)

function following(outcomes: readonly Outcome[], pace: Pace = freshPace, time = now): Pace {
  return outcomes.reduce((each, outcome) => noteAttempt(each, outcome, { now: time, chance: 0.5 }), pace)
}

describe("rate", () => {
  it("a burst at once, then one after the other", () => {
    let pace = freshPace
    for (let attempt = 0; attempt < burst; attempt += 1) {
      const permission = mayAttempt(pace, traits, now)
      if (permission.kind !== "now") throw new Error("within the burst")
      pace = permission.pace
    }
    const next = Math.ceil(60_000 / perMinute)
    expect(mayAttempt(pace, traits, now)).toEqual({
      kind: "later",
      at: at(next),
      reason: `at most ${perMinute} a minute`,
    })
    expect(mayAttempt(pace, traits, at(next - 1))).toMatchObject({ kind: "later" })
    expect(mayAttempt(pace, traits, at(next))).toMatchObject({ kind: "now" })
  })

  it.each(allReceivers)(
    "$kind: never more than its burst and its rate in any time, whenever it is asked",
    (each) => {
      const of = traitsOf(each)
      fc.assert(
        fc.property(fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 200 }), (steps) => {
          let pace = freshPace
          let time: WallTime = now
          let sent = 0
          for (const step of steps) {
            time = wallTime(time + step)
            const permission = mayAttempt(pace, of, time)
            if (permission.kind === "later") {
              expect(permission.at).toBeGreaterThan(time)
              continue
            }
            pace = permission.pace
            sent += 1
          }
          expect(sent).toBeLessThanOrEqual(of.burst + ((time - now) * of.perMinute) / 60_000 + 1e-6)
        }),
      )
    },
  )

  it("what is asked again at the time that was told is allowed", () => {
    const pace = { ...freshPace, filledAt: now, tokens: 0.3 }
    const permission = mayAttempt(pace, traits, now)
    expect(mayAttempt(pace, traits, permission.kind === "later" ? permission.at : now).kind).toBe("now")
  })

  it("a clock that was set back neither fills nor blocks for long", () => {
    const pace = { ...freshPace, filledAt: at(3_600_000), tokens: 1 }
    expect(mayAttempt(pace, traits, now)).toMatchObject({ kind: "now", pace: { tokens: 0, filledAt: now } })
  })
})

describe("asked to wait", () => {
  it("nothing is sent until then, and it is no failure", () => {
    const pace = following([{ kind: "throttled", reason: "status 429", retryAfterMs: 90_000 }])
    expect(mayAttempt(pace, traits, at(89_999))).toEqual({
      kind: "later",
      at: at(90_000),
      reason: "asked to wait: status 429",
    })
    expect(mayAttempt(pace, traits, at(90_000)).kind).toBe("now")
    expect(conditionOf(pace, at(brokenAfterMs))).toEqual({ kind: "well" })
  })

  it("without a time it is half a minute", () => {
    const pace = following([{ kind: "throttled", reason: "status 429", retryAfterMs: undefined }])
    expect(mayAttempt(pace, traits, now)).toMatchObject({ kind: "later", at: at(30_000) })
  })
})

describe("circuit breaker", () => {
  const failures = (count: number): readonly Outcome[] => Array.from({ length: count }, () => transient)

  it("opens after failures in a row, and lets one attempt through at a time", () => {
    expect(mayAttempt(following(failures(failuresToOpen - 1)), traits, now).kind).toBe("now")
    const open = following(failures(failuresToOpen))
    expect(mayAttempt(open, traits, now)).toEqual({
      kind: "later",
      at: at(15_000),
      reason: "5 failures in a row: status 500",
    })
    const trial = mayAttempt(open, traits, at(15_000))
    if (trial.kind !== "now") throw new Error("the trial")
    expect(
      mayAttempt(trial.pace, traits, at(15_000)),
      "the second waits for what comes of the first",
    ).toMatchObject({
      kind: "later",
    })
    expect(mayAttempt(trial.pace, traits, at(75_000)).kind, "unless that is lost").toBe("now")
  })

  it("waits longer with each failed trial, to five minutes, spread by chance", () => {
    const waits = [1, 2, 3, 4, 5, 6, 50, 5_000].map((more) => {
      const permission = mayAttempt(following(failures(failuresToOpen - 1 + more)), traits, now)
      return permission.kind === "later" ? permission.at - now : 0
    })
    expect(waits).toEqual([15_000, 30_000, 60_000, 120_000, 240_000, 300_000, 300_000, 300_000])
    const pace = following(failures(failuresToOpen - 1))
    const spread = [0, 0.999_999_9].map(
      (chance) => noteAttempt(pace, transient, { now, chance }).trialAt - now,
    )
    expect(spread).toEqual([12_000, 18_000])
  })

  it("one success closes it", () => {
    const pace = following([...failures(20), delivered])
    expect(mayAttempt(pace, traits, now).kind).toBe("now")
    expect(conditionOf(pace, now)).toEqual({ kind: "well" })
  })

  it("a message that is refused is no failure of the receiver: it answers", () => {
    expect(conditionOf(following([...failures(20), rejected]), at(brokenAfterMs))).toEqual({ kind: "well" })
  })
})

describe("condition", () => {
  const many = Array.from({ length: failuresToOpen }, () => refused)

  it("failing, and broken after an hour of it", () => {
    const pace = following(many)
    expect(conditionOf(pace, at(brokenAfterMs - 1))).toEqual({
      kind: "failing",
      since: now,
      reason: "status 404",
    })
    expect(conditionOf(pace, at(brokenAfterMs))).toMatchObject({ kind: "broken", since: now })
  })

  it("one stray 404 is nothing; 410 is broken at once; a success mends both", () => {
    expect(conditionOf(following([refused]), at(brokenAfterMs))).toEqual({ kind: "well" })
    const gone = following([{ ...refused, reason: "status 410", gone: true }])
    expect(conditionOf(gone, now)).toEqual({ kind: "broken", since: now, reason: "status 410" })
    expect(conditionOf(following([transient], gone), now)).toMatchObject({ kind: "broken" })
    expect(conditionOf(following([delivered], gone), now)).toEqual({ kind: "well" })
  })

  it("is plain data", () => {
    const pace = following([...many, { kind: "throttled", reason: "x", retryAfterMs: 5 }])
    expect(JSON.parse(JSON.stringify(pace))).toEqual(pace)
  })
})
