/**
 * `npm run check-trace DIR`: merges the agents' traces below a folder and applies the invariants. Exit status 0 only if
 * there was something to check and nothing is violated.
 */
import { parseArgs } from "node:util"
import { checkTraces } from "./checks.ts"
import { readTraces, type Traces, traceFilesIn } from "./trace-file.ts"

const usage = `Usage: npm run check-trace -- DIR [--clock-uncertainty-ms N]

Merges all traces (*.jsonl, of agents started with --trace) below DIR and applies I1 to I4 of protocol/SPEC.md.
Traces of one machine share its monotonic clock and are compared exactly. Those of several are compared by their wall
clocks: --clock-uncertainty-ms says how far these may be apart, and is then needed.
Exit status: 0 nothing violated; 1 violations; 2 nothing to check, or wrong use.`

function main(): number {
  const { values, positionals } = parseArgs({
    options: { "clock-uncertainty-ms": { type: "string" }, help: { type: "boolean" } },
    allowPositionals: true,
  })
  const [directory] = positionals
  if (values.help === true || directory === undefined || positionals.length > 1) {
    console.log(usage)
    return values.help === true ? 0 : 2
  }
  const files = traceFilesIn(directory)
  const traces = readTraces(files)
  if (traces.nodes.length === 0) return refuse(`${directory}: no traces of agents`)
  const stated = values["clock-uncertainty-ms"]
  const uncertainty = stated === undefined ? 0 : Number(stated)
  if (!(uncertainty >= 0)) return refuse(`--clock-uncertainty-ms ${stated}: expected milliseconds`)
  if (traces.bootIds.length > 1 && stated === undefined)
    return refuse("traces of several machines: say how far their clocks may be apart, --clock-uncertainty-ms")
  const { violations, undecided } = checkTraces(traces, uncertainty)
  console.log(summaryOf(traces, files.length))
  console.log(clockOf(traces, uncertainty))
  if (undecided > 0) console.log(`${undecided} overlaps within the uncertainty: neither shown nor excluded`)
  for (const violation of violations) console.log(violation)
  console.log(violations.length === 0 ? "no violations" : `${violations.length} violations`)
  return violations.length === 0 ? 0 : 1
}

function summaryOf({ nodes, rights, exercises, agreements }: Traces, files: number): string {
  const activations = new Set(rights.map(({ node, service, epoch }) => `${node} ${service} ${epoch}`))
  const views = new Set(agreements.map(({ site, ring }) => `${site} ${ring}`))
  return `${files} traces of nodes ${nodes.join(", ")}: ${activations.size} activations, ${rights.length} leases, ${exercises.length} changes of voice or mandate, ${agreements.length} deliveries in ${views.size} views`
}

function clockOf({ bootIds }: Traces, uncertainty: number): string {
  return bootIds.length > 1
    ? `${bootIds.length} machines, by their wall clocks; uncertainty ${uncertainty} ms, as stated`
    : `one monotonic clock; uncertainty ${uncertainty} ms${uncertainty === 0 ? ": readings are compared exactly" : ""}`
}

function refuse(message: string): number {
  console.error(message)
  return 2
}

process.exit(main())
