/**
 * `npm run test:vm [-- NAME ...] [--verbose]`: a virtual machine with a watchdog and the real agent in it, broken in
 * every way; half a minute a scenario. Exit status 0 only if each came out as expected.
 */
import { createWorkplace, removeWorkplace } from "../support/cluster/workplace.ts"
import { makeImage, missingTools } from "./image.ts"
import { runMachine } from "./machine.ts"
import { nameOf, scenarios } from "./scenarios.ts"
import { judge } from "./verdict.ts"

async function main(parameters: readonly string[]): Promise<number> {
  const names = parameters.filter((each) => !each.startsWith("--"))
  const unknown = names.filter((name) => !scenarios.some((each) => nameOf(each) === name))
  if (unknown.length > 0) {
    say(`unknown: ${unknown.join(", ")}; there are ${scenarios.map(nameOf).join(", ")}`)
    return 2
  }
  const missing = missingTools()
  if (missing.length > 0) {
    say(`a virtual machine needs these Debian packages: ${missing.join(", ")}`)
    return 1
  }
  const workplace = await createWorkplace("vm")
  const image = makeImage(workplace.program, workplace.directory)
  let wrong = 0
  for (const scenario of scenarios.filter((each) => names.length === 0 || names.includes(nameOf(each)))) {
    const outcome = await runMachine(image, scenario)
    const complaints = judge(scenario, outcome)
    const after = outcome.after === undefined ? "" : ` after ${outcome.after.toFixed(2)} s`
    const verdict = complaints.length === 0 ? "ok  " : "FAIL"
    say(`${verdict} ${nameOf(scenario).padEnd(26)} ${outcome.kind}${after}  (${scenario.why})`)
    if (complaints.length > 0) wrong += 1
    for (const complaint of complaints) say(`     ${complaint}`)
    if (complaints.length > 0 || parameters.includes("--verbose")) say(outcome.lines.join("\n"))
  }
  removeWorkplace(workplace)
  say(wrong === 0 ? "all as expected" : `${wrong} not as expected`)
  return wrong === 0 ? 0 : 1
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

process.exitCode = await main(process.argv.slice(2))
