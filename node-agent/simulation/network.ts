/**
 * The datagrams of a world: delayed, lost, cut, doubled, damaged and replayed as told. With every share at 0 it draws no
 * chance for it, so that a recorded run does not change when a kind of fault is added.
 */
import type { NodeEffect } from "../core/effects.ts"
import type { LinkId } from "../core/events.ts"
import { draw, type Random } from "../core/random.ts"
import type { Host } from "./machine.ts"
import type { WorldOptions } from "./options.ts"

type Send = NodeEffect & { readonly kind: "send" }

/** Shares of datagrams. */
export interface NetworkFaults {
  loss: number
  duplicated: number
  /** One bit of it arrives wrong. */
  corrupted: number
  /** Something sent before, by anybody to anybody, arrives as well. */
  replayed: number
  /** Held up for up to `delayMax`, past those sent after it. */
  delayed: number
}

const delayMax = 400
/** What an attacker has recorded; the oldest is forgotten. */
const recordedMax = 64

interface Surroundings {
  after(delay: number, run: () => void): void
  host(id: number): Host | undefined
  arrive(to: Host, link: LinkId, bytes: Uint8Array): void
}

export class Network {
  faults: NetworkFaults
  /**
   * Directed pairs `a>b` that are cut: nodes by number, sites by name, `@witness` for the uplink; `1>2/0`: that link
   * only; `/0`: that link of all.
   */
  readonly cuts = new Set<string>()
  /** What a link of a directed pair (`1>2/0`) takes longer, in ms. */
  readonly slowed = new Map<string, () => number>()
  /** Share of datagrams lost on a link of a directed pair. */
  readonly lossy = new Map<string, number>()
  /** Datagrams sent so far. */
  sent = 0
  readonly #options: Required<WorldOptions>
  readonly #random: Random
  readonly #around: Surroundings
  readonly #recorded: { readonly to: Host; readonly link: LinkId; readonly bytes: Uint8Array }[] = []

  constructor(options: Required<WorldOptions>, random: Random, around: Surroundings) {
    this.#options = options
    this.#random = random
    this.#around = around
    this.faults = { loss: options.loss, duplicated: 0, corrupted: 0, replayed: 0, delayed: 0 }
  }

  send(from: Host, { to, link, bytes }: Send): void {
    const target = this.#around.host(to)
    if (target === undefined) return
    const { faults } = this
    this.sent += 1
    const way = this.#isSpecial() ? `${from.id}>${to}/${link}` : ""
    if (this.#isCut(from, target, link, way) || this.#drawn(this.lossy.get(way) ?? faults.loss)) return
    const more = this.slowed.get(way)
    this.#carry(target, link, this.#chance(faults.corrupted) ? this.#damaged(bytes) : bytes, more)
    if (this.#chance(faults.duplicated)) this.#carry(target, link, bytes, more)
    if (faults.replayed > 0) this.#record(target, link, bytes)
  }

  #isSpecial(): boolean {
    return this.cuts.size > 0 || this.slowed.size > 0 || this.lossy.size > 0
  }

  #isCut(from: Host, to: Host, link: LinkId, way: string): boolean {
    if (this.cuts.size === 0) return false
    if (this.cuts.has(`${from.id}>${to.id}`) || this.cuts.has(`${from.site}>${to.site}`)) return true
    return this.cuts.has(way) || this.cuts.has(`/${link}`)
  }

  #carry(target: Host, link: LinkId, bytes: Uint8Array, slowed?: () => number): void {
    const { lanDelay, wanDelay, netJitter } = this.#options
    const usual =
      (link === "wan" ? wanDelay : lanDelay) * (1 - netJitter + 2 * netJitter * draw(this.#random))
    const held = this.#chance(this.faults.delayed) ? delayMax * draw(this.#random) : 0
    this.#around.after(usual + held + (slowed?.() ?? 0), () => this.#around.arrive(target, link, bytes))
  }

  #drawn(share: number): boolean {
    return draw(this.#random) < share
  }

  #chance(share: number): boolean {
    return share > 0 && this.#drawn(share)
  }

  #damaged(bytes: Uint8Array): Uint8Array {
    const copy = bytes.slice()
    const bit = Math.floor(draw(this.#random) * 8 * copy.length)
    copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    return copy
  }

  #record(to: Host, link: LinkId, bytes: Uint8Array): void {
    if (this.#chance(this.faults.replayed)) {
      const index = Math.floor(draw(this.#random) * this.#recorded.length)
      const old = this.#recorded[index]
      if (old !== undefined) this.#carry(this.#drawn(0.5) ? to : old.to, old.link, old.bytes)
    }
    // Sparsely, so that what is replayed may be minutes old.
    if (!this.#drawn(0.02)) return
    this.#recorded.push({ to, link, bytes })
    if (this.#recorded.length > recordedMax) this.#recorded.shift()
  }
}
