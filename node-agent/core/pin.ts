/**
 * Which witness object is believed (SPEC W6): the one pinned at the first contact, whose tags never fall. Another object,
 * or the same one set back, is quarantined: its answers count for nothing until an operator accepts it.
 *
 * First contact is for a view that speaks alone. Why: two halves of a site of which one has met the witness and one has not
 * share no node, so nobody could tell the second that the object it meets was made anew. A view that speaks alone shares a
 * node with each view that ever spoke with the witness (SPEC V6), and that node brings the pin.
 */
import { isOlderTag, type LeaseSummary, sameHolder, sameTag } from "../../protocol/lease.ts"
import type { NamedTag, Reply } from "../../protocol/summaries.ts"
import { after, instant, type Millis, millis, stretched } from "../../protocol/units.ts"
import { hasVoice } from "./rights.ts"
import { order } from "./ring.ts"
import type { NodeState } from "./state.ts"
import { log, persist, report, type Turn } from "./turn.ts"
import { updateView } from "./view.ts"

/** Is this reply from the object we believe? Pins the first one; quarantines any other. */
export function believed(turn: Turn, reply: Reply): boolean {
  const { node } = turn
  const { pin } = node.witness
  if (pin === undefined) {
    if (node.pinLost) return quarantine(turn, reply.witness, "no-pin")
    if (node.view?.standing.kind !== "majority-alone" || !hasVoice(node, turn.now))
      return defer(turn, reply.witness)
    pinTo(turn, reply.witness)
    order(turn, { kind: "pin", witness: reply.witness })
    return true
  }
  if (pin !== reply.witness) return quarantine(turn, reply.witness, otherObject)
  const fallen = reply.leases.find((lease) => hasFallen(turn, reply, lease))
  if (fallen !== undefined) return quarantine(turn, reply.witness, `set-back:${fallen.name}`)
  // The true object is back: the other one was somebody else's. One that was set back stays quarantined.
  if (node.witness.quarantine === otherObject) {
    node.witness = { ...node.witness, quarantine: undefined, stranger: undefined }
  }
  return node.witness.quarantine === undefined
}

const otherObject = "other-object"

/**
 * A reply to a document sent after a higher tag was seen shows a lower one (replies may overtake each other); or a tag that
 * was seen with one holder is shown with another, which a true object never does.
 */
function hasFallen(turn: Turn, reply: Reply, lease: LeaseSummary): boolean {
  const { node } = turn
  const watch = node.witness.watches.get(lease.name)
  if (watch === undefined) {
    const stored = node.durable.state.witness?.highest.find((tag) => tag.name === lease.name)
    return stored !== undefined && lease.epoch < stored.epoch
  }
  if (sameTag(lease, watch) && watch.lease !== undefined && !sameHolder(lease.holder, watch.lease.holder))
    return true
  const sent = node.witness.sent.get(reply.counter)?.at
  return sent !== undefined && sent >= watch.since && isOlderTag(lease, watch)
}

function quarantine(turn: Turn, stranger: string, reason: string): boolean {
  const { node } = turn
  if (node.witness.quarantine !== reason)
    report(turn, "critical", "witness-quarantined", stranger.slice(0, 8), reason)
  const same = node.witness.stranger === stranger && node.witness.quarantine === reason
  const strangerSince = same ? node.witness.strangerSince : turn.now
  node.witness = { ...node.witness, stranger, quarantine: reason, strangerSince }
  return false
}

/**
 * Half a site cannot know whether the other half met one before: not believed until a view speaks alone, a member tells the pin,
 * or an operator accepts it. Nobody is paged.
 */
function defer(turn: Turn, stranger: string): boolean {
  const { node, now } = turn
  if (node.witness.reason !== firstContact)
    log(turn, "info", "witness-first-contact", { witness: stranger.slice(0, 8) })
  const strangerSince = node.witness.stranger === stranger ? node.witness.strangerSince : now
  node.witness = { ...node.witness, stranger, strangerSince, reason: firstContact }
  return false
}

const firstContact = "first-contact"

function pinTo(turn: Turn, witness: string, waits?: true): void {
  const { node } = turn
  node.witness = { ...node.witness, pin: witness, stranger: undefined, quarantine: undefined }
  node.pinLost = false
  persist(turn, { witness: { incarnation: witness, highest: [], waits }, pinLost: undefined })
  log(turn, "info", "witness-pinned", { witness: witness.slice(0, 8) })
}

