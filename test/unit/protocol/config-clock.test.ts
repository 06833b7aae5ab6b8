/** SPEC C13, C10: how far a wall clock may be off before people are told. */
import { describe, expect, test } from "vitest"
import { accepted, errorsOf, oneSite, parse } from "../../support/config-builder.ts"

const withClock = (clock: unknown) => parse({ ...oneSite(), clock })

describe("[C13] the limit of clocks", () => {
  test("[C10] without the table, with an empty one and with the default written out: one checksum", () => {
    const configs = [parse(oneSite()), withClock({}), withClock({ limit_ms: 50 })].map(accepted)
    expect(new Set(configs.map(({ checksum }) => checksum)).size).toBe(1)
    expect(configs.map(({ clockLimit }) => clockLimit)).toEqual([undefined, undefined, undefined])
    const other = accepted(withClock({ limit_ms: 1 }))
    expect(other.clockLimit).toBe(1)
    expect(other.checksum).not.toBe(configs[0]?.checksum)
  })

  test.each([
    { clock: [], path: ["clock"], message: "found an array of 0, expected a table" },
    {
      clock: { limit_ms: 0 },
      path: ["clock", "limit_ms"],
      message: "found 0, expected a whole number from 1 to 60000",
    },
    {
      clock: { limit_ms: 60_001 },
      path: ["clock", "limit_ms"],
      message: "found 60001, expected a whole number from 1 to 60000",
    },
  ])("$message", ({ clock, path, message }) => {
    expect(errorsOf(withClock(clock))).toEqual([{ path, message }])
  })
})
