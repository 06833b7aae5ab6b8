/** The fence devices of the world: they cut a node's power some time after they are asked, whether who asked lives to hear of it or not. */
import type { NodeId } from "../../protocol/units.ts"
import type { NodeEffect } from "../core/effects.ts"
import type { NodeEvent } from "../core/events.ts"
import type { Host } from "./machine.ts"
import type { Surroundings } from "./surroundings.ts"

export class WorldFences {
  /** Every device refuses. */
  failing = false
  readonly #around: Surroundings
  /** From asking until the power is off, in ms. */
  readonly #delay: number
  readonly #powerOff: (target: NodeId) => void

  constructor(around: Surroundings, delay: number, powerOff: (target: NodeId) => void) {
    this.#around = around
    this.#delay = delay
    this.#powerOff = powerOff
  }

  carryOut(host: Host, { operation, node: target }: NodeEffect & { readonly kind: "fence-node" }): void {
    const isRefused = this.failing
    const answer: NodeEvent = isRefused
      ? { kind: "fence-failed", operation, reason: "no answer" }
      : { kind: "fence-confirmed", operation }
    this.#around.at(this.#around.varied(this.#delay), () => {
      if (!isRefused) this.#powerOff(target)
      this.#around.after(host, 1, () => this.#around.tell(host, answer))
    })
  }
}
