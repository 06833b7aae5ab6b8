/**
 * `npm run demo`: the main job on this machine, with real processes: two sites of two nodes, the embedded witness, a WAN
 * that is cut, nodes and a site that are killed. Exit status 0 only if every step was as expected.
 */
import { checkTraces } from "../check-trace/checks.ts"
import { Cluster } from "../support/cluster/cluster.ts"
import { now } from "../support/cluster/waiting.ts"
import { createWorkplace, endEverythingAtExit, removeWorkplace } from "../support/cluster/workplace.ts"
import { type DemoOptions, readOptions, usage } from "./options.ts"
import { Stage, ttl } from "./stage.ts"
import { stay } from "./stay.ts"
import { stepsOn, tracesOf } from "./steps.ts"
import { formatTable, isPassed, playAll } from "./verdict.ts"

/** The industrial profile's ring; between the sites half the default patience, so that the demo takes half the time. */
const timings = {
  voice_ttl_ms: ttl,
  mandate_ttl_ms: ttl,
  renewal_ms: 1_000,
  summary_interval_ms: 500,
  wan_heartbeat_ms: 500,
  wan_silent_ms: 2_500,
  claim_stagger_ms: 1_000,
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2))
  if (typeof options === "string") {
    process.stdout.write(`${options}\n`)
    return options === usage ? 0 : 2
  }
  endEverythingAtExit()
  return demonstrate(options)
}

async function demonstrate({ broken, stay: stays, keep, basePort }: DemoOptions): Promise<number> {
  const from = now()
  const workplace = await createWorkplace("demo", broken?.patches)
  say(`quorumbeat demo in ${workplace.directory}`)
  if (broken !== undefined) say(`WITHOUT the rule ${broken.name}: ${broken.explanation}`)
  const cluster = await Cluster.prepare({
    name: "demo",
    sites: [
      { name: "north", nodes: ["n1", "n2"] },
      { name: "south", nodes: ["s1", "s2"] },
    ],
    profile: "industrial",
    timings,
    hasWitness: true,
    // Not the ring's representative first: its death is noticed later than that of any other.
    serviceNodes: ["n2", "n1", "s2", "s1"],
    trace: true,
    directory: workplace.directory,
    program: workplace.program,
    ...(basePort === undefined ? {} : { basePort }),
  })
  const stage = new Stage(cluster)
  const verdicts = await playAll(stepsOn(stage), say)
  const passed = isPassed(verdicts)
  say(`\n${formatTable(verdicts)}\n`)
  // The step that reads the traces is not played once another has failed.
  if (!passed)
    for (const violation of checkTraces(tracesOf(stage)).violations) say(`in the traces: ${violation}`)
  say(`${passed ? "PASSED" : "FAILED"} in ${((now() - from) / 1000).toFixed(1)} s`)
  if (stays) await stay(cluster, workplace)
  await cluster.end()
  if (passed && !keep) removeWorkplace(workplace)
  else say(`logs and traces: ${workplace.directory}`)
  return passed ? 0 : 1
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

process.exit(await main())
