/** SPEC R6, R7: which nodes would form a ring. All graphs of three and of four nodes, one-way links included. */
import { describe, expect, test } from "vitest"
import {
  accusations,
  agreed,
  cliques,
  isRoundSince,
  type Join,
  nextRound,
  proposalOf,
  saysTheSame,
  type Told,
} from "../../../node-agent/core/gather.ts"
import { createRandom, draw } from "../../../node-agent/core/random.ts"
import { type Incarnation, incarnation, type NodeId, nodeId } from "../../../protocol/units.ts"
import { at, ids } from "./node-builder.ts"

/** `hears(a, b)`: a hears b. */
type Graph = (a: number, b: number) => boolean

interface Options {
  readonly votes?: (members: readonly NodeId[]) => number
  readonly owners?: readonly number[]
  readonly fits?: (a: NodeId, b: NodeId) => boolean
  /** Incarnation of a node as another one knows it, if it differs. */
  readonly known?: (listener: number, speaker: number) => Incarnation
}

const one = incarnation(1)

/** What `self` proposes when it has everybody's join that it hears. */
function proposal(
  nodes: readonly number[],
  hears: Graph,
  self: number,
  options: Options = {},
): readonly number[] {
  const { votes = () => 0, owners = [], known = () => one, fits = () => true } = options
  const heardBy = (listener: number) =>
    nodes
      .filter((speaker) => speaker !== listener && hears(listener, speaker))
      .map((speaker) => ({ node: nodeId(speaker), incarnation: known(listener, speaker) }))
  const joins = new Map<NodeId, Join>(
    nodes
      .filter((from) => from !== self && hears(self, from))
      .map((from) => [
        nodeId(from),
        {
          at: at(0),
          incarnation: one,
          counter: 1,
          sequence: 0,
          hears: [...heardBy(from), { node: nodeId(from), incarnation: one }],
          accuses: [],
          proposal: [],
          owner: owners.includes(from),
        },
      ]),
  )
  return proposalOf({
    self: { node: nodeId(self), incarnation: one },
    selfOwner: owners.includes(self),
    hears: heardBy(self),
    joins,
    votes,
    fits,
  })
}

/** All directed graphs over `nodes`, as bits. */
function* graphs(nodes: readonly number[]): Generator<Graph> {
  const pairs = nodes.flatMap((a) => nodes.filter((b) => b !== a).map((b) => [a, b] as const))
  for (let bits = 0; bits < 2 ** pairs.length; bits++) {
    const edges = new Set(pairs.filter((_, index) => (bits >> index) % 2 === 1).map(([a, b]) => a * 10 + b))
    yield (a, b) => edges.has(a * 10 + b)
  }
}

const twoWay = (hears: Graph, a: number, b: number) => hears(a, b) && hears(b, a)

/** The largest sets of nodes that hear each other pairwise and have `self` in them. */
function largest(nodes: readonly number[], hears: Graph, self: number): number {
  let size = 0
  for (let bits = 0; bits < 2 ** nodes.length; bits++) {
    const set = nodes.filter((_, index) => (bits >> index) % 2 === 1)
    const isClique = set.every((a) => set.every((b) => a === b || twoWay(hears, a, b)))
    if (set.includes(self) && isClique) size = Math.max(size, set.length)
  }
  return size
}

