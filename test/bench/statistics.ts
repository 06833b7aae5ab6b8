/** Figures of a series, and how they are printed. */

export interface Statistics {
  readonly count: number
  readonly min: number
  readonly median: number
  readonly p95: number
  readonly max: number
}

export function statisticsOf(values: readonly number[]): Statistics {
  const sorted = [...values].sort((a, b) => a - b)
  return {
    count: sorted.length,
    min: quantile(sorted, 0),
    median: quantile(sorted, 0.5),
    p95: quantile(sorted, 0.95),
    max: quantile(sorted, 1),
  }
}

/** The smallest value that is not exceeded by more than `1 - share` of all: no interpolation, so it was really seen. */
function quantile(sorted: readonly number[], share: number): number {
  const index = Math.max(Math.ceil(share * sorted.length) - 1, 0)
  return sorted[index] ?? Number.NaN
}

/** `min / median / p95 / max`, the order in which all figures are given. */
export function formatStatistics({ count, min, median, p95, max }: Statistics, unit = "ms"): string {
  const [a, b, c, d] = [min, median, p95, max].map((value) => value.toFixed(value < 10 ? 2 : 1).padStart(8))
  return `${a} /${b} /${c} /${d} ${unit}  (${count} times)`
}