/**
 * The operator's word: believe the object seen now. What it calls vacant may still be held by the grace of the one before;
 * its holders' deadlines are over one TTL' after the new one was first seen, and nothing is claimed before.
 */
export function acceptStranger(turn: Turn): boolean {
  const { node } = turn
  const { stranger, strangerSince } = node.witness
  if (stranger === undefined || strangerSince === undefined) return false
  const wait = millis(Math.max(0, strangerSince + longestLease(node) - turn.now))
  adoptStranger(turn, stranger, wait)
  order(turn, { kind: "accept", witness: stranger, wait })
  return true
}

/** What an object may have granted, also under a configuration before, is over after it, whoever counts. */
export function longestLease({ config, configuration }: Pick<NodeState, "config" | "configuration">): Millis {
  const { voiceTtl, mandateTtl, rho } = config.timings
  const { longest } = configuration
  const all = [voiceTtl, mandateTtl, longest.voiceTtl ?? 0, longest.mandateTtl]
  return stretched(millis(Math.max(...all)), rho)
}

/** Believed from now on; no claim is made for `wait`. */
export function adoptStranger(turn: Turn, witness: string, wait: Millis): void {
  const { node, now } = turn
  if (node.witness.pin === witness && node.witness.quarantine === undefined) return
  node.witness = { ...node.witness, watches: new Map(), believeFrom: after(now, wait) }
  // Versions of a memo are the object's own: one of this object was never read.
  node.memoVersion = 0
  updateView(node, ({ memo }) => ({
    renumbered: true,
    memo: { ...memo, stored: undefined, offered: undefined },
  }))
  pinTo(turn, witness, true)
  report(turn, "info", "witness-accepted", witness.slice(0, 8), "by an operator's word")
}

/** A node that has no pin, or lost it with its record, gets it from a member that has one. */
export function adoptPin(turn: Turn, told: string | null | undefined): void {
  if (turn.node.witness.pin === undefined && typeof told === "string") pinTo(turn, told)
}

/** A member says how long its object is not to be asked yet: whoever coordinates next waits as long (SPEC W6). */
export function adoptWait(
  turn: Turn,
  told: { readonly pin: string | null; readonly wait?: Millis | null | undefined },
): void {
  const { node, now } = turn
  const { witness: stored } = node.durable.state
  if (told.pin !== node.witness.pin || stored === undefined || typeof told.wait !== "number") return
  const until = after(now, told.wait)
  const { believeFrom = until } = node.witness
  node.witness = { ...node.witness, believeFrom: instant(Math.max(believeFrom, until)) }
  if (stored.waits !== true) persist(turn, { witness: { ...stored, waits: true } })
}

/** The wait is over, for restarts as well. That there was one is not forgotten (SPEC S3). */
export function endWait(turn: Turn): void {
  const { node, now } = turn
  const { believeFrom } = node.witness
  if (believeFrom === undefined || believeFrom > now) return
  const { witness: stored } = node.durable.state
  if (stored?.waits === true) persist(turn, { witness: { ...stored, waits: undefined } })
}

/** What the object must know of at least: tags seen since this start, and epochs stored before it. */
export function highestSeen(node: NodeState): readonly NamedTag[] {
  const { watches } = node.witness
  const seen = [...watches].map(([name, { epoch, seq }]) => ({ name, epoch, seq }))
  const stored = node.durable.state.witness?.highest ?? []
  return [...seen, ...stored.filter(({ name }) => !watches.has(name))]
}

/** The highest epochs seen are kept, so that a restart does not forget them; renewals need no write. */
export function storeEpochs(turn: Turn, node: NodeState): void {
  const stored = node.durable.state.witness
  if (stored === undefined) return
  const highest = [...node.witness.watches].map(([name, watch]) => ({ name, epoch: watch.epoch, seq: 0 }))
  const risen = highest.some(
    (tag) => tag.epoch > (stored.highest.find((each) => each.name === tag.name)?.epoch ?? 0),
  )
  if (risen) persist(turn, { witness: { ...stored, highest } })
}
