/** Which received messages count as received: those whose durable write, where one was needed, is on the disk. */
import type { Epoch } from "../../protocol/units.ts"
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

/** The epoch an activation is about to act under; the first member to hear of it writes it ahead of its use. */
export function storeVoiceEpoch(turn: Turn, voice: Epoch): number | undefined {
  const { node } = turn
  if (voice > node.durable.state.voiceEpoch) {
    const voiceWrite = persist(turn, { voiceEpoch: voice })
    node.durable = { ...node.durable, voiceWrite }
  }
  return node.durable.written < node.durable.voiceWrite ? node.durable.voiceWrite : undefined
}
