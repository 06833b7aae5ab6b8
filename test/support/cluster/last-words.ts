/** What a failed test says of its agents: of a run on another machine its printout is all that there is. */
import { existsSync, readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import type { Child } from "./child.ts"

export interface Witnessed {
  readonly name: string
  /** `undefined`: it was never started. */
  readonly child: Child | undefined
  /** Anything but `undefined`: it answers. */
  status(): Promise<unknown>
}

/** Of one that has ended or does not answer its last lines, whatever they are; of the others what they complained of. */
const linesMax = 15
const complaintsMax = 6
const lineLengthMax = 400
const answerPatience = 3_000

export async function lastWords(agents: readonly Witnessed[]): Promise<string> {
  return (await Promise.all(agents.map(wordsOf))).join("\n")
}

async function wordsOf(agent: Witnessed): Promise<string> {
  const { name, child } = agent
  if (child === undefined) return `${name} was never started`
  const answers =
    child.isRunning && (await Promise.race([agent.status(), sleep(answerPatience)])) !== undefined
  const lines = existsSync(child.logFile) ? readFileSync(child.logFile, "utf8").trimEnd().split("\n") : []
  const told = answers ? lines.filter(isComplaint).slice(-complaintsMax) : lines.slice(-linesMax)
  const head = `${name} ${child.isRunning && !answers ? "runs and does not answer" : child.fate}`
  return [head, ...told.map((line) => `  ${line.slice(0, lineLengthMax)}`)].join("\n")
}

/** What is no line of JSON was printed by something that went wrong. */
function isComplaint(line: string): boolean {
  return !/^\{"level":"(debug|info)"/.test(line)
}
