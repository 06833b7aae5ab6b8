/**
 * The ring (SPEC R, L): token passing with an acknowledgement for each hop, retransmission, idle pacing, flow control,
 * and the ring lease that a rotation of the token proves. Source: Totem single ring (Amir, Moser, Melliar-Smith,
 * Agarwal, Ciarfella, ACM TOCS 13(4), 1995). Deviations:
 *
 * - the successor acknowledges at once, and `misses` sendings without an answer name who failed (Totem waits for the
 *   token to be lost);
 * - the representative keeps the token after every second quiet pass until the heartbeat interval is over;
 * - ordered messages ride along with the token for one rotation instead of being sent apart, so a member that handled a
 *   token has all messages up to its `seq`, and `aru` falls behind only where a message must be stored first;
 * - a member whose token is overdue probes its predecessor: a representative that died holding the token is found too.
 */
import { assert } from "../../protocol/assert.ts"
import { frameLimits, type OrderedMessage, type TokenFrame } from "../../protocol/frame.ts"
import { fitting } from "../../protocol/frame-fields.ts"
import { tokenLists } from "../../protocol/token-frame.ts"
import {
  after,
  elapsed,
  type Incarnation,
  type Instant,
  instant,
  millis,
  type NodeId,
  type RingId,
  sameRing,
} from "../../protocol/units.ts"
import { encodeMessage, type Message } from "./messages.ts"
import type { NodeState, Ring } from "./state.ts"
import { persistedUpTo } from "./stored.ts"
import { log, send, type Turn } from "./turn.ts"

/** Passes in one burst before a busy ring is paced, so that a slow disk cannot make it spin. */
const burstPasses = 12
/** Share of the heartbeat interval between the passes of a paced busy ring. */
const pacedShare = 40

export function createRing(
  id: RingId,
  members: readonly NodeId[],
  incarnations: ReadonlyMap<NodeId, Incarnation>,
  leftAt: Instant,
  now: Instant,
): Ring {
  return {
    id,
    members,
    incarnations,
    leftAt,
    handled: 0,
    lastHandling: undefined,
    firstSent: undefined,
    lease: undefined,
    outstanding: undefined,
    holding: undefined,
    passes: 0,
    quiet: 0,
    cycleStart: now,
    log: [],
    received: 0,
    delivered: 0,
    unstored: [],
    aruSent: 0,
    pending: [],
    wantedAt: undefined,
    overdue: undefined,
    reports: new Map(),
    healthTold: undefined,
  }
}

/** The first token of a ring, made by its representative. */
export function firstToken(ring: Ring): TokenFrame {
  const empty = { messages: [], rights: [], watches: [], health: [] }
  return { kind: "token", ring: ring.id, number: 1, seq: 0, aru: 0, aruBy: 0, ...empty }
}

export interface TokenVisit {
  readonly token: TokenFrame
  /** s_i of the last handling; undefined: no right may be learnt from this token yet. */
  readonly previousSending: Instant | undefined
  /** Messages up to here have been received and stored by every member. */
  readonly safe: number
}

/**
 * Takes a token in: acknowledges it, and if it is fresh renews the ring lease and the log. `undefined`: not handled
 * (another ring, or a number handled before: a retransmission renews nothing).
 */
export function acceptToken(turn: Turn, from: NodeId | undefined, token: TokenFrame): TokenVisit | undefined {
  const { node, now } = turn
  const ring = node.ring
  if (ring === undefined || !sameRing(ring.id, token.ring)) return undefined
  if (from !== undefined) send(turn, from, { kind: "token-ack", ring: token.ring, number: token.number })
  if (token.number <= ring.handled) return undefined
  const fresh = token.messages.filter((message) => message.seq > ring.received)
  if (!continues(fresh, ring.received, token.seq)) {
    log(turn, "error", "token-with-gap", { received: ring.received, seq: token.seq })
    return undefined
  }
  if (ring.lease !== undefined && ring.lease < now)
    log(turn, "warn", "ring-lease-lapsed", { for_ms: Math.round(elapsed(ring.lease, now)) })
  const previousSending = ring.firstSent
  const lease = previousSending === undefined ? ring.lease : after(previousSending, node.config.timings.lease)
  node.ring = {
    ...ring,
    handled: token.number,
    lastHandling: now,
    lease,
    outstanding: undefined,
    overdue: undefined,
    wantedAt: undefined,
    log: fresh.length === 0 ? ring.log : [...ring.log, ...fresh],
    received: token.seq,
  }
  return { token, previousSending, safe: Math.min(ring.aruSent, token.aru) }
}

