/** The demo's steps and what came of them, as they happen and as the table at the end. */

export interface Step {
  readonly name: string
  readonly expected: string
  /** Resolves with what was seen; throws `StepFailed` with what was seen instead. */
  readonly play: () => Promise<Seen>
}

export interface Seen {
  readonly seen: string
  /** The time that this step is about; `undefined`: it is about none. */
  readonly milliseconds: number | undefined
}

/** What was seen is not what was expected. */
export class StepFailed extends Error {
  override readonly name = "StepFailed"
  readonly milliseconds: number | undefined

  constructor(seen: string, milliseconds?: number) {
    super(seen)
    this.milliseconds = milliseconds
  }
}

export interface Verdict extends Seen {
  readonly step: Step
  readonly result: "pass" | "FAIL" | "not run"
}

export function isPassed(verdicts: readonly Verdict[]): boolean {
  return verdicts.every(({ result }) => result === "pass")
}

/** Later steps stand on earlier ones: after the first failure nothing more is played. */
export async function playAll(
  steps: readonly Step[],
  say: (line: string) => void,
): Promise<readonly Verdict[]> {
  const verdicts: Verdict[] = []
  for (const step of steps) {
    const failed = verdicts.some(({ result }) => result !== "pass")
    const verdict = failed ? notRun(step) : await playOne(step)
    if (!failed) say(lineOf(verdict))
    verdicts.push(verdict)
  }
  return verdicts
}

async function playOne(step: Step): Promise<Verdict> {
  try {
    return { step, ...(await step.play()), result: "pass" }
  } catch (cause) {
    const seen = cause instanceof Error ? cause.message : String(cause)
    const milliseconds = cause instanceof StepFailed ? cause.milliseconds : undefined
    return { step, seen, milliseconds, result: "FAIL" }
  }
}

function notRun(step: Step): Verdict {
  return { step, seen: "", milliseconds: undefined, result: "not run" }
}

function lineOf({ step, seen, milliseconds, result }: Verdict): string {
  const time = milliseconds === undefined ? "" : `${Math.round(milliseconds)} ms`
  return `${result === "pass" ? "ok  " : "FAIL"} ${step.name.padEnd(46)} ${time.padStart(9)}  ${seen}`
}

export function formatTable(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ step, seen, milliseconds, result }, index) => {
    const time = milliseconds === undefined ? "" : String(Math.round(milliseconds))
    return [String(index + 1), step.name, step.expected, seen, time, result]
  })
  const header = ["#", "step", "expected", "seen", "ms", "verdict"]
  const widths = [2, 30, 40, 46, 6, 7]
  const rule = `+${widths.map((width) => "-".repeat(width + 2)).join("+")}+`
  return [
    rule,
    ...formatRow(header, widths),
    rule,
    ...rows.flatMap((row) => [...formatRow(row, widths), rule]),
  ].join("\n")
}

/** One row may take several lines. */
function formatRow(cells: readonly string[], widths: readonly number[]): readonly string[] {
  const wrapped = cells.map((cell, index) => wrap(cell, widths[index] ?? 0))
  const height = Math.max(...wrapped.map((lines) => lines.length))
  return Array.from({ length: height }, (_, line) => {
    const texts = wrapped.map((lines, index) => {
      const text = lines[line] ?? ""
      const width = widths[index] ?? 0
      return index === 4 ? text.padStart(width) : text.padEnd(width)
    })
    return `| ${texts.join(" | ")} |`
  })
}

function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = []
  let line = ""
  for (const word of text
    .split(/\s+/)
    .flatMap((each) => each.match(new RegExp(`.{1,${width}}`, "g")) ?? [])) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line)
      line = ""
    }
    line = line === "" ? word : `${line} ${word}`
  }
  return line === "" && lines.length > 0 ? lines : [...lines, line]
}
