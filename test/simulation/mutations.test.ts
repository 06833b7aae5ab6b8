/**
 * The checks have teeth: each safety rule, taken out of the source, is missed by a run that chance draws or a schedule makes.
 * With all rules in force nothing breaks in any of them. `npm run simulate -- --mutations` tells what each took.
 */
import { describe, expect, test } from "vitest"
import { configOf } from "../support/layouts.ts"
import { catchMutation } from "./catch.ts"
import { mutations } from "./mutations.ts"
import { type Schedule, schedules } from "./schedules.ts"

test.each(mutations)("without `$rule` something breaks", async (mutation) => {
  expect(await catchMutation(mutation), `${mutation.name} survived`).toBeDefined()
})

describe("with all rules in force", () => {
  const made: readonly (readonly [string, Schedule])[] = Object.entries(schedules)
  test.each(made)("nothing breaks in the schedule %s", (_, { layout, config, play }) => {
    expect(play(configOf(layout, config))).toBeUndefined()
  })

  test("a patch that does not fit the source is an error", async () => {
    const [first] = mutations
    if (first === undefined) throw new Error("there are mutations")
    const stale = {
      ...first,
      patches: [{ file: "node-agent/core/ring.ts", find: "no such text", replace: "" }],
    }
    await expect(catchMutation(stale)).rejects.toThrow(/found 0 times/)
  })
})
