/**
 * Who failed (SPEC R3, R4): the successor that does not acknowledge the token, the predecessor that does not answer while
 * the token is overdue, and, behind both, the token lost altogether. A node that was late suspects itself first
 * (`local-health.ts`).
 */
import { after, earliest, type Instant, millis, type NodeId } from "../../protocol/units.ts"
import { mayAccuse } from "./local-health.ts"
import { enterGather } from "./membership.ts"
import { predecessor, successor } from "./ring.ts"
import type { NodeState, Ring } from "./state.ts"
import { log, send, type Turn } from "./turn.ts"

/** The earliest instant at which `watchRing` has something to do. */
export function nextWatch(node: NodeState): Instant | undefined {
  const { ring } = node
  if (ring === undefined || ring.handled === 0) return undefined
  return earliest(
    ring.outstanding?.nextAt,
    ring.overdue?.nextAt ?? overdueAt(node, ring),
    lostAt(node, ring),
    ring.holding?.releaseAt,
  )
}

export function watchRing(turn: Turn): void {
  watchSuccessor(turn)
  watchPredecessor(turn)
  watchToken(turn)
}

function watchSuccessor(turn: Turn): void {
  const { node, now } = turn
  const ring = node.ring
  if (ring?.outstanding === undefined || ring.outstanding.nextAt > now) return
  const { token, sendings, nextAt } = ring.outstanding
  const to = successor(ring, node.self.id)
  if (mayAccuse(turn, sendings, nextAt)) {
    log(turn, "warn", "successor-silent", { node: to, sendings })
    enterGather(turn, "successor-silent", to)
    return
  }
  const next = after(now, node.config.timings.retransmit)
  node.ring = { ...ring, outstanding: { token, sendings: sendings + 1, nextAt: next } }
  send(turn, to, token)
}

function watchPredecessor(turn: Turn): void {
  const { node, now } = turn
  const ring = node.ring
  if (ring === undefined || ring.members.length === 1) return
  const due = ring.overdue?.nextAt ?? overdueAt(node, ring)
  if (due === undefined || due > now) return
  const { sendings, probe } = ring.overdue ?? { sendings: 0, probe: 0 }
  const before = predecessor(ring, node.self.id)
  if (ring.overdue !== undefined && mayAccuse(turn, sendings, due)) {
    log(turn, "warn", "predecessor-silent", { node: before, sendings })
    enterGather(turn, "predecessor-silent", before)
    return
  }
  const nextAt = after(now, node.config.timings.retransmit)
  node.ring = { ...ring, overdue: { probe: probe + 1, sendings: sendings + 1, nextAt } }
  send(turn, before, { kind: "probe", id: ringProbeBase + probe + 1 })
}

/** Ids of ring probes start here, those of idle links below. */
export const ringProbeBase = 1_000_000

/** The predecessor lives: the token is late for another reason. Counting starts anew. */
export function onRingProbeAnswered(turn: Turn, from: NodeId): void {
  const { node } = turn
  const ring = node.ring
  if (ring?.overdue === undefined || from !== predecessor(ring, node.self.id)) return
  node.ring = { ...ring, overdue: { ...ring.overdue, sendings: 0 } }
}

function watchToken(turn: Turn): void {
  const { node, now } = turn
  if (node.ring === undefined) return
  const lost = lostAt(node, node.ring)
  if (lost !== undefined && lost <= now) enterGather(turn, "token-lost", undefined)
}

/** When the next token should have been here: a heartbeat and two passes after the last; not while it waits for an ack. */
function overdueAt(node: NodeState, ring: Ring): Instant | undefined {
  if (ring.holding !== undefined || ring.outstanding !== undefined || ring.members.length === 1)
    return undefined
  const { heartbeat, pass } = node.config.timings
  const isRepresentative = ring.members[0] === node.self.id
  const from = isRepresentative ? ring.firstSent : ring.lastHandling
  if (from === undefined) return undefined
  return after(from, isRepresentative ? millis(4 * pass) : millis(heartbeat + 2 * pass))
}

function lostAt(node: NodeState, ring: Ring): Instant | undefined {
  if (ring.holding !== undefined || ring.outstanding !== undefined || ring.members.length === 1)
    return undefined
  const from = ring.firstSent ?? ring.lastHandling
  return from === undefined ? undefined : after(from, node.config.timings.lease)
}
