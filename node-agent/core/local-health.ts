/**
 * A node that is late itself suspects itself first (SPEC LN8, R3), as Lifeguard has it (Dadgar, Phillips, Currey,
 * "Lifeguard: Local Health Awareness for More Accurate Failure Detection", 2018): a count rises with each wait that ended late and falls with
 * each that was punctual; while it stands, so many more silences are needed before anybody else is accused.
 * Deviation: theirs counts missed acknowledgements too, which here would be the very thing in question.
 */
import { after, elapsed, type Instant } from "../../protocol/units.ts"
import type { Gather, NodeState } from "./state.ts"
import { report, type Turn } from "./turn.ts"

/** Lifeguard's largest multiplier. A node so late has long lost its own lease. */
const scoreMax = 8
/** Late waits in a row that are worth telling people of. */
const scoreTold = 3

/** The regular look at the links, due at `due`, comes now. True: this node is late. */
export function noteLook(turn: Turn, due: Instant): boolean {
  const late = noteWait(turn, due)
  const { localHealth } = turn.node
  if (late && localHealth === scoreTold)
    report(
      turn,
      "warning",
      "node-late",
      turn.node.self.name,
      "its own loop runs late: it accuses nobody lightly",
    )
  return late
}

/** A wait that should have ended at `due` ended now. True: it ended late. */
export function noteWait({ node, now }: Turn, due: Instant): boolean {
  const isLate = isLateBy(node, due, now)
  node.localHealth = Math.min(Math.max(node.localHealth + (isLate ? 1 : -1), 0), scoreMax)
  return isLate
}

function isLateBy(node: NodeState, due: Instant, now: Instant): boolean {
  return elapsed(due, now) > node.config.timings.lateness
}

/**
 * Whether the silence after `sendings` speaks against the peer: the usual number, one more for each late wait of
 * late, the present one included.
 */
export function mayAccuse(turn: Turn, sendings: number, due: Instant): boolean {
  noteWait(turn, due)
  return sendings >= turn.node.config.timings.misses + turn.node.localHealth
}

/** A node that slept while it gathered has not heard who joined: it does not leave them out. */
export function waitAnewIfLate({ node, now }: Turn, gather: Gather): void {
  if (!isLateBy(node, gather.nextJoin, now)) return
  node.membership = { ...gather, waitUntil: after(now, node.config.timings.gatherWait) }
}
