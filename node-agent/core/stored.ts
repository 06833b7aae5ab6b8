/**
 * What is on the disk: which received messages count as received, and the highest numbers the site is known to have come to
 * (SPEC S8).
 */
import { type Epoch, epoch, type Ticket } from "../../protocol/units.ts"
import type { DurableTicket } from "./durable.ts"
import type { NodeState, Ring } from "./state.ts"
import { persist, type Turn } from "./turn.ts"

/** All messages up to here are received and stored. */
export function persistedUpTo(ring: Ring, written: number): number {
  const waiting = ring.unstored.find((entry) => entry.write > written)
  return waiting === undefined ? ring.received : waiting.seq - 1
}

/** Drops what write `written` has brought to the disk. */
export function forgetStored(node: NodeState): void {
  if (node.ring === undefined || node.ring.unstored.length === 0) return
  node.ring = {
    ...node.ring,
    unstored: node.ring.unstored.filter((entry) => entry.write > node.durable.written),
  }
}

/**
 * The numbers a site has come to, as heard from others: after a restart a majority must not name lower ones, and those who acted
 * under them may not be in it (SPEC S8).
 */
export function storeLearnt(turn: Turn): void {
  const { node } = turn
  storeVoiceEpoch(turn, node.ordered.voiceEpoch)
  const stored = new Map(node.durable.state.tickets.map((entry) => [entry.ticket, entry]))
  let isRisen = false
  const tickets = [...node.tickets.values()].map((state) => {
    const known = stored.get(state.ticket)
    const entry = risen(state.ticket, known, { ...state, epoch: state.knownEpoch })
    isRisen ||=
      entry.epoch > (known?.epoch ?? 0) ||
      entry.pledgeNumber > (known?.pledgeNumber ?? 0) ||
      entry.releasedEpoch > (known?.releasedEpoch ?? 0) ||
      (entry.givenUp ?? 0) > (known?.givenUp ?? 0)
    return entry
  })
  if (!isRisen) return
  // What is not in the configuration any more may be again one day.
  const others = node.durable.state.tickets.filter(({ ticket }) => !node.tickets.has(ticket))
  persist(turn, { tickets: [...others, ...tickets] })
}

/** The entry of a ticket with whatever is higher. */
export function risen(
  ticket: Ticket,
  known: DurableTicket | undefined,
  told: Partial<Omit<DurableTicket, "ticket">>,
): DurableTicket {
  return {
    ticket,
    epoch: epoch(Math.max(known?.epoch ?? 0, told.epoch ?? 0)),
    pledgeNumber: Math.max(known?.pledgeNumber ?? 0, told.pledgeNumber ?? 0),
    releasedEpoch: epoch(Math.max(known?.releasedEpoch ?? 0, told.releasedEpoch ?? 0)),
    givenUp: epoch(Math.max(known?.givenUp ?? 0, told.givenUp ?? 0)),
  }
}

/**
 * A voice epoch that is about to be acted under, or was heard of: written unless it is known. The write to wait for; undefined:
 * it is on the disk.
 */
export function storeVoiceEpoch(turn: Turn, voice: Epoch): number | undefined {
  const { node } = turn
  if (voice > node.durable.state.voiceEpoch) {
    const voiceWrite = persist(turn, { voiceEpoch: voice })
    node.durable = { ...node.durable, voiceWrite }
  }
  return node.durable.written < node.durable.voiceWrite ? node.durable.voiceWrite : undefined
}
