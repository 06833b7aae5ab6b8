/** Sums over many seeds, for people. */
import type { RunResult } from "../../node-agent/simulation/run.ts"

export class Totals {
  seeds = 0
  failed = 0
  #simulated = 0
  #steps = 0
  #views = 0
  #takeovers = 0
  #changes = 0
  #acknowledged = 0
  #slowest = 0
  #share = 0
  readonly #faults = new Map<string, number>()
  readonly #from = performance.now()

  add(result: RunResult): void {
    this.seeds += 1
    if (result.violations.length > 0 || result.stuck !== undefined) this.failed += 1
    this.#simulated += result.simulated
    this.#steps += result.steps
    this.#views += result.views
    this.#takeovers += result.takeovers
    this.#changes += result.changes
    this.#acknowledged += result.acknowledged
    this.#slowest = Math.max(this.#slowest, result.recovery)
    this.#share = Math.max(this.#share, result.recovery / result.bound)
    for (const [kind, count] of result.faults) this.#faults.set(kind, (this.#faults.get(kind) ?? 0) + count)
  }

  line(): string {
    const wall = performance.now() - this.#from
    const faults = [...this.#faults.values()].reduce((sum, count) => sum + count, 0)
    return (
      `${this.seeds} seeds, ${(this.#simulated / 3_600_000).toFixed(1)} hours simulated at ${(this.#simulated / wall).toFixed(0)}x, ` +
      `${this.#steps} steps, ${faults} faults, ${this.#views} views installed, ${this.#takeovers} takeovers seen, ${this.#changes} configurations changed, ${this.#acknowledged} commands acknowledged, ${this.failed} failed`
    )
  }

  report(): string {
    const faults = [...this.#faults]
      .sort(([, a], [, b]) => b - a)
      .map(([kind, count]) => `${kind} ${count}`)
      .join(", ")
    return `${this.line()}\nslowest recovery ${(this.#slowest / 1000).toFixed(1)} s, at most ${(100 * this.#share).toFixed(0)} % of its bound\nfaults: ${faults}`
  }
}
