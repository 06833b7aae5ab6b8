/**
 * How often nodes that gather look at what they heard and say what they think (SPEC R6). Every join heard may change the
 * hearer's own, so among N nodes joins that are answered at once would be N^3 datagrams, and repeats alone are N^2. A small
 * site looks at each join as it comes and repeats with `retransmit`; a larger one leaves each peer its share of time.
 */
import { type Millis, millis } from "../../protocol/units.ts"
import type { NodeState } from "./state.ts"

/** Sites with fewer peers than this are small. */
const smallSite = 4
/** So much a peer passes between two looks: about what opening its join, and sealing one for it, takes. */
const lookEach = 1
/** So much a peer passes between two repeats of a join that did not change. */
const repeatEach = 5
/** So much between two probes for each node that is probed: a small part of a processor, however many they are. */
const probeEach = 20

/** Least distance between two looks at the joins heard; 0: each one is looked at when it comes. */
export function joinPace(node: NodeState): Millis {
  const peers = sitePeers(node)
  return millis(peers < smallSite ? 0 : peers * lookEach)
}

/** From one join to its repeat. */
export function joinRepeat(node: NodeState): Millis {
  const { retransmit } = node.config.timings
  const peers = sitePeers(node)
  return millis(peers < smallSite ? retransmit : Math.max(retransmit, peers * repeatEach))
}

/** Between two probes of each of `count` nodes. */
export function probePace(count: number): Millis {
  return millis(count * probeEach)
}

/** Joins say what probes say and more: while a larger site gathers, who has joined is not probed, and nobody before all had their time to join (SPEC R5). */
export function joinsAreProbes(node: NodeState): boolean {
  return sitePeers(node) >= smallSite
}

export function sitePeers(node: NodeState): number {
  let count = 0
  for (const peer of node.peers.values()) if (peer.sameSite) count += 1
  return count
}