describe.each([{ nodes: [1, 2, 3] }, { nodes: [1, 2, 3, 4] }])("all graphs of $nodes", ({ nodes }) => {
  test("[R6] a proposal has its maker in it, is pairwise two-way, and none is larger", () => {
    for (const hears of graphs(nodes)) {
      for (const self of nodes) {
        const set = proposal(nodes, hears, self)
        expect(set).toContain(self)
        expect(set.every((a) => set.every((b) => a === b || twoWay(hears, a, b)))).toBe(true)
        expect(set.length).toBe(largest(nodes, hears, self))
      }
    }
  })

  test("[R6] of the nodes that all hear each other, each proposes the same", () => {
    for (const hears of graphs(nodes)) {
      // Symmetric ones: what a one-way link hides is not the same for all, and converges through joins.
      if (nodes.some((a) => nodes.some((b) => a !== b && hears(a, b) !== hears(b, a)))) continue
      for (const self of nodes) {
        const set = proposal(nodes, hears, self)
        const better = (other: number) => proposal(nodes, hears, other).length > set.length
        if (set.some(better)) continue
        const differing = set.filter((other) => proposal(nodes, hears, other).join() !== set.join())
        // Who differs found another set of the same size that comes first, with members `self` does not reach.
        for (const other of differing) expect(proposal(nodes, hears, other) < set).toBe(true)
      }
    }
  })

  test("[R7] some set is agreed on wherever two nodes hear each other both ways", () => {
    for (const hears of graphs(nodes)) {
      const sets = new Map(nodes.map((self) => [self, proposal(nodes, hears, self).join()]))
      const pairs = nodes.some((a) => nodes.some((b) => a < b && twoWay(hears, a, b)))
      const formed = nodes.some((self) => {
        const set = proposal(nodes, hears, self)
        return set.length > 1 && set.every((member) => sets.get(member as number) === set.join())
      })
      expect(formed).toBe(pairs)
    }
  })
})

describe("ties between sets of one size", () => {
  /** 1-2-3 in a line: {1,2} or {2,3}. */
  const line: Graph = (a, b) => Math.abs(a - b) === 1

  test("[R6] the lowest ids", () => expect(proposal([1, 2, 3], line, 2)).toEqual([1, 2]))

  test("[R6] before them, more owners of services", () => {
    expect(proposal([1, 2, 3], line, 2, { owners: [3] })).toEqual([2, 3])
    expect(proposal([1, 2, 3], line, 2, { owners: [1, 3] })).toEqual([1, 2])
  })

  test("[R6] before those, more votes", () => {
    const votes = (members: readonly NodeId[]) => (members.includes(nodeId(3)) ? 5 : 1)
    expect(proposal([1, 2, 3], line, 2, { votes, owners: [1] })).toEqual([2, 3])
  })

  test("[R6] before everything, size", () => {
    const hears: Graph = (a, b) => (a > 1 && b > 1) || a + b === 3
    expect(
      proposal([1, 2, 3, 4], hears, 2, { owners: [1], votes: (set) => (set.includes(nodeId(1)) ? 9 : 0) }),
    ).toEqual([2, 3, 4])
  })
})

test("[LC6] who may be with each of two that may not be together proposes one of them, and all the same one", () => {
  const fits = (a: NodeId, b: NodeId) => Math.abs(a - b) < 3
  const mesh = () => true
  expect(proposal([1, 2, 3, 4], mesh, 2, { fits })).toEqual([1, 2, 3])
  expect(proposal([1, 2, 3, 4], mesh, 3, { fits })).toEqual([1, 2, 3])
  expect(proposal([1, 2, 3], mesh, 1, { fits })).toEqual([1, 2, 3])
})

test("[R6] who is heard under a former incarnation is not heard", () => {
  const full: Graph = (a, b) => a !== b
  const known = (_: number, speaker: number) => incarnation(speaker === 3 ? 9 : 1)
  expect(proposal([1, 2, 3], full, 1, { known })).toEqual([1, 2])
})

test("[R7] agreed: every other member proposed exactly this set", () => {
  const joins = (...sets: readonly (readonly number[])[]) =>
    new Map(
      sets.map((set, index) => [
        nodeId(index + 2),
        {
          at: at(0),
          incarnation: one,
          counter: 1,
          sequence: 0,
          hears: [],
          accuses: [],
          proposal: ids(...set),
          owner: false,
        },
      ]),
    )
  const set = ids(1, 2, 3)
  expect(agreed(nodeId(1), set, joins([1, 2, 3], [1, 2, 3]))).toBe(true)
  expect(agreed(nodeId(1), set, joins([1, 2, 3], [1, 3]))).toBe(false)
  expect(agreed(nodeId(1), set, joins([1, 2, 3]))).toBe(false)
  expect(agreed(nodeId(1), ids(1), new Map())).toBe(true)
})

