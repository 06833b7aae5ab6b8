/**
 * Tests that need something of the machine which not every machine has. In continuous integration, where `.ci/run` has
 * installed it all, a missing part is a failure; elsewhere the suite is skipped and its title says why.
 */
import { describe, it } from "vitest"

/** `missing`: what is not there, in words for people; empty where the suite can run. */
export function describeNeeding(missing: readonly string[], title: string, suite: () => void): void {
  switch (treatmentOf(missing, process.env.CI === "true")) {
    case "run":
      describe(title, suite)
      return
    case "fail":
      it(title, () => {
        throw new Error(`missing on this machine: ${missing.join(", ")}`)
      })
      return
    case "skip":
      describe.skip(`${title} (needs ${missing.join(", ")})`, suite)
  }
}

export function treatmentOf(missing: readonly string[], isContinuousIntegration: boolean) {
  if (missing.length === 0) return "run"
  return isContinuousIntegration ? "fail" : "skip"
}
