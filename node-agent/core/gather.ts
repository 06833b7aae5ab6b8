/**
 * Gather's decision: which nodes would form a ring (SPEC R6, R7). Pure. Every node sends joins that say whom it hears
 * and accuses and what it proposes; from equal joins everybody computes the same set, the largest one whose members
 * hear each other pairwise, so that partial and one-way failures converge. Deviation from Totem (which agrees on a
 * processor and a fail list): the proposal itself is exchanged and agreed upon.
 */
import { assert } from "../../protocol/assert.ts"
import type { Accusation, ConfigurationMark, EvidenceFrame, PeerIncarnation } from "../../protocol/frame.ts"
import type { Incarnation, Instant, NodeId } from "../../protocol/units.ts"

/** What a peer's latest join of this Gather said. */
export interface Join {
  readonly at: Instant
  readonly incarnation: Incarnation
  /** Of its sender's frames: one that was sent before this one says nothing new. */
  readonly counter: number
  readonly sequence: number
  readonly hears: readonly PeerIncarnation[]
  readonly accuses: readonly NodeId[]
  readonly proposal: readonly NodeId[]
  readonly owner: boolean
  readonly configuration?: ConfigurationMark | undefined
}

export interface GatherInput {
  readonly self: PeerIncarnation
  readonly selfOwner: boolean
  /** Peers that this node hears now. */
  readonly hears: readonly PeerIncarnation[]
  readonly joins: ReadonlyMap<NodeId, Join>
  /** May two of those who joined be in one view, by the configurations that they named? Without it any may. */
  readonly fits?: ((a: NodeId, b: NodeId) => boolean) | undefined
  /** Votes of a set, for ties between sets of one size. */
  readonly votes: (members: readonly NodeId[]) => number
}

/** The set this node would form a ring with, ascending; it always has the node itself in it. */
export function proposalOf(input: GatherInput): readonly NodeId[] {
  const hearing = twoWayLinks(input)
  const linked = (a: NodeId, b: NodeId): boolean => hearing(a, b) && (input.fits?.(a, b) ?? true)
  const candidates = [...input.joins.keys()].filter((peer) => linked(input.self.node, peer)).sort(ascending)
  let best: readonly NodeId[] = [input.self.node]
  for (const clique of cliques(candidates, linked)) {
    const set = [...clique, input.self.node].sort(ascending)
    if (preferred(input, set, best)) best = set
  }
  return best
}

/** True when every member of `proposal` has proposed exactly it. */
export function agreed(self: NodeId, proposal: readonly NodeId[], joins: ReadonlyMap<NodeId, Join>): boolean {
  return proposal.every(
    (member) => member === self || sameMembers(joins.get(member)?.proposal ?? [], proposal),
  )
}

/** All accusations known: those of the joins, and what was relayed of nodes whose joins do not come. */
export function accusations(
  joins: ReadonlyMap<NodeId, Pick<Join, "accuses">>,
  evidence: ReadonlyMap<NodeId, EvidenceFrame>,
): readonly Accusation[] {
  const found = new Map<string, Accusation>()
  const add = (each: Accusation) => found.set(`${each.by} ${each.of}`, each)
  for (const [by, join] of joins) for (const of of join.accuses) add({ by, of })
  for (const [from, { relayed }] of evidence) {
    if (joins.has(from)) for (const each of relayed) if (!joins.has(each.by)) add(each)
  }
  return [...found.values()]
}

/** What this node says in its joins, and with them. */
export interface Told {
  readonly hears: readonly PeerIncarnation[]
  readonly accuses: readonly NodeId[]
  readonly proposal: readonly NodeId[]
  readonly evidence: EvidenceFrame | undefined
}

/** Nobody learns anything from `told` that `before` did not say. */
export function saysTheSame(told: Told, before: Told): boolean {
  return (
    sameMembers(told.proposal, before.proposal) &&
    sameMembers(told.accuses, before.accuses) &&
    sameEntries(told.hears, before.hears, isSamePeer) &&
    isSameEvidence(told.evidence, before.evidence)
  )
}

function isSamePeer(a: PeerIncarnation, b: PeerIncarnation): boolean {
  return a.node === b.node && a.incarnation === b.incarnation
}

function isSameEvidence(a: EvidenceFrame | undefined, b: EvidenceFrame | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return (
    a.round === b.round &&
    sameEntries(a.echoes, b.echoes, (x, y) => x.node === y.node && x.round === y.round) &&
    sameEntries(a.relayed, b.relayed, (x, y) => x.by === y.by && x.of === y.of)
  )
}

