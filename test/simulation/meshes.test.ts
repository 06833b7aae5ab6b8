/**
 * SPEC R5, R6: whatever is cut between three, four or five nodes, one way or both, those that reach each other pairwise form
 * one ring, the same on all its members, and then nothing moves any more. `MESHES=all` tries every graph of five nodes cut both ways
 * (1024) and of four cut in any direction (4096), which takes some minutes; otherwise of those one of each shape.
 */
import { describe, expect, test } from "vitest"
import { World } from "../../node-agent/simulation/world.ts"
import { nodeId } from "../../protocol/units.ts"
import { node } from "../support/config-builder.ts"
import { configOf } from "../support/layouts.ts"
import {
  bothWays,
  digraphs,
  type Graph,
  isPairwise,
  isRingWhole,
  nameOf,
  nodesOf,
  oneWayCuts,
  pairsOf,
  partialMeshes,
  sets,
  shapes,
} from "../support/meshes.ts"

const isAll = process.env.MESHES === "all"
/** From the cuts on. A ring forms in half a second; a worse one may come first, and evidence of outsiders takes some probes. */
const settling = 4_000
const watching = 10_000

function worldOf(count: number): World {
  const nodes = nodesOf(count).map((id) => node(id, "north"))
  return new World(configOf("1x3", { node: nodes }), { seed: count, netJitter: 0.1 })
}

function cutTo(world: World, count: number, graph: Graph): void {
  for (const [a, b] of pairsOf(count))
    for (const way of bothWays(a, b)) if (!graph.has(way)) world.cuts.add(way)
}

const viewsOf = (world: World): readonly string[] =>
  [...world.hosts.keys()].map((id) => {
    const { view, membership } = world.core(id)
    return `${membership.kind} ${view?.ring.sequence} ${view?.members.join()}`
  })

/** What is wrong with where the world came to rest; empty: nothing. */
function faultsOf(world: World, count: number, graph: Graph): readonly string[] {
  const before = viewsOf(world)
  const gathers = (): number => world.log.filter(({ event }) => event === "gather").length
  const gathersBefore = gathers()
  world.run(watching)
  const faults = [...world.violations]
  if (viewsOf(world).join("; ") !== before.join("; "))
    faults.push(`views change: ${before.join("; ")}, ${viewsOf(world).join("; ")}`)
  if (gathers() > gathersBefore) faults.push(`${gathers() - gathersBefore} times somebody gathers`)
  const members = new Map(nodesOf(count).map((id) => [id, world.core(id).view?.members ?? []]))
  for (const [id, set] of members) {
    for (const member of set) {
      if (members.get(member)?.join() !== set.join())
        faults.push(`${id} is with ${set}, ${member} with ${members.get(member)}`)
    }
  }
  // No set of nodes that reach each other is larger than the rings that all of them are in.
  for (const set of sets(count)) {
    if (
      set.length > 0 &&
      isPairwise(graph, set) &&
      set.every((id) => (members.get(nodeId(id))?.length ?? 0) < set.length)
    )
      faults.push(`${set} reach each other and are in smaller rings`)
  }
  return faults
}

/** Formed whole, then cut. */
function cutLater(count: number, graph: Graph): readonly string[] {
  const world = worldOf(count)
  world.start()
  world.run(3_000)
  const [whole] = viewsOf(world)
  cutTo(world, count, graph)
  world.run(settling)
  const faults = faultsOf(world, count, graph)
  // A ring whose every hop works goes on, whatever does not work beside it.
  if (!isRingWhole(count, graph)) return faults
  return viewsOf(world).every((view) => view === whole) ? faults : [...faults, "the ring was whole and broke"]
}

/** Cut from the start, and whole in the end. */
function cutFirst(count: number, graph: Graph): readonly string[] {
  const world = worldOf(count)
  cutTo(world, count, graph)
  world.start()
  world.run(settling)
  const rings = nodesOf(count).map((id) => world.core(id).view?.members ?? [])
  const apart = rings.filter((set) => !isPairwise(graph, set)).map((set) => `${set} do not reach each other`)
  const faults = [...faultsOf(world, count, graph), ...apart]
  world.heal()
  world.run(settling)
  const isOne = nodesOf(count).every((id) => world.core(id).view?.members.length === count)
  return isOne ? faults : [...faults, `healed, and not one ring: ${viewsOf(world).join("; ")}`]
}

const cases = [
  { what: "every graph of three", count: 3, graphs: digraphs(3) },
  { what: "every one-way cut of four", count: 4, graphs: oneWayCuts(4) },
  { what: "every partial mesh of four", count: 4, graphs: partialMeshes(4) },
  { what: "every one-way cut of five", count: 5, graphs: oneWayCuts(5) },
  isAll
    ? { what: "every partial mesh of five", count: 5, graphs: partialMeshes(5) }
    : { what: "each shape of partial mesh of five", count: 5, graphs: shapes(5, partialMeshes(5)) },
  ...(isAll ? [{ what: "every graph of four", count: 4, graphs: digraphs(4) }] : []),
]

const later = { when: "cut while the ring runs", run: cutLater, chosen: cases }
const first = {
  when: "cut from the start, then healed",
  run: cutFirst,
  chosen: isAll ? cases : cases.map((each) => ({ ...each, graphs: shapes(each.count, each.graphs) })),
}

describe.each([later, first])("[R5] [R6] $when", ({ run, chosen }) => {
  test.each(chosen)(
    "$what: the largest ring there is, and no flapping",
    { timeout: 1_800_000 },
    ({ count, graphs }) => {
      const wrong = graphs.flatMap((graph) => {
        const faults = run(count, graph)
        return faults.length === 0 ? [] : [`${nameOf(graph)}: ${faults.join("; ")}`]
      })
      expect(wrong).toEqual([])
    },
  )
})
