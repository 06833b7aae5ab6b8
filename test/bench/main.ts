/**
 * `npm run bench`: what the numbers of the README were measured with. Prints the machine and, for each part, the smallest,
 * middle, 95th percentile and largest of its repeats. Decides nothing: slow machines are slow.
 */
import { parseArgs } from "node:util"
import { createWorkplace, endEverythingAtExit, removeWorkplace } from "../support/cluster/workplace.ts"
import { alertsSection } from "./alerts.ts"
import { controlKill } from "./control-kill.ts"
import { failoverSections } from "./failover.ts"
import { idle } from "./idle.ts"
import { describeMachine } from "./machine.ts"
import type { Section } from "./section.ts"
import { siteSections } from "./sites.ts"
import { witnessLoad } from "./witness-load.ts"

const sections: readonly Section[] = [
  ...failoverSections,
  controlKill,
  idle,
  ...siteSections,
  witnessLoad,
  alertsSection,
]
const repeatsDefault = 30

const usage = `Usage: npm run bench -- [options] [section ...]

Measures on this machine, with nothing else running, and prints min / median / p95 / max. Sections (all of them):
${sections.map(({ name, title }) => `  ${name.padEnd(20)} ${title}`).join("\n")}

  --repeats=N   kills of each failover section (${repeatsDefault})
  --keep        keep the folder with logs and traces (kept anyway when something fails)`

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      repeats: { type: "string", default: String(repeatsDefault) },
      keep: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  })
  const unknown = positionals.find((name) => !sections.some((section) => section.name === name))
  const repeats = Number(values.repeats)
  if (values.help || unknown !== undefined || !(Number.isInteger(repeats) && repeats > 0)) {
    say(unknown === undefined ? usage : `no section ${unknown}\n\n${usage}`)
    return values.help ? 0 : 2
  }
  endEverythingAtExit()
  return run(
    sections.filter(({ name }) => positionals.length === 0 || positionals.includes(name)),
    { repeats, keep: values.keep },
  )
}

async function run(
  chosen: readonly Section[],
  { repeats, keep }: { repeats: number; keep: boolean },
): Promise<number> {
  for (const line of describeMachine()) say(line)
  const workplace = await createWorkplace("bench")
  let failures = 0
  for (const { name, title, measure } of chosen) {
    say(`\n${name}: ${title}`)
    try {
      await measure({ workplace, repeats, say })
    } catch (cause) {
      failures += 1
      say(`  FAILED: ${cause instanceof Error ? cause.message : String(cause)}`)
    }
  }
  if (failures === 0 && !keep) removeWorkplace(workplace)
  else say(`\nlogs and traces: ${workplace.directory}`)
  return failures === 0 ? 0 : 1
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

process.exit(await main())
