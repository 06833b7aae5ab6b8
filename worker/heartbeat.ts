/**
 * The sign of life to a second monitor (SPEC A17): from each run of the alarm that is due for one, so that whoever hears it knows
 * that the object wakes and works. What it does not hear it pages for by itself, by its own ways.
 */
import type { WallTime } from "../protocol/units.ts"
import { wallTime } from "../protocol/units.ts"
import type { AlertSecrets } from "./alerts/rules.ts"
import type { TargetPolicy } from "./alerts/target.ts"
import { readClock } from "./clock.ts"
import { attempt } from "./notify.ts"

export interface HeartbeatSurroundings {
  readonly cluster: () => string
  readonly target: () => Promise<AlertSecrets["heartbeat"]>
  readonly policy: () => TargetPolicy
  readonly changed: () => void
}

export class Heartbeat {
  readonly #surroundings: HeartbeatSurroundings
  /** `undefined`: there is no second monitor. */
  #every: number | undefined
  #lastAt: WallTime | undefined
  #underWay: Promise<void> | undefined

  constructor(surroundings: HeartbeatSurroundings) {
    this.#surroundings = surroundings
  }

  set every(every: number | undefined) {
    this.#every = every
  }

  /** The one under way. */
  get underWay(): Promise<void> | undefined {
    return this.#underWay
  }

  nextAt(): WallTime | undefined {
    if (this.#every === undefined || this.#underWay !== undefined) return undefined
    return wallTime((this.#lastAt ?? 0) + this.#every)
  }

  /** Starts one if it is due; returns the number of requests that were made. */
  start(): number {
    const now = readClock()
    const next = this.nextAt()
    if (next === undefined || next > now) return 0
    this.#lastAt = now
    const beat = this.#beat().finally(() => {
      this.#underWay = undefined
      this.#surroundings.changed()
    })
    this.#underWay = beat
    return 1
  }

  async #beat(): Promise<void> {
    const { cluster, target, policy } = this.#surroundings
    try {
      const to = await target()
      if (to === undefined) return
      const answer = await attempt({ method: "POST", url: to.url, headers: {}, body: "" }, policy())
      if (answer.kind === "answered" && answer.status < 300) return
      complain(cluster(), answer.kind === "failed" ? answer.reason : `status ${answer.status}`)
    } catch (error) {
      // Its address is sealed, and the key that opens it is not there.
      complain(cluster(), String(error))
    }
  }
}

/** The monitor itself pages when it hears nothing; here it is worth a line. */
function complain(cluster: string, reason: string): void {
  console.warn({ message: "the heartbeat failed", cluster, reason })
}
