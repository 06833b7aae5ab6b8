/** Graphs of who reaches whom: all cuts one way, all partial meshes, and what the largest ring of each is (SPEC R5, R6). */

/** Directed ways `a>b` that work, nodes from 1. */
export type Graph = ReadonlySet<string>

export const nodesOf = (count: number): readonly number[] =>
  Array.from({ length: count }, (_, index) => index + 1)
export const pairsOf = (count: number): readonly (readonly [number, number])[] =>
  nodesOf(count).flatMap((a) => nodesOf(count).flatMap((b) => (a < b ? [[a, b] as const] : [])))

function graphOf(ways: readonly string[], bits: number): Graph {
  return new Set(ways.filter((_, index) => Math.floor(bits / 2 ** index) % 2 === 1))
}

export const bothWays = (a: number, b: number): readonly string[] => [`${a}>${b}`, `${b}>${a}`]

/** Every set of pairs that reach each other both ways; the others do not at all. */
export function partialMeshes(count: number): readonly Graph[] {
  const pairs = pairsOf(count)
  return Array.from({ length: 2 ** pairs.length }, (_, bits) => {
    const kept = pairs.filter((_pair, index) => Math.floor(bits / 2 ** index) % 2 === 1)
    return new Set(kept.flatMap(([a, b]) => bothWays(a, b)))
  })
}

/** Every set of ways. */
export function digraphs(count: number): readonly Graph[] {
  const ways = pairsOf(count).flatMap(([a, b]) => bothWays(a, b))
  return Array.from({ length: 2 ** ways.length }, (_, bits) => graphOf(ways, bits))
}

export function oneWayCuts(count: number): readonly Graph[] {
  const ways = pairsOf(count).flatMap(([a, b]) => bothWays(a, b))
  return ways.map((cut) => new Set(ways.filter((way) => way !== cut)))
}

/** One of each shape, numbered as it comes: two graphs are of one shape if a renaming of the nodes makes them equal. */
export function shapes(count: number, graphs: readonly Graph[]): readonly Graph[] {
  const renamings = permutations(nodesOf(count))
  const seen = new Set<string>()
  return graphs.filter((graph) => {
    if (seen.has(nameOf(graph))) return false
    for (const renaming of renamings) seen.add(nameOf(renamed(graph, renaming)))
    return true
  })
}

function permutations(items: readonly number[]): readonly (readonly number[])[] {
  if (items.length === 0) return [[]]
  return items.flatMap((item) =>
    permutations(items.filter((each) => each !== item)).map((rest) => [item, ...rest]),
  )
}

function renamed(graph: Graph, renaming: readonly number[]): Graph {
  const of = (id: string): number => renaming[Number(id) - 1] ?? 0
  return new Set([...graph].map((way) => way.split(">").map(of).join(">")))
}

export const nameOf = (graph: Graph): string => [...graph].sort().join(" ")

const reach = (graph: Graph, a: number, b: number): boolean =>
  graph.has(`${a}>${b}`) && graph.has(`${b}>${a}`)

export function sets(count: number): readonly (readonly number[])[] {
  return Array.from({ length: 2 ** count }, (_, bits) =>
    nodesOf(count).filter((_id, index) => Math.floor(bits / 2 ** index) % 2 === 1),
  )
}

export const isPairwise = (graph: Graph, set: readonly number[]): boolean =>
  set.every((a) => set.every((b) => a === b || reach(graph, a, b)))

export const isRingWhole = (count: number, graph: Graph): boolean =>
  nodesOf(count).every((id) => reach(graph, id, (id % count) + 1))
