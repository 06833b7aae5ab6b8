/**
 * Which counters of one session have been seen, as in RFC 6479: a ring of 32-bit blocks that is cleared block by block
 * as the highest counter rises, never shifted. What is too old to remember counts as seen. Mutable; owned by the
 * session it belongs to.
 */
import { assert } from "../../protocol/assert.ts"

export interface ReplayWindow {
  /** 0: nothing seen yet. */
  highest: number
  readonly blocks: Uint32Array
}

const blockBits = 32
const blockCount = 64

/** How far behind the highest a counter may be and still be told apart: a block less than there is memory for. */
export const replayWindowSize = (blockCount - 1) * blockBits

export function createReplayWindow(): ReplayWindow {
  return { highest: 0, blocks: new Uint32Array(blockCount) }
}

/** Seen before, or too old to know. Counters start at 1. */
export function isReplayed(window: ReplayWindow, counter: number): boolean {
  if (counter < 1) return true
  if (counter > window.highest) return false
  if (window.highest - counter >= replayWindowSize) return true
  return ((window.blocks[slotOf(counter)] ?? 0) & bitOf(counter)) !== 0
}

/** Only for a counter whose frame proved genuine: an unproven one would let a forger push the window on. */
export function markSeen(window: ReplayWindow, counter: number): void {
  assert(!isReplayed(window, counter), "a counter is marked once")
  if (counter > window.highest) {
    clearBetween(window, window.highest, counter)
    window.highest = counter
  }
  const slot = slotOf(counter)
  window.blocks[slot] = (window.blocks[slot] ?? 0) | bitOf(counter)
}

/** Forgets the blocks after the one of `from`, up to the one of `to`: they last held counters a whole ring older. */
function clearBetween(window: ReplayWindow, from: number, to: number): void {
  const first = Math.floor(from / blockBits) + 1
  const last = Math.min(Math.floor(to / blockBits), first + blockCount - 1)
  for (let block = first; block <= last; block += 1) window.blocks[block % blockCount] = 0
}

// Division instead of shifts: counters go beyond 32 bits.
function slotOf(counter: number): number {
  return Math.floor(counter / blockBits) % blockCount
}

function bitOf(counter: number): number {
  return 1 << (counter % blockBits)
}