function sameEntries<T>(a: readonly T[], b: readonly T[], same: (a: T, b: T) => boolean): boolean {
  return (
    a.length === b.length &&
    a.every((each, index) => {
      const other = b[index]
      return other !== undefined && same(each, other)
    })
  )
}

/** Rounds are 16 bits on the wire and go round; 0: none. */
export function nextRound(round: number): number {
  return round === 0xffff ? 1 : round + 1
}

/** `round` is `since` or a later one. */
export function isRoundSince(round: number, since: number): boolean {
  return round !== 0 && ((round - since + 0x1_0000) & 0xffff) < 0x8000
}

export function sameMembers(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return sameEntries(a, b, (member, other) => member === other)
}

export const ascending = (a: NodeId, b: NodeId): number => a - b

/** `a` hears `b` in its present incarnation, and the other way round: who hears whom is looked up, not searched for. */
function twoWayLinks(input: GatherInput): (a: NodeId, b: NodeId) => boolean {
  const present = new Map([...input.joins].map(([node, { incarnation }]) => [node, incarnation]))
  present.set(input.self.node, input.self.incarnation)
  const heardBy = new Map<NodeId, ReadonlySet<NodeId>>()
  const note = (listener: NodeId, hears: readonly PeerIncarnation[]) => {
    const current = hears.filter((peer) => present.get(peer.node) === peer.incarnation)
    heardBy.set(listener, new Set(current.map((peer) => peer.node)))
  }
  for (const [listener, { hears }] of input.joins) note(listener, hears)
  note(input.self.node, input.hears)
  return (a, b) => (heardBy.get(a)?.has(b) ?? false) && (heardBy.get(b)?.has(a) ?? false)
}

/** Larger first, then more votes, then more owners of services, then the lowest ids. A total order on sets. */
function preferred(input: GatherInput, set: readonly NodeId[], than: readonly NodeId[]): boolean {
  const difference =
    set.length - than.length ||
    input.votes(set) - input.votes(than) ||
    owners(input, set) - owners(input, than)
  if (difference !== 0) return difference > 0
  for (const [index, member] of set.entries()) {
    const other = than[index]
    if (other !== undefined && member !== other) return member < other
  }
  return false
}

function owners(input: GatherInput, set: readonly NodeId[]): number {
  return set.filter((member) =>
    member === input.self.node ? input.selfOwner : input.joins.get(member)?.owner,
  ).length
}

/**
 * All maximal cliques (Bron and Kerbosch 1973, with a pivot): one for a full mesh, few in practice. Sets are bits of a
 * number, vertices in the order given.
 */
export function* cliques(
  vertices: readonly NodeId[],
  linked: (a: NodeId, b: NodeId) => boolean,
): Generator<readonly NodeId[]> {
  assert(vertices.length <= setBits, "the nodes of a site fit into one set")
  const neighbours = vertices.map((vertex) =>
    vertices.reduce(
      (set, other, at) => (other !== vertex && linked(vertex, other) ? set | (1 << at) : set),
      0,
    ),
  )
  const all = vertices.length === setBits ? -1 : (1 << vertices.length) - 1
  if (neighbours.every((set, at) => (set | (1 << at)) === all)) {
    yield vertices
    return
  }
  const neighboursOf = (at: number): number => neighbours[at] ?? 0
  function* extend(clique: number, open: number, done: number): Generator<number> {
    if (open === 0 && done === 0) {
      yield clique
      return
    }
    let pivotNeighbours = 0
    let most = 0
    for (const vertex of positions(open | done)) {
      const reached = open & neighboursOf(vertex)
      const count = positions(reached).length
      if (count > most) [pivotNeighbours, most] = [reached, count]
    }
    let left = open
    let finished = done
    for (const vertex of positions(open & ~pivotNeighbours)) {
      const bit = 1 << vertex
      yield* extend(clique | bit, left & neighboursOf(vertex), finished & neighboursOf(vertex))
      left &= ~bit
      finished |= bit
    }
  }
  for (const clique of extend(0, all, 0)) yield vertices.filter((_vertex, at) => (clique & (1 << at)) !== 0)
}

/** Bits of a number that JavaScript's bitwise operators keep. */
const setBits = 32

/** Where the bits of a set are, ascending. */
function positions(set: number): readonly number[] {
  const found: number[] = []
  for (let left = set; left !== 0; left &= left - 1) found.push(31 - Math.clz32(left & -left))
  return found
}