describe("[R6] maximal cliques", () => {
  const linkedBy = (edges: ReadonlySet<number>) => (a: NodeId, b: NodeId) =>
    edges.has(Math.min(a, b) * 100 + Math.max(a, b))

  /** By trying every set. */
  function byForce(count: number, linked: (a: NodeId, b: NodeId) => boolean): readonly string[] {
    const sets = Array.from({ length: 2 ** count }, (_, bits) =>
      ids(
        ...Array.from({ length: count }, (_each, index) => index + 1).filter((id) => (bits >> (id - 1)) % 2),
      ),
    ).filter((set) => set.every((a) => set.every((b) => a === b || linked(a, b))))
    const isPart = (set: readonly NodeId[], of: readonly NodeId[]) =>
      set.length < of.length && set.every((id) => of.includes(id))
    return sets.filter((set) => !sets.some((other) => isPart(set, other))).map((set) => set.join())
  }

  test("all of them, and no others", () => {
    const random = createRandom(7)
    for (let graph = 0; graph < 40; graph++) {
      const edges = new Set<number>()
      for (let a = 1; a < 8; a++)
        for (let b = a + 1; b <= 8; b++) if (draw(random) < graph / 40) edges.add(a * 100 + b)
      const linked = linkedBy(edges)
      const found = [...cliques(ids(1, 2, 3, 4, 5, 6, 7, 8), linked)].map((clique) => clique.join())
      expect(found.toSorted()).toEqual(byForce(8, linked).toSorted())
    }
  })

  test("of as many nodes as a set has bits", () => {
    const all = ids(...Array.from({ length: 32 }, (_, index) => index + 1))
    expect([...cliques(all, () => true)]).toEqual([all])
    expect([...cliques(all, () => false)]).toEqual(all.map((id) => [id]))
    expect([...cliques([], () => true)]).toEqual([[]])
  })
})

test("[R6] what a join says is compared part by part", () => {
  const evidence = {
    kind: "evidence" as const,
    round: 3,
    echoes: [{ node: nodeId(2), round: 1 }],
    relayed: [],
  }
  const told = (): Told => ({
    hears: [{ node: nodeId(2), incarnation: one }],
    accuses: ids(3),
    proposal: ids(1, 2),
    evidence,
  })
  expect(saysTheSame(told(), told())).toBe(true)
  const others: readonly Partial<Told>[] = [
    { hears: [] },
    { hears: [{ node: nodeId(2), incarnation: incarnation(2) }] },
    { accuses: [] },
    { proposal: ids(1, 3) },
    { evidence: undefined },
    { evidence: { ...evidence, round: 4 } },
    { evidence: { ...evidence, echoes: [{ node: nodeId(2), round: 2 }] } },
    { evidence: { ...evidence, relayed: [{ by: nodeId(2), of: nodeId(3) }] } },
  ]
  for (const other of others) expect(saysTheSame({ ...told(), ...other }, told())).toBe(false)
  expect(saysTheSame({ ...told(), evidence: undefined }, { ...told(), evidence: undefined })).toBe(true)
})

describe("[R6] accusations", () => {
  const noted = (...accuses: readonly number[]) => ({ accuses: ids(...accuses) })
  const evidence = (...relayed: readonly (readonly [number, number])[]) => ({
    kind: "evidence" as const,
    round: 1,
    echoes: [],
    relayed: relayed.map(([by, of]) => ({ by: nodeId(by), of: nodeId(of) })),
  })

  test("of those who joined, and what they relay of others; who has joined speaks for itself", () => {
    const joins = new Map([
      [nodeId(2), noted(9)],
      [nodeId(3), noted()],
    ])
    const told = new Map([
      [nodeId(3), evidence([4, 1], [2, 8])],
      // Its join did not come, or was forgotten.
      [nodeId(5), evidence([6, 7])],
    ])
    expect(accusations(joins, told)).toEqual([
      { by: 2, of: 9 },
      { by: 4, of: 1 },
    ])
  })

  test("rounds go round, and none is no round", () => {
    expect([1, 0xfffe, 0xffff].map(nextRound)).toEqual([2, 0xffff, 1])
    expect(isRoundSince(5, 5)).toBe(true)
    expect(isRoundSince(6, 5)).toBe(true)
    expect(isRoundSince(4, 5)).toBe(false)
    expect(isRoundSince(2, 0xffff)).toBe(true)
    expect(isRoundSince(0xffff, 2)).toBe(false)
    expect(isRoundSince(0, 5)).toBe(false)
  })
})
