/**
 * One visit of the token, the table of contents of a member's work: take it in, learn what others put on it, deliver
 * what is safe, renew rights, let the coordinator act, pass it on.
 */
import type { TokenFrame } from "../../protocol/frame.ts"
import { type NodeId, sameRing } from "../../protocol/units.ts"
import { renewServices } from "./activations.ts"
import { coordinate } from "./coordinator.ts"
import { deliverSafe, receiveOrdered } from "./delivery.ts"
import { orderReport } from "./report.ts"
import { acceptToken, forwardToken, noteStored, releaseToken } from "./ring.ts"
import { entriesFor, learnEntries } from "./token-entries.ts"
import { log, type Turn } from "./turn.ts"

export function onToken(turn: Turn, from: NodeId | undefined, token: TokenFrame): void {
  const { node } = turn
  const before = node.ring?.received ?? 0
  const visit = acceptToken(turn, from, token)
  if (visit === undefined || node.ring === undefined) return
  for (const message of token.messages) {
    if (message.seq > before)
      noteStored(node, message.seq, receiveOrdered(turn, message.payload, message.origin))
  }
  beginRecovery(turn)
  reportWhenReady(turn)
  learnEntries(turn, visit)
  deliverSafe(turn, visit.safe)
  // A delivered message may have ended the ring for this node: then the token is not passed on.
  if (node.ring === undefined || !sameRing(node.ring.id, token.ring)) return
  renewServices(turn)
  coordinate(turn)
  forwardToken(turn, token, entriesFor(turn, token), (payload) => receiveOrdered(turn, payload, node.self.id))
}

export function startToken(turn: Turn, token: TokenFrame): void {
  onToken(turn, undefined, token)
}

/** A kept token whose time has come; in a ring of one it is handled at once. */
export function releaseDueToken(turn: Turn): void {
  const holding = turn.node.ring?.holding
  if (holding === undefined || holding.releaseAt > turn.now) return
  const returned = releaseToken(turn)
  if (returned !== undefined) onToken(turn, undefined, returned)
}

/** The first token of a committed ring: from now on reports are exchanged over it (SPEC R10). */
function beginRecovery(turn: Turn): void {
  const { node, now } = turn
  if (node.membership.kind !== "commit") return
  node.membership = { kind: "recovery", since: now, reported: false }
  log(turn, "debug", "recovery", {})
}

function reportWhenReady(turn: Turn): void {
  const { membership } = turn.node
  if (membership.kind !== "recovery" || membership.reported) return
  if (orderReport(turn)) turn.node.membership = { ...membership, reported: true }
}