function continues(fresh: readonly OrderedMessage[], received: number, seq: number): boolean {
  return (
    fresh.every((message, index) => message.seq === received + 1 + index) && received + fresh.length === seq
  )
}

/** What a visit leaves on the token besides the ordered messages. */
export type TokenEntries = Pick<TokenFrame, "rights" | "watches" | "health">

/**
 * Puts this node's messages on the token and passes it on, or keeps it as the pace demands. `store` orders the
 * durable write a message needs, if any, and returns its number.
 */
export function forwardToken(
  turn: Turn,
  token: TokenFrame,
  entries: TokenEntries,
  store: (payload: string) => number | undefined,
): void {
  const { node, now } = turn
  assert(node.ring !== undefined, "a token is forwarded on the ring that handled it")
  const others = token.messages.filter((message) => message.origin !== node.self.id)
  const added = messagesToAdd(node.ring, others, token.seq, node.self.id)
  const seq = token.seq + added.length
  if (added.length > 0)
    node.ring = {
      ...node.ring,
      log: [...node.ring.log, ...added],
      received: seq,
      pending: node.ring.pending.slice(added.length),
    }
  for (const message of added) noteStored(node, message.seq, store(message.payload))
  const { aru, aruBy } = updatedAru(node, token, seq)
  const onward: TokenFrame = {
    ...token,
    number: token.number + 1,
    seq,
    aru,
    aruBy,
    messages: [...others, ...added],
    ...entries,
  }
  if (node.ring.aruSent !== aru) node.ring = { ...node.ring, aruSent: aru }
  if (node.ring.members[0] === node.self.id) paceToken(turn, onward)
  else sendToken(turn, onward, now)
}

function messagesToAdd(
  ring: Ring,
  carried: readonly OrderedMessage[],
  seq: number,
  self: NodeId,
): readonly OrderedMessage[] {
  if (ring.pending.length === 0) return []
  const waiting = ring.pending.map((payload, index) => ({ seq: seq + index + 1, origin: self, payload }))
  return fitting([...carried, ...waiting], tokenLists.messages).slice(carried.length)
}

/** Notes that `seq` counts as received only once `write` is on the disk. */
export function noteStored(node: NodeState, seq: number, write: number | undefined): void {
  if (write === undefined || node.ring === undefined || node.durable.written >= write) return
  node.ring = { ...node.ring, unstored: [...node.ring.unstored, { seq, write }] }
}

/** Totem's rule for `aru`: lowered by who has less, raised again by who lowered it. */
function updatedAru(node: NodeState, token: TokenFrame, seq: number): Pick<TokenFrame, "aru" | "aruBy"> {
  assert(node.ring !== undefined, "aru belongs to a ring")
  const mine = persistedUpTo(node.ring, node.durable.written)
  if (mine < token.aru || token.aruBy === node.self.id || token.aruBy === 0) {
    return { aru: mine, aruBy: mine === seq ? 0 : node.self.id }
  }
  return { aru: token.aru, aruBy: token.aruBy }
}

/** The representative's choice: on at once while there is news, else kept until the heartbeat interval is over. */
function paceToken(turn: Turn, token: TokenFrame): void {
  const { node, now } = turn
  assert(node.ring !== undefined, "the representative paces its ring")
  const ring = node.ring
  const busy = token.messages.length > 0 || token.aru < token.seq || ring.pending.length > 0
  const passes = ring.passes + 1
  const quiet = busy ? 0 : ring.quiet + 1
  node.ring = { ...ring, passes, quiet }
  const { heartbeat } = node.config.timings
  const idle = passes >= 2 && quiet >= 2
  const releaseAt = idle
    ? after(ring.cycleStart, heartbeat)
    : passes > burstPasses
      ? after(now, millis(heartbeat / pacedShare))
      : now
  const alone = ring.members.length === 1
  if (!idle && releaseAt <= now && !alone) sendToken(turn, token, now)
  else node.ring = { ...node.ring, holding: { token, releaseAt: instant(Math.max(releaseAt, now)) } }
}

