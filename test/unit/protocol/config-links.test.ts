/** SPEC C11, C10: from where on a link counts as suspect. */
import { describe, expect, test } from "vitest"
import { accepted, errorsOf, oneSite, parse } from "../../support/config-builder.ts"

const withLinks = (links: unknown) => parse({ ...oneSite(), links })

describe("[C11] thresholds of links", () => {
  test("what is not set has its default", () => {
    expect(accepted(withLinks({ jitter_ms: 2 })).links).toEqual({
      jitter: 2,
      jitterCritical: 10,
      lossPpm: 1_000,
      rtt: 50,
    })
    const all = { jitter_ms: 1, jitter_critical_ms: 2, loss_ppm: 3, rtt_ms: 4 }
    expect(accepted(withLinks(all)).links).toEqual({ jitter: 1, jitterCritical: 2, lossPpm: 3, rtt: 4 })
  })

  test("[C10] without the table, with an empty one and with the defaults written out: one checksum", () => {
    const defaults = { jitter_ms: 5, jitter_critical_ms: 10, loss_ppm: 1_000, rtt_ms: 50 }
    const configs = [parse(oneSite()), withLinks({}), withLinks(defaults)].map(accepted)
    expect(new Set(configs.map(({ checksum }) => checksum)).size).toBe(1)
    expect(configs.map(({ links }) => links)).toEqual([undefined, undefined, undefined])
    expect(accepted(withLinks({ rtt_ms: 51 })).checksum).not.toBe(configs[0]?.checksum)
  })

  test.each([
    { links: [], path: ["links"], message: "found an array of 0, expected a table" },
    {
      links: { rtt_ms: 0 },
      path: ["links", "rtt_ms"],
      message: "found 0, expected a whole number from 1 to 4000",
    },
    {
      links: { loss_ppm: 0.1 },
      path: ["links", "loss_ppm"],
      message: "found 0.1, expected a whole number from 1 to 1000000",
    },
    {
      links: { jitter_critical_ms: 4 },
      path: ["links", "jitter_critical_ms"],
      message:
        "[C11] found jitter_ms = 5 and jitter_critical_ms = 4, expected the critical one not below the other",
    },
    {
      links: { jitter_ms: 11 },
      path: ["links", "jitter_ms"],
      message:
        "[C11] found jitter_ms = 11 and jitter_critical_ms = 10, expected the critical one not below the other",
    },
  ])("$message", ({ links, path, message }) => {
    expect(errorsOf(withLinks(links))).toEqual([{ path, message }])
  })

  test("an unknown key is told with the nearest known one", () => {
    expect(errorsOf(withLinks({ jitter: 3 }))).toMatchObject([{ path: ["links", "jitter"] }])
  })
})
