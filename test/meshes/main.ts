/**
 * `npm run meshes`: real agents in network namespaces, cut by nftables at the switch, through every one-way cut and every partial mesh
 * of three, four and five nodes: those that reach each other pairwise come to be one ring, the same on all its members,
 * and then nothing moves any more. Prints how many graphs, and the longest that one took.
 *
 * All of them, not one of each shape: tokens go in the order of ids, and of sets of one size the one with the lowest ids
 * is taken, so a renaming of the nodes is another case. `--shapes` is the short form all the same.
 */
import { parseArgs } from "node:util"
import { createWorkplace, endEverythingAtExit, removeWorkplace } from "../support/cluster/workplace.ts"
import { type Graph, nameOf, oneWayCuts, partialMeshes, shapes } from "../support/meshes.ts"
import { MeshLab, type Settled } from "./mesh-lab.ts"

const usage = `Usage: npm run meshes -- [options]

Needs root, iproute2 and nftables

  --sizes=LIST     nodes, of 3, 4, 5 (3,4,5)
  --kinds=LIST     of one-way, partial (one-way,partial)
  --shapes         one graph of each shape
  --clusters=N     side by side (3)
  --watch=SECONDS  without any change, after which a graph counts as settled (4)
  --minutes=N      stop taking new graphs after this long (no limit)
  --from=N         skip the first N graphs of each size and kind`

const kinds: Readonly<Record<string, (count: number) => readonly Graph[]>> = {
  "one-way": oneWayCuts,
  partial: partialMeshes,
}

interface Outcome {
  readonly graph: Graph
  readonly settled: Settled
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      sizes: { type: "string", default: "3,4,5" },
      kinds: { type: "string", default: "one-way,partial" },
      shapes: { type: "boolean", default: false },
      clusters: { type: "string", default: "3" },
      watch: { type: "string", default: "4" },
      minutes: { type: "string", default: "Infinity" },
      from: { type: "string", default: "0" },
      help: { type: "boolean", short: "h", default: false },
    },
  })
  const sizes = values.sizes.split(",").map(Number)
  const chosen = values.kinds.split(",")
  const [clusters, watch, minutes, skipped] = [
    values.clusters,
    values.watch,
    values.minutes,
    values.from,
  ].map(Number) as [number, number, number, number]
  const isGood = sizes.every((size) => [3, 4, 5].includes(size)) && chosen.every((kind) => kind in kinds)
  if (values.help || !isGood || !(clusters >= 1) || !(watch > 0) || !(minutes > 0) || !(skipped >= 0)) {
    say(usage)
    return values.help ? 0 : 2
  }
  endEverythingAtExit()
  const workplace = await createWorkplace("meshes")
  const deadline = performance.now() + minutes * 60_000
  let failed = 0
  for (const size of sizes) {
    const labs = await Promise.all(
      Array.from({ length: clusters }, (_, index) => MeshLab.prepare(workplace, index, size, watch * 1000)),
    )
    try {
      for (const kind of chosen) {
        const every = kinds[kind]?.(size) ?? []
        const graphs = (values.shapes ? shapes(size, every) : every).slice(skipped)
        const outcomes = await takeThrough(labs, graphs, deadline)
        failed += report(`${size} nodes, ${kind}`, outcomes, graphs.length)
      }
    } finally {
      for (const lab of labs) await lab.close()
    }
  }
  removeWorkplace(workplace)
  return failed === 0 ? 0 : 1
}

/** Each cluster takes the next graph when it is done with one. */
async function takeThrough(
  labs: readonly MeshLab[],
  graphs: readonly Graph[],
  deadline: number,
): Promise<readonly Outcome[]> {
  const left = [...graphs]
  const outcomes: Outcome[] = []
  await Promise.all(
    labs.map(async (lab) => {
      for (let graph = left.shift(); graph !== undefined; graph = left.shift()) {
        if (performance.now() > deadline) return
        const settled = await lab.takeThrough(graph)
        outcomes.push({ graph, settled })
        if (settled.kind === "wrong") say(`  WRONG ${nameOf(graph)}: ${settled.how}`)
      }
    }),
  )
  return outcomes
}

function report(title: string, outcomes: readonly Outcome[], wanted: number): number {
  const wrong = outcomes.filter(({ settled }) => settled.kind === "wrong").length
  const times = outcomes
    .flatMap(({ graph, settled }) => (settled.kind === "settled" ? [{ graph, after: settled.after }] : []))
    .toSorted((a, b) => a.after - b.after)
  const [median, worst] = [times[Math.floor(times.length / 2)], times.at(-1)]
  say(
    `${title}: ${outcomes.length} of ${wanted} graphs, ${wrong} wrong; last view after the cut: median ${median?.after ?? "-"} ms, ` +
      `longest ${worst?.after ?? "-"} ms (${worst === undefined ? "" : nameOf(worst.graph) || "no way left"})`,
  )
  return wrong
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

process.exit(await main())
