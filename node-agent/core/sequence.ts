/**
 * The ring sequence in stable storage (SPEC R8): stored before announced. The stored number is kept ahead of what was
 * announced, so that forming a view waits for no disk; a restart begins at the stored number.
 */
import type { NodeState } from "./state.ts"
import { persist, type Turn } from "./turn.ts"

/** How far the stored number is put ahead, and how near it is let come before it is put ahead again. */
const reserve = 256
const reserveMin = 64

/** A sequence was seen or is about to be used. Returns the durable write to wait for before it is announced; 0: none. */
export function noteSequence(turn: Turn, sequence: number): number {
  const { node } = turn
  node.sequence = Math.max(node.sequence, sequence)
  if (node.sequence + reserveMin > node.durable.state.ringSequence) {
    const ringSequence = node.sequence + reserve
    const write = persist(turn, { ringSequence })
    node.durable = { ...node.durable, reserving: [...node.durable.reserving, { write, ringSequence }] }
  }
  if (sequence <= node.durable.reserved) return 0
  return node.durable.reserving.find((entry) => entry.ringSequence >= sequence)?.write ?? node.durable.ordered
}

/** Notes what write `written` has brought to the disk. */
export function noteReserved(node: NodeState): void {
  const { written, reserving, reserved } = node.durable
  const done = reserving.filter((entry) => entry.write <= written)
  if (done.length === 0) return
  node.durable = {
    ...node.durable,
    reserved: Math.max(reserved, ...done.map((entry) => entry.ringSequence)),
    reserving: reserving.filter((entry) => entry.write > written),
  }
}
