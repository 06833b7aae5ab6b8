/**
 * One event, all its effects, then the next event. A single timer, set to the earliest of the machine's next deadline
 * and the host's own housekeeping; deadlines are absolute, so a late wake-up moves nothing that follows it.
 *
 * A wake-up that is itself late says nothing about the peers: what they sent may already wait in the sockets. After
 * one of more than `lateWakeUp` the loop lets the sockets speak first (timers run before polling, `setImmediate`
 * after it) and only then reports the deadline.
 */

import { earliest, elapsed, type Instant, latest, type Millis, millis } from "../../protocol/units.ts"
import type { NodeEffect } from "../core/effects.ts"
import type { NodeEvent } from "../core/events.ts"

/** What the loop drives: the core, or a small stand-in in tests. */
export interface Machine {
  step(event: NodeEvent, now: Instant): readonly NodeEffect[]
  nextDeadline(): Instant | undefined
}

/** Work of the host itself: health samples, status snapshots. */
export interface Housekeeping {
  /** When it is to be done at the latest. */
  next(): Instant
  /** From when on it may be done if the loop is awake anyway: a wake-up of its own costs more than the work. */
  from(): Instant
  run(now: Instant): void
}

export interface RunLoopOptions {
  readonly machine: Machine
  readonly now: () => Instant
  /** Carries out one effect. May call `deliver`: the event waits until all effects of this one are done. */
  readonly perform: (effect: NodeEffect) => void
  /** Asked before each event: what must be told first, if anything (SPEC H13). */
  readonly before?: () => NodeEvent | undefined
  /** Called after each event with all its effects done. */
  readonly completed?: (event: NodeEvent, effects: readonly NodeEffect[], at: Instant) => void
  readonly housekeeping?: Housekeeping
  /** Called with what was thrown; the loop has stopped by then. */
  readonly failed: (cause: unknown) => void
}

/** Lateness from which received datagrams are looked at before a deadline is reported (SPEC H8). */
const lateWakeUp = millis(20)

/** Node's timers count whole milliseconds and must not be asked for less. */
const timerMin = 1
/** Longest sleep: no deadline is known, or it is far away. Below the 24.8 days at which `setTimeout` wraps. */
const timerMax = 60_000

export class RunLoop {
  readonly #options: RunLoopOptions
  readonly #queue: NodeEvent[] = []
  #timer: NodeJS.Timeout | undefined
  #draining: NodeJS.Immediate | undefined
  /** What the timer is set to. */
  #armed: Instant | undefined
  /** The machine's, as it was after the latest step that was followed by setting the timer. */
  #deadline: Instant | undefined
  /** When it should fire: a deadline that had passed when it was set does not make the wake-up late. */
  #due: Instant | undefined
  #state: "idle" | "stepping" | "stopped" = "idle"
  #worstLateness = 0
  /** How often the timer has fired: a core with a deadline that never goes away shows as thousands a second. */
  wakeUps = 0

  constructor(options: RunLoopOptions) {
    this.#options = options
  }

  /** Carries out the effects of the machine's creation and sets the first timer. */
  start(effects: readonly NodeEffect[]): void {
    this.#guarded(() => {
      for (const effect of effects) this.#options.perform(effect)
    })
    this.#drainQueue()
  }

  /** Hands one event to the machine: at once, or after the one that is being worked on. */
  deliver(event: NodeEvent): void {
    if (this.#state === "stopped") return
    this.#queue.push(event)
    if (this.#state === "idle") this.#drainQueue()
  }

  stop(): void {
    this.#state = "stopped"
    this.#queue.length = 0
    clearTimeout(this.#timer)
    clearImmediate(this.#draining)
  }

  /** The worst lateness of a wake-up since the last call. */
  takeWorstLateness(): Millis {
    const worst = this.#worstLateness
    this.#worstLateness = 0
    return millis(worst)
  }

  #drainQueue(): void {
    this.#guarded(() => {
      this.#workOff()
      const { housekeeping, now } = this.#options
      const at = now()
      if (housekeeping === undefined || !this.#isRunning() || at < housekeeping.from()) return
      housekeeping.run(at)
      this.#workOff()
    })
    this.#arm()
  }

  #workOff(): void {
    for (let event = this.#next(); event !== undefined; event = this.#next()) {
      const at = this.#options.now()
      const effects = this.#options.machine.step(event, at)
      for (const effect of effects) this.#options.perform(effect)
      this.#options.completed?.(event, effects, at)
    }
  }

  #next(): NodeEvent | undefined {
    if (this.#queue.length === 0) return undefined
    return this.#options.before?.() ?? this.#queue.shift()
  }

  /** Whatever throws in here is a broken invariant: the loop ends, and with it this node's rights. */
  #guarded(work: () => void): void {
    if (this.#state === "stopped") return
    this.#state = "stepping"
    try {
      work()
      if (this.#isRunning()) this.#state = "idle"
    } catch (cause) {
      this.stop()
      this.#options.failed(cause)
    }
  }

  /** An effect (`exit`) may have stopped the loop meanwhile; the compiler cannot see that. */
  #isRunning(): boolean {
    return this.#state !== "stopped"
  }

  #arm(): void {
    if (this.#state === "stopped" || this.#draining !== undefined) return
    this.#deadline = this.#options.machine.nextDeadline()
    const next = earliest(this.#deadline, this.#options.housekeeping?.next())
    if (next !== undefined && next === this.#armed && this.#timer !== undefined) return
    clearTimeout(this.#timer)
    const now = this.#options.now()
    this.#armed = next
    this.#due = latest(next, next === undefined ? undefined : now)
    const wait = next === undefined ? timerMax : Math.ceil(elapsed(now, next))
    this.#timer = setTimeout(() => this.#wake(), Math.min(Math.max(wait, timerMin), timerMax))
  }

  #wake(): void {
    this.#timer = undefined
    this.wakeUps += 1
    const late = this.#due === undefined ? 0 : Math.max(elapsed(this.#due, this.#options.now()), 0)
    this.#worstLateness = Math.max(this.#worstLateness, late)
    if (late <= lateWakeUp) {
      this.#work()
      return
    }
    this.#draining = setImmediate(() => {
      this.#draining = undefined
      this.#deadline = this.#options.machine.nextDeadline()
      this.#work()
    })
  }

  #work(): void {
    if (this.#state === "stopped") return
    if (this.#deadline !== undefined && this.#options.now() >= this.#deadline)
      this.#queue.push({ kind: "deadline-reached" })
    this.#drainQueue()
  }
}
