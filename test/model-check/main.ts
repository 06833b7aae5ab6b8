/**
 * `npm run model-check`: explores small clusters exhaustively within bounds. Exit status 0 only if all was explored and nothing
 * was violated; with --mutations, if every one was found.
 */
import { parseArgs } from "node:util"
import {
  boundsOf,
  type ClusterName,
  clusterNames,
  faultsOf,
  formed,
  rateVectors,
  standard,
} from "./clusters.ts"
import { type Bounds, type Budget, type Exploration, explore } from "./explore.ts"
import { quantum } from "./model.ts"
import { exploreMutation } from "./mutated.ts"
import { mutations } from "./mutations.ts"

const usage = `Usage: npm run model-check -- [options]

Explores every way in which at most so many things go wrong within so many quanta of ${quantum} ms, beginning with a cluster that is
formed and runs its service. Things that go wrong: a datagram of ring or site, a post, a reply is lost, late by
${standard.delays.join(" or ")} quanta, or its receiver dies before it; a write is late or lost with its process; a process dies, starts again, or is
stopped for ${standard.stands.join(" or ")} quanta; a way is cut, in one or both directions, or all are healed; of two halves the one loses
the witness and the other gets it (twice at least, 100 quanta deep).

  --cluster NAME        ${clusterNames.join(" | ")} (default: all)
  --packets N           of the first kind, on one path (default 1)
  --disturbances N      of processes and ways (default 1)
  --depth N             quanta (default 60)
  --clocks N            so many combinations of slow and fast clocks, the worst first (default 1; all: 8, which takes hours)
  --states-max N        end there (default ${standard.statesMax})
  --mutations           instead: switch off one rule of the protocol after the other; each must be found`

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      cluster: { type: "string" },
      packets: { type: "string", default: "1" },
      disturbances: { type: "string", default: "1" },
      depth: { type: "string", default: "60" },
      clocks: { type: "string", default: "1" },
      "states-max": { type: "string", default: String(standard.statesMax) },
      mutations: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    return 0
  }
  if (values.mutations) return tryMutations()
  const chosen = clusterNames.filter((name) => values.cluster === undefined || name === values.cluster)
  const numbers = [
    values.packets,
    values.disturbances,
    values.depth,
    values.clocks,
    values["states-max"],
  ].map(Number)
  const [packets = 0, disturbances = 0, depth = 0, clocks = 0, statesMax = 0] = numbers
  if (chosen.length === 0 || !numbers.every((value) => Number.isInteger(value) && value >= 0)) {
    console.error(usage)
    return 2
  }
  return tryClusters(chosen, { depth, budget: { packets, disturbances }, statesMax }, clocks)
}

function tryClusters(
  names: readonly ClusterName[],
  bounds: Pick<Bounds, "depth" | "budget" | "statesMax">,
  clocks: number,
): number {
  let [states, transitions] = [0, 0]
  let isClean = true
  for (const name of names) {
    for (const rates of rateVectors(name).slice(0, clocks)) {
      const from = performance.now()
      const asked = boundsOf(name, bounds)
      const found = explore(formed(name, rates), { ...standard, ...asked, ...faultsOf(name) })
      const seconds = (performance.now() - from) / 1000
      console.log(
        `${name}, clocks ${rates.join(" ")}, ${budgetText(asked.budget)}: ${resultText(found)}, ${seconds.toFixed(1)} s`,
      )
      for (const line of found.violation?.path ?? []) console.log(`    ${line}`)
      states += found.states
      transitions += found.transitions
      isClean &&= found.stopped === undefined
    }
  }
  console.log(`${states} states, ${transitions} transitions; ${isClean ? "nothing violated" : "NOT CLEAN"}`)
  return isClean ? 0 : 1
}

async function tryMutations(): Promise<number> {
  let survivors = 0
  for (const mutation of mutations) {
    const from = performance.now()
    const found = await exploreMutation(mutation)
    const seconds = ((performance.now() - from) / 1000).toFixed(1)
    console.log(
      `without ${mutation.rule}\n  ${mutation.cluster}, ${budgetText(mutation.budget)}: ${resultText(found)}, ${seconds} s`,
    )
    for (const line of found.violation?.path ?? []) console.log(`    ${line}`)
    if (found.violation === undefined) survivors += 1
  }
  console.log(`${mutations.length - survivors} of ${mutations.length} found`)
  return survivors === 0 ? 0 : 1
}

function budgetText({ packets, disturbances }: Budget): string {
  return `${packets} packets and ${disturbances} disturbances`
}

function resultText({ states, transitions, depth, takeovers, stopped, violation }: Exploration): string {
  const figures = `${states} states, ${transitions} transitions, depth ${depth}, ${takeovers} takeovers`
  if (violation !== undefined) return `${violation.what} (${figures})`
  return `${figures}, ${stopped === undefined ? "all explored" : "ENDED at the most states allowed"}`
}

process.exit(await main())
