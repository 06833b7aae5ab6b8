/**
 * Leaving gracefully (SPEC R13): the services are stopped and told as released, then the node says that it has departed.
 * It owes and is owed nothing from there on, so the others go on without waiting for any deadline.
 */
import { after, type Instant, type Millis, millis } from "../../protocol/units.ts"
import { giveUp } from "./activations.ts"
import { order } from "./ring.ts"
import type { NodeState } from "./state.ts"
import { log, type Turn } from "./turn.ts"
import { beginAct } from "./view.ts"
import { stopWatchdog } from "./watchdog.ts"

/** Time for services to stop and the others to hear of it; then the node goes all the same. */
const leaveTime = millis(30_000)

export function departed(node: NodeState): boolean {
  return node.leaving === "departed"
}

/** Called when leaving is asked for and at every step from then on. */
export function leave(turn: Turn): void {
  const { node, now } = turn
  if (node.leaving === "no") begin(turn)
  const stopped = [...node.activations.values()].every(({ phase }) => phase === "stopped")
  const late = node.leaveBy !== undefined && node.leaveBy <= now
  if (node.leaving === "departed") {
    const heard = node.view?.departed.includes(node.self.id) ?? false
    // The token is passed on for a while, so that the others learn that the message is safe.
    if (heard && node.leaveBy !== undefined && node.leaveBy > after(now, linger(node))) {
      node.leaveBy = after(now, linger(node))
    }
    if (late || node.ring === undefined) exitStopped(turn, "departed")
    return
  }
  if (late) return exit(turn, "not everything was confirmed stopped in time")
  if (node.membership.kind !== "operational" || node.view === undefined) {
    if (stopped) exitStopped(turn, "departed without a ring")
    return
  }
  beginDeparting(turn)
  const released = node.ordered.services.every(({ assignment }) => assignment?.owner !== node.self.id)
  if (!stopped || !released) return
  // From here on it exercises nothing: others may go on as soon as they hear of it, which may be before this node does.
  node.leaving = "departed"
  order(turn, { kind: "departed" })
}

function linger(node: NodeState): Millis {
  return millis(2 * node.config.timings.retransmit)
}

function begin(turn: Turn): void {
  const { node, now } = turn
  node.leaving = "departing"
  node.leaveBy = after(now, leaveTime)
  beginDeparting(turn)
  for (const activation of node.activations.values()) {
    if (activation.phase !== "stopped" && activation.phase !== "stopping")
      giveUp(turn, activation, "departing")
  }
}

function beginDeparting(turn: Turn): void {
  const { node } = turn
  if (node.view?.departing.includes(node.self.id) ?? true) return
  if (beginAct(node, "departing")) order(turn, { kind: "departing" })
}

function exitStopped(turn: Turn, reason: string): void {
  stopWatchdog(turn)
  exit(turn, reason)
}

function exit(turn: Turn, reason: string): void {
  log(turn, "info", "leaving", { reason })
  turn.node.leaveBy = undefined
  turn.effects.push({ kind: "exit", reason })
}

export function nextLeaveWork(node: NodeState): Instant | undefined {
  return node.leaving === "no" ? undefined : node.leaveBy
}