/** Lets a kept token go. In a ring of one it comes back to this node at once: the caller handles what is returned. */
export function releaseToken(turn: Turn): TokenFrame | undefined {
  const { node, now } = turn
  const ring = node.ring
  if (ring?.holding === undefined) return undefined
  const { token } = ring.holding
  const idle = ring.passes >= 2 && ring.quiet >= 2
  node.ring = {
    ...ring,
    holding: undefined,
    ...(idle ? { passes: 0, quiet: 0, cycleStart: nextCycle(node, ring, now) } : {}),
  }
  sendToken(turn, token, now)
  return ring.members.length === 1 ? token : undefined
}

/** Absolute deadlines, so that lateness does not add up; a cycle missed by far starts anew. */
function nextCycle(node: NodeState, ring: Ring, now: Instant): Instant {
  const planned = after(ring.cycleStart, node.config.timings.heartbeat)
  const late = elapsed(planned, now)
  return late >= 0 && late < node.config.timings.heartbeat ? planned : now
}

/** First sending: `s_i` is noted just before (SPEC L2). */
function sendToken(turn: Turn, token: TokenFrame, now: Instant): void {
  const { node } = turn
  assert(node.ring !== undefined, "a token is sent on a ring")
  const to = successor(node.ring, node.self.id)
  if (to === node.self.id) {
    node.ring = { ...node.ring, firstSent: now }
    return
  }
  const nextAt = after(now, node.config.timings.retransmit)
  node.ring = { ...node.ring, firstSent: now, outstanding: { token, sendings: 1, nextAt } }
  send(turn, to, token)
}

export function successor(ring: Ring, self: NodeId): NodeId {
  const next = ring.members[(ring.members.indexOf(self) + 1) % ring.members.length]
  assert(next !== undefined, "a ring has members")
  return next
}

export function predecessor(ring: Ring, self: NodeId): NodeId {
  const count = ring.members.length
  const before = ring.members[(ring.members.indexOf(self) + count - 1) % count]
  assert(before !== undefined, "a ring has members")
  return before
}

export function onTokenAck(turn: Turn, ring: RingId, number: number): void {
  const { node } = turn
  if (node.ring?.outstanding === undefined || !sameRing(node.ring.id, ring)) return
  if (node.ring.outstanding.token.number === number) node.ring = { ...node.ring, outstanding: undefined }
}

/** A member has something to say: a kept token goes at once. */
export function onTokenWanted(turn: Turn, ring: RingId): void {
  const { node, now } = turn
  if (node.ring?.holding === undefined || !sameRing(node.ring.id, ring)) return
  node.ring = { ...node.ring, holding: { ...node.ring.holding, releaseAt: now } }
}

/** Queues an ordered message for this node's next visits. */
export function order(turn: Turn, message: Message): void {
  const { node } = turn
  if (node.ring === undefined) return
  const payload = encodeMessage(message)
  assert(payload.length <= frameLimits.payloadBytes, `an ordered message fits its bound: ${message.kind}`)
  node.ring = { ...node.ring, pending: [...node.ring.pending, payload] }
}

/** At the end of a step: pending messages call for the token, at most once each `retransmit`. */
export function callForToken(turn: Turn): void {
  const { node, now } = turn
  const ring = node.ring
  if (ring === undefined || ring.pending.length === 0 || ring.handled === 0) return
  if (ring.holding !== undefined) {
    const idle = ring.passes >= 2 && ring.quiet >= 2
    if (idle && ring.holding.releaseAt > now)
      node.ring = { ...ring, holding: { ...ring.holding, releaseAt: now } }
    return
  }
  const representative = ring.members[0]
  if (representative === undefined || representative === node.self.id) return
  if (ring.wantedAt !== undefined && elapsed(ring.wantedAt, now) < node.config.timings.retransmit) return
  node.ring = { ...ring, wantedAt: now }
  send(turn, representative, { kind: "token-wanted", ring: ring.id })
}
