/**
 * The watchdogs of the world's machines. One that is armed and not fed resets its machine: all that ran there is gone.
 * As Linux does, it is fed once more when the agent that holds it ends without having stopped it.
 */
import type { NodeId } from "../../protocol/units.ts"
import type { NodeEffect } from "../core/effects.ts"
import type { Host } from "./machine.ts"
import type { Surroundings } from "./surroundings.ts"

type WatchdogEffect = NodeEffect & { readonly kind: "arm-watchdog" | "feed-watchdog" | "disarm-watchdog" }

/** From opening the device to knowing that it runs, in ms. */
const armTime = 1

export class WorldWatchdogs {
  /** Nodes whose device cannot be opened. */
  readonly failing = new Set<number>()
  readonly resets: { readonly at: number; readonly node: NodeId }[] = []
  readonly #around: Surroundings
  readonly #powerOff: (host: Host) => void
  readonly #firesAt = new Map<Host, number>()

  constructor(around: Surroundings, powerOff: (host: Host) => void) {
    this.#around = around
    this.#powerOff = powerOff
  }

  carryOut(host: Host, effect: WatchdogEffect): void {
    switch (effect.kind) {
      case "arm-watchdog":
        this.#arm(host)
        break
      case "feed-watchdog":
        this.#feed(host)
        break
      case "disarm-watchdog":
        this.#firesAt.delete(host)
    }
  }

  #arm(host: Host): void {
    const failed = this.failing.has(host.id)
    if (!failed) {
      this.#firesAt.set(host, 0)
      this.#feed(host)
    }
    this.#around.after(host, armTime, () =>
      this.#around.tell(
        host,
        failed
          ? { kind: "watchdog-failed", reason: "told to fail" }
          : { kind: "watchdog-armed", software: false },
      ),
    )
  }

  #feed(host: Host): void {
    const declared = host.config.nodes.find(({ id }) => id === host.id)?.watchdog
    if (!this.#firesAt.has(host) || declared === undefined) return
    const at = this.#around.now() + declared.timeout
    this.#firesAt.set(host, at)
    this.#around.at(declared.timeout, () => this.#fireIfDue(host))
  }

  #fireIfDue(host: Host): void {
    const at = this.#firesAt.get(host)
    if (at === undefined || at > this.#around.now()) return
    this.#firesAt.delete(host)
    this.resets.push({ at: this.#around.now(), node: host.id })
    this.#powerOff(host)
  }

  /** The agent ended: its device was closed. */
  closed(host: Host): void {
    this.#feed(host)
  }

  /** The machine was switched off. */
  off(host: Host): void {
    this.#firesAt.delete(host)
  }
}
