/**
 * How much time goes into what one source sends over one link and is refused (SPEC LN11). Opening a seal for nothing costs a
 * hundred times what it costs to send such a datagram, and a real-time process that never comes to rest is ended by the
 * kernel (H11). So a source has a credit of time. What is taken costs none; when what was refused has used it up the socket
 * is shut for a while, by a filter in the kernel, to all but what continues the last frame that was taken (`continuation.ts`):
 * the frames of a peer that somebody pretends to be still come through. Who can make up such frames too, because it sees each
 * one as it is sent, has the socket shut to everything.
 */
import { elapsed, type Instant } from "../../protocol/units.ts"
import { Continuation } from "./continuation.ts"
import { type FilterProgram, passNone } from "./socket-filter.ts"

/** Milliseconds that may be spent at once; on credit, as many again for what continues. Opened in it: some hundred. */
const creditMax = 10
/** Regained in a millisecond, while the socket is open. */
const regained = 0.25
/** To read a datagram from the kernel. */
const readCost = 0.005
/** A pause of the machine while one is looked at is not its fault. */
const costMax = 1
/** Milliseconds that a socket stays shut, times the sources that are shut: together they use up a tenth or two of one core. */
export const shutTime = 100
/** Milliseconds without a shut socket after which another one is another flood. */
const floodsApart = 10_000

/** What the intakes of one process share. */
export interface Floods {
  /** Sources that are shut now. */
  shut: number
}

export interface IntakeOptions {
  readonly floods: Floods
  readonly now: () => Instant
  /** The kernel is to pass on something else: see `passes`. */
  readonly changed: () => void
  /** A flood has begun. */
  readonly flooded: () => void
}

export class Intake {
  readonly #options: IntakeOptions
  readonly #last = new Continuation()
  #credit = creditMax
  #regainedAt: Instant
  #state: "open" | "narrow" | "closed" = "open"
  #passes: FilterProgram | undefined
  #opening: NodeJS.Timeout | undefined
  #shutAt: Instant | undefined

  constructor(options: IntakeOptions) {
    this.#options = options
    this.#regainedAt = options.now()
  }

  /** What the kernel is to pass on; `undefined`: everything. */
  get passes(): FilterProgram | undefined {
    return this.#passes
  }

  /** May this one be looked at? The clock is asked only when the credit is used up. */
  admits(bytes: Uint8Array): boolean {
    if (this.#state === "open") {
      if (this.#credit <= 0) this.#regain()
      if (this.#credit > 0) return true
      this.#shut()
    }
    if (this.#state === "closed" || !this.#last.includes(bytes)) return false
    if (this.#credit > -creditMax) return true
    this.#state = "closed"
    this.#passes = passNone
    this.#options.changed()
    return false
  }

  /** It was looked at and taken: a genuine one. */
  taken(bytes: Uint8Array): void {
    this.#last.follow(bytes)
  }

  /** It was looked at for so long, for nothing. */
  refused(spent: number): void {
    this.#credit -= Math.min(spent, costMax) + readCost
  }

  /** The socket is going away. */
  end(): void {
    if (this.#opening === undefined) return
    clearTimeout(this.#opening)
    this.#reopen()
  }

  #regain(): void {
    const now = this.#options.now()
    this.#credit = Math.min(this.#credit + elapsed(this.#regainedAt, now) * regained, creditMax)
    this.#regainedAt = now
  }

  #shut(): void {
    const { floods, now, changed, flooded } = this.#options
    const at = now()
    if (this.#shutAt === undefined || elapsed(this.#shutAt, at) > floodsApart) flooded()
    this.#shutAt = at
    this.#state = "narrow"
    this.#passes = this.#last.program()
    floods.shut += 1
    changed()
    this.#opening = setTimeout(() => {
      this.#reopen()
      changed()
    }, shutTime * floods.shut)
  }

  #reopen(): void {
    this.#opening = undefined
    this.#options.floods.shut -= 1
    this.#state = "open"
    this.#passes = undefined
    this.#credit = creditMax
    this.#regainedAt = this.#options.now()
  }
}
