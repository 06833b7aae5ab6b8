// Ends a test run with one plain line, `N passed, N failed[, N skipped]`, below vitest's own summary, so that
// people and machines read the outcome from the last line. A file or suite that fails outside its tests counts
// as one failure, and so does an error outside every file. A run in which no test ran is a failed run.

import type { Reporter, SerializedError, TestModule } from "vitest/node"

interface Tally {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

export class PlainLineReporter implements Reporter {
  #tally: Tally = { passed: 0, failed: 0, skipped: 0 }

  onInit(): void {
    // The exit event comes after all other output, also after what the runtimes print while they stop.
    process.once("exit", () => {
      if (this.#tally.failed > 0 || this.#tally.passed === 0) process.exitCode ||= 1
      process.stdout.write(`${plainLine(this.#tally)}\n`)
    })
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    this.#tally = tallyOf(modules, unhandledErrors.length)
  }
}

function plainLine({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`
}

function tallyOf(modules: readonly TestModule[], unhandledErrorCount: number): Tally {
  let passed = 0
  let failed = unhandledErrorCount
  let skipped = 0
  for (const module of modules) {
    if (module.errors().length > 0) failed += 1
    for (const suite of module.children.allSuites()) {
      if (suite.errors().length > 0) failed += 1
    }
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      if (state === "passed") passed += 1
      else if (state === "skipped") skipped += 1
      else failed += 1 // "failed", or "pending": the run ended before the test did
    }
  }
  return { passed, failed, skipped }
}
