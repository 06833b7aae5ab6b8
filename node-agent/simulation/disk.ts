/**
 * The disk of a machine, as the agent's state writer uses it: one record, replaced whole, one write after another. On a
 * full disk a write fails, is said to have failed, and is tried again unless a newer one took its place. A record is on the
 * disk a while before that is known: an agent killed in between finds at its next start what it never spoke of.
 */
import type { NodeEffect } from "../core/effects.ts"
import type { Host } from "./machine.ts"
import type { Surroundings } from "./surroundings.ts"

type Persist = NodeEffect & { readonly kind: "persist" }

const retryDelayMin = 200
const retryDelayMax = 5000
/** Of the time that a write takes: from the new name being there to its being sure to outlive a loss of power. */
const confirmationShare = 0.4

/** `diskDelay`: how long one write takes, more or less. */
export function persist(host: Host, effect: Persist, around: Surroundings, diskDelay: number): void {
  host.ordered = effect.write
  const taken = around.varied(diskDelay)
  host.diskFreeAt = Math.max(host.diskFreeAt, around.now()) + taken
  const confirmation = confirmationShare * taken
  const stored = host.diskFreeAt - confirmation - around.now()
  around.after(host, stored, () => write(host, effect, around, { confirmation, retryDelay: retryDelayMin }))
}

interface Pace {
  readonly confirmation: number
  readonly retryDelay: number
}

function write(host: Host, effect: Persist, around: Surroundings, pace: Pace): void {
  const { confirmation, retryDelay } = pace
  if (!host.diskFull) {
    host.disk = effect.state
    around.after(host, confirmation, () => around.tell(host, { kind: "persisted", write: effect.write }))
    return
  }
  around.tell(host, { kind: "persist-failed", write: effect.write, reason: "no space left on device" })
  around.after(host, retryDelay, () => {
    if (host.ordered !== effect.write) return
    write(host, effect, around, { confirmation, retryDelay: Math.min(2 * retryDelay, retryDelayMax) })
  })
}
