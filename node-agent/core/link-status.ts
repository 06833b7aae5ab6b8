/** What `quorumbeat status` shows of the links to one peer: each with its two directions. Decides nothing. */
import { formatUdpAddress } from "../../protocol/address.ts"
import type { LinkState } from "../../protocol/frame.ts"
import { elapsed, type Instant } from "../../protocol/units.ts"
import { lossShare, stateOf } from "./links.ts"
import { probeInterval } from "./peers.ts"
import type { NodeState, Peer } from "./state.ts"

export interface LinkStatus {
  /** From 1. */
  readonly link: number
  readonly address: string
  readonly state: LinkState
  readonly reason: string | undefined
  readonly rtt_ms: number | undefined
  /** Of the frames that come from the peer. */
  readonly in: LinkDirection
  /** Of those that go to it, by its own word; undefined: it has not said. */
  readonly out: Omit<LinkDirection, "heard_ms"> | undefined
}

interface LinkDirection {
  readonly state: LinkState
  readonly heard_ms: number | undefined
  readonly jitter_ms: number
  readonly loss_percent: number
}

/** Nobody looks at the links to a node that is not in the view: they are as good as what is heard over them. */
export function linksStatus(
  node: NodeState,
  peer: Peer,
  isMember: boolean,
  now: Instant,
): readonly LinkStatus[] {
  if (!peer.sameSite) return []
  const links = node.links.peers.get(peer.node.id)?.links ?? []
  return links.map((link, index) => {
    const address = peer.node.links[index]
    const heard = link.heard === undefined ? undefined : elapsed(link.heard, now)
    const outside = heard !== undefined && heard < 3 * probeInterval(node) ? "up" : "down"
    return {
      link: index + 1,
      address: address === undefined ? "" : formatUdpAddress(address),
      state: isMember ? stateOf(link.level) : outside,
      reason: isMember && link.reason !== "" ? link.reason : undefined,
      rtt_ms: link.rtt === undefined ? undefined : hundredths(link.rtt),
      in: {
        state: isMember ? stateOf(link.incoming) : outside,
        heard_ms: heard === undefined ? undefined : Math.round(heard),
        jitter_ms: hundredths(link.jitter),
        loss_percent: hundredths(100 * lossShare(link.expected, link.lost)),
      },
      out:
        link.told === undefined
          ? undefined
          : {
              state: link.told.state,
              jitter_ms: hundredths(link.told.jitter),
              loss_percent: hundredths(link.told.loss / 10_000),
            },
    }
  })
}

function hundredths(value: number): number {
  return Math.round(value * 100) / 100
}
