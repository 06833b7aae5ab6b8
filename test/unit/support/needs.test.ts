import { expect, test } from "vitest"
import { treatmentOf } from "../../support/needs.ts"

test.each([
  { missing: [], inIntegration: true, treatment: "run" },
  { missing: [], inIntegration: false, treatment: "run" },
  { missing: ["a package"], inIntegration: true, treatment: "fail" },
  { missing: ["a package"], inIntegration: false, treatment: "skip" },
])("a suite that misses $missing: $treatment", ({ missing, inIntegration, treatment }) => {
  expect(treatmentOf(missing, inIntegration)).toBe(treatment)
})
