/**
 * Is there a better ring than the present one (SPEC R5)? A ring is broken for another one only if every member of
 * that one would gain by it, by what outsiders tell with their probes and answers: whom they reach both ways and whom they
 * are with. So each step enlarges somebody's ring and none shrinks it, partial meshes come to rest, and a node that is reached by some
 * members only is no reason to break a ring that works.
 */
import type { Instant, NodeId } from "../../protocol/units.ts"
import { votesOf } from "../../protocol/votes.ts"
import { cliques } from "./gather.ts"
import { reachableOutsiders } from "./peers.ts"
import type { NodeState } from "./state.ts"

/** The members of the best ring that this node could be in, if all of them would gain by it. */
export function largerRing(node: NodeState, now: Instant, caller?: NodeId): readonly NodeId[] | undefined {
  const outsiders = reachableOutsiders(node, now, caller)
  if (outsiders.length === 0 || node.ring === undefined) return undefined
  const { members } = node.ring
  const self = node.self.id
  // Who reaches all of the ring, and gains by it: nothing else needs to be looked at.
  const welcome = outsiders.find(
    ({ node: { id }, reaches = members, ring }) =>
      members.every((member) => reaches.includes(member)) && isLarger(node, [...members, id], ring),
  )
  if (welcome !== undefined) return [...members, welcome.node.id]
  // What was looked at in vain is not looked at again: with thirty members that takes milliseconds.
  const picture = JSON.stringify([members, outsiders.map((peer) => [peer.node.id, peer.reaches, peer.ring])])
  if (picture === node.outlook) return undefined
  const reaches = new Map(outsiders.map((peer) => [peer.node.id, peer.reaches]))
  const ringOf = (id: NodeId): readonly NodeId[] => {
    if (members.includes(id)) return members
    const told = outsiders.find((peer) => peer.node.id === id)?.ring ?? []
    return told.length === 0 ? [id] : told
  }
  /** Members of the own ring are in a ring that works; an outsider's word counts for itself and them. */
  const linked = (a: NodeId, b: NodeId): boolean =>
    (reaches.get(a)?.includes(b) ?? true) && (reaches.get(b)?.includes(a) ?? true)
  const known = [...members.filter((member) => member !== self), ...reaches.keys()].filter((id) =>
    linked(id, self),
  )
  let best: readonly NodeId[] | undefined
  for (const clique of cliques(known, linked)) {
    const set = [...clique, self]
    if (!set.some((id) => reaches.has(id))) continue
    if (!set.every((id) => isLarger(node, set, ringOf(id)))) continue
    if (best === undefined || isLarger(node, set, best)) best = set
  }
  if (best === undefined) node.outlook = picture
  return best
}

/** More nodes, or as many with more votes. Ties are no reason to break a ring. */
function isLarger(node: NodeState, set: readonly NodeId[], than: readonly NodeId[]): boolean {
  const votes = (members: readonly NodeId[]) => votesOf(node.config, node.self.site, members)
  return set.length > than.length || (set.length === than.length && votes(set) > votes(than))
}
