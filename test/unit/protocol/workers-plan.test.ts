/** What the witness costs, computed: the figures of a day and a month, and when they fit the free plan. */
import { describe, expect, test } from "vitest"
import { witnessCost } from "../../../protocol/workers-plan.ts"
import { configOf } from "../../support/layouts.ts"

describe("the witness's cost", () => {
  test("[A5] two sites at 2 s fit the free plan, also while both live on the witness's voice", () => {
    expect(witnessCost(configOf("2x2"))).toMatchObject({
      healthy: { posts: 86_400, alarms: 2_880, rowsWritten: 46_080 },
      degraded: { posts: 86_400, alarms: 2_880, rowsWritten: 89_280 },
      fitsFreePlan: true,
    })
  })

  test("one site writes nothing while its view speaks alone", () => {
    expect(witnessCost(configOf("1x2"))).toMatchObject({
      healthy: { posts: 43_200, rowsWritten: 2_880 },
      degraded: { posts: 43_200, rowsWritten: 46_080 },
    })
  })

  test("posts that are too frequent do not fit; at the interval named they do", () => {
    const timings = { summary_interval_ms: 1500 }
    const cost = witnessCost(configOf("2x2", { timings }))
    expect(cost.fitsFreePlan).toBe(false)
    expect(cost.fittingInterval).toBe(1780)
    const enough = { summary_interval_ms: cost.fittingInterval }
    expect(witnessCost(configOf("2x2", { timings: enough })).fitsFreePlan).toBe(true)
    const less = { summary_interval_ms: cost.fittingInterval - 1 }
    expect(witnessCost(configOf("2x2", { timings: less })).fitsFreePlan).toBe(false)
  })

  test("a month of the paid plan: what is included, and what one more cluster costs", () => {
    const { paidMonth, paidMonthMore } = witnessCost(configOf("2x2"))
    // 2,678,400 requests to the object, of which a million is included.
    expect(paidMonth).toBeCloseTo(5 + 1.6784 * 0.15)
    expect(paidMonthMore).toBeCloseTo(2.592 * 0.3 + 2.6784 * 0.15 + 2.6784)
  })
})
