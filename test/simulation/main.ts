/**
 * `npm run simulate`: runs seeds, replays one with its trace, runs a healthy cluster for days, measures the speed, or takes one
 * rule after another out of the source and counts the seeds until the oracle objects.
 */
import { parseArgs } from "node:util"
import { runQuiet } from "../../node-agent/simulation/quiet.ts"
import { type RunResult, runSeed } from "../../node-agent/simulation/run.ts"
import { World } from "../../node-agent/simulation/world.ts"
import { configOf } from "../support/layouts.ts"
import { catchMutation } from "./catch.ts"
import { mutations } from "./mutations.ts"
import { Totals } from "./totals.ts"

const usage = `Usage: npm run simulate -- [options]

  --seeds=N         how many seeds (100), from
  --from=N          this one on (1)
  --minutes=M       simulated minutes of faults a seed (1); then they stop and services must recover
  --seed=N          this one alone
  --trace           with --seed: every step on standard output
  --clocks=F        clock rates off by F times rho (1); beyond 1 nothing is promised, and what breaks is told
  --mutations       take each safety rule out of the source in turn; every one must be caught
  --quiet=DAYS      a healthy ring of three, 0.1 % loss, 5 ms jitter, against the view changes that chance predicts
  --profile=NAME    of the quiet run (industrial)
  --links=N         of the quiet run (1)
  --speed           simulated time per second of one processor, four nodes at industrial`

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "100" },
      from: { type: "string", default: "1" },
      minutes: { type: "string", default: "1" },
      seed: { type: "string" },
      trace: { type: "boolean", default: false },
      clocks: { type: "string", default: "1" },
      mutations: { type: "boolean", default: false },
      quiet: { type: "string" },
      profile: { type: "string", default: "industrial" },
      links: { type: "string", default: "1" },
      speed: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  })
  const numbers = [
    values.seeds,
    values.from,
    values.minutes,
    values.seed ?? "1",
    values.clocks,
    values.quiet ?? "1",
    values.links,
  ].map(Number)
  if (values.help || !numbers.every((each) => each > 0)) {
    say(usage)
    return values.help ? 0 : 2
  }
  if (values.mutations) return runMutations()
  if (values.speed) return measureSpeed()
  if (values.quiet !== undefined) return quiet(Number(values.quiet), values.profile, Number(values.links))
  const first = Number(values.seed ?? values.from)
  const count = values.seed === undefined ? Number(values.seeds) : 1
  return runSeeds(first, count, {
    minutes: Number(values.minutes),
    rateFactor: Number(values.clocks),
    trace: values.trace && values.seed !== undefined,
  })
}

interface SeedOptions {
  readonly minutes: number
  readonly rateFactor: number
  readonly trace: boolean
}

function runSeeds(first: number, count: number, { minutes, rateFactor, trace }: SeedOptions): number {
  const totals = new Totals()
  for (let seed = first; seed < first + count; seed++) {
    const result = runSeed({ seed, duration: minutes * 60_000, rateFactor, ...(trace ? { trace: say } : {}) })
    totals.add(result)
    if (result.violations.length > 0 || result.stuck !== undefined || count === 1)
      say(describe(result, minutes, rateFactor))
    if ((seed - first + 1) % 500 === 0) say(`... ${totals.line()}`)
  }
  say(totals.report())
  return totals.failed === 0 || rateFactor > 1 ? 0 : 1
}

function describe(result: RunResult, minutes: number, rateFactor: number): string {
  const more = rateFactor === 1 ? "" : ` --clocks=${rateFactor}`
  const { seed, topology, violations, stuck } = result
  const verdict = violations.length > 0 ? violations.join("\n  ") : (stuck ?? "nothing broke")
  return `seed ${seed} (${topology}):\n  ${verdict}\n  replay: npm run simulate -- --seed=${seed} --minutes=${minutes}${more} --trace`
}

async function runMutations(): Promise<number> {
  let survived = 0
  for (const mutation of mutations) {
    const caught = await catchMutation(mutation)
    if (caught === undefined) survived += 1
    const how = caught === undefined ? "SURVIVED" : `${caught.by}: ${caught.what.slice(0, 110)}`
    say(`${mutation.name.padEnd(34)} ${how}`)
  }
  say(`${mutations.length} rules taken out, ${survived} not noticed`)
  return survived === 0 ? 0 : 1
}

function quiet(days: number, profile: string, links: number): number {
  const result = runQuiet({ days, profile, links, seed: 1 })
  say(
    `${days} days, ${profile}, ${links} link(s), ${result.hops} hops: ${result.changes} view changes, ` +
      `at most ${result.predicted.toFixed(2)} predicted by ${result.misses} independent losses in a row; ` +
      `${result.speed.toFixed(0)}x; violations ${result.violations.length}`,
  )
  return result.violations.length === 0 && result.changes <= result.allowed ? 0 : 1
}

/** By then the compiler has done its work: a run of many seeds takes as long for each as the measured part. */
const warmUp = 600_000
const measured = 600_000

function measureSpeed(): number {
  for (const layout of ["1x4", "2x2"] as const) {
    const world = new World(configOf(layout), { seed: 1 })
    world.start()
    world.run(warmUp)
    const from = process.cpuUsage()
    world.run(measured)
    const { user, system } = process.cpuUsage(from)
    say(`${layout} at industrial: ${((1000 * measured) / (user + system)).toFixed(0)}x of a processor's time`)
  }
  return 0
}

/** Whoever read it may have seen enough (`| head`): the run ends there, as by SIGPIPE, and not with a stack. */
function say(text: string): void {
  process.stdout.write(`${text}\n`)
  if (process.stdout.errored !== null) endQuietly(process.stdout.errored)
}

function endQuietly(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error
  process.exit(141)
}

process.stdout.on("error", endQuietly)
process.exitCode = await main()
