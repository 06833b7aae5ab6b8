/** SPEC C14, C15, S10, S18, S19: what a service's table says of where it goes. */
import { describe, expect, test } from "vitest"
import {
  accepted,
  errorsOf,
  oneSite,
  type Plain,
  parse,
  resource,
  service,
} from "../../support/config-builder.ts"

const plant = (more: Plain, restartLimit?: number): Plain => {
  const one = resource("one", restartLimit === undefined ? {} : { restart_limit: restartLimit })
  return { ...oneSite(), service: [service("ledger", { resource: [one], ...more }), service("archive")] }
}
const read = (more: Plain, restartLimit?: number) => accepted(parse(plant(more, restartLimit)))
const ledgerOf = (more: Plain, restartLimit?: number) =>
  read(more, restartLimit).services.find(({ name }) => name === "ledger")

describe("services apart, and back", () => {
  test("[S18] [S19] are read; the order of a list means nothing", () => {
    const more = { anti_affinity: ["archive"], failback_after_s: 60 }
    expect(ledgerOf(more)).toMatchObject({ antiAffinity: ["archive"], failbackAfter: 60_000 })
    const [one, other] = [
      ["archive", "billing"],
      ["billing", "archive"],
    ].map((names) => {
      const plain = plant({ anti_affinity: names })
      return accepted(parse({ ...plain, service: [...(plain.service as Plain[]), service("billing")] }))
    })
    expect(one?.checksum).toBe(other?.checksum)
  })

  test.each([
    [["archives"], "did you mean archive?"],
    [["ledger"], "expected one of archive"],
    [["archive", "archive"], "that no other of the list has"],
    [[], "1 to 32 names of services"],
    ["archive", "names of services"],
  ])("[C15] anti_affinity = %j is refused", (names, expected) => {
    const errors = errorsOf(parse(plant({ anti_affinity: names })))
    expect(errors).toHaveLength(1)
    expect(errors[0]?.path.slice(0, 3)).toEqual(["service", 0, "anti_affinity"])
    expect(errors[0]?.message).toContain(expected)
  })

  test("[C2] failback_after_s is seconds, at least one", () => {
    expect(errorsOf(parse(plant({ failback_after_s: 0 })))).toHaveLength(1)
    expect(errorsOf(parse(plant({ failback_after_s: true })))).toHaveLength(1)
  })
})

describe("failures", () => {
  test("[S10] limits are read; in seconds in the file, in milliseconds behind it", () => {
    expect(ledgerOf({ migration_threshold: 5, failure_timeout_s: 600 }, 4)).toMatchObject({
      migrationThreshold: 5,
      failureTimeout: 600_000,
      resources: [{ name: "one", restartLimit: 4 }],
    })
  })

  test("[C10] a default that is written out changes no checksum", () => {
    expect(read({ migration_threshold: 3 }, 0).checksum).toBe(read({}).checksum)
    expect(read({ migration_threshold: 4 }).checksum).not.toBe(read({}).checksum)
    expect(read({}, 1).checksum).not.toBe(read({}).checksum)
  })

  test("[C14] a node that is restarted on is not one that is passed over", () => {
    expect(errorsOf(parse(plant({}, 2)))).toEqual([])
    expect(errorsOf(parse(plant({}, 3)))).toEqual([
      {
        path: ["service", 0, "resource", 0, "restart_limit"],
        message: "[C14] restart_limit < migration_threshold: 3 < 3 is false",
      },
    ])
  })

  test.each([
    [{ migration_threshold: 0 }, "from 1 to 1000"],
    [{ migration_threshold: "3" }, "from 1 to 1000"],
    [{ failure_timeout_s: 0 }, "from 1 to 2592000"],
    [{ failure_timeout_s: 1.5 }, "from 1 to 2592000"],
  ])("[C2] %j is refused", (more, expected) => {
    const [error, ...others] = errorsOf(parse(plant(more)))
    expect(error?.message).toContain(expected)
    expect(others).toEqual([])
  })

  test("[C2] a restart limit is a number, and that it is none is one error", () => {
    expect(errorsOf(parse(plant({}, -1))).map(({ message }) => message)).toEqual([
      expect.stringContaining("a whole number from 0 to 1000"),
    ])
  })
})
