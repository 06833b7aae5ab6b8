/**
 * The disk of a machine, as the agent's state writer uses it: one record, replaced whole, one write after another. On a
 * full disk a write fails, is said to have failed, and is tried again unless a newer one took its place.
 */
import type { NodeEffect } from "../core/effects.ts"
import type { Host } from "./machine.ts"
import type { Surroundings } from "./surroundings.ts"

type Persist = NodeEffect & { readonly kind: "persist" }

const retryDelayMin = 200
const retryDelayMax = 5000

/** `diskDelay`: how long one write takes, more or less. */
export function persist(host: Host, effect: Persist, around: Surroundings, diskDelay: number): void {
  host.ordered = effect.write
  host.diskFreeAt = Math.max(host.diskFreeAt, around.now()) + around.varied(diskDelay)
  around.after(host, host.diskFreeAt - around.now(), () => write(host, effect, around, retryDelayMin))
}

function write(host: Host, effect: Persist, around: Surroundings, retryDelay: number): void {
  if (!host.diskFull) {
    host.disk = effect.state
    around.tell(host, { kind: "persisted", write: effect.write })
    return
  }
  around.tell(host, { kind: "persist-failed", write: effect.write, reason: "no space left on device" })
  around.after(host, retryDelay, () => {
    if (host.ordered === effect.write) write(host, effect, around, Math.min(2 * retryDelay, retryDelayMax))
  })
}
