/**
 * The object's one alarm: lazy, at the earliest thing that is due, moved only to be earlier or if it was lost. Alerts depend on
 * it, rights do not. The platform may lose it (a handler that throws seven times, a failover): the next request and the
 * cron's poke set it again.
 */
import type { WallTime } from "../protocol/units.ts"
import { wallTime } from "../protocol/units.ts"
import type { PlacedEvent } from "./alerts/incidents.ts"
import { readClock } from "./clock.ts"

export interface AlarmSurroundings {
  readonly cluster: () => string
  /** The earliest thing that the alarm has to do; `undefined`: nothing. */
  readonly dueAt: () => WallTime | undefined
  /** An alarm was set: it counts as a written row. */
  readonly count: (rowsWritten: number, now: WallTime) => void
}

/** An alarm that is this late was lost: the platform promises a minute. */
const overdueMs = 60_000
/** Never in the past, or the alarm fires in a loop. */
const soonestMs = 50
/** A run that is longer hangs, and is not waited for. */
const runLongestMs = 120_000
/** What failed is not tried in a loop either: each try is a request and a row of the day's quota. */
const soonestAfterFailureMs = 15_000

export class Alarm {
  readonly #storage: DurableObjectStorage
  readonly #surroundings: AlarmSurroundings
  /** Since when its handler runs: the platform knows of no alarm meanwhile. */
  #runningSince: WallTime | undefined
  /** After a failure; in memory only. */
  #notBefore = wallTime(0)

  constructor(storage: DurableObjectStorage, surroundings: AlarmSurroundings) {
    this.#storage = storage
    this.#surroundings = surroundings
  }

  /** The handler. It catches everything, because a seventh failure would end it. */
  async run(work: () => Promise<void>): Promise<void> {
    this.#runningSince = readClock()
    try {
      await work()
    } catch (error) {
      this.#notBefore = wallTime(readClock() + soonestAfterFailureMs)
      this.#complain("the alarm failed", error)
    } finally {
      this.#runningSince = undefined
    }
    await this.#arm(await this.#storage.getAlarm())
  }

  /** Sees to it that an alarm is set; a failure here keeps no grant back. */
  async keep(): Promise<void> {
    try {
      await this.#arm(await this.#storage.getAlarm())
    } catch (error) {
      this.#complain("the alarm could not be set", error)
    }
  }

  /** Whether the platform has dropped an alarm that should be there. */
  async isLost(): Promise<boolean> {
    const armed = await this.#storage.getAlarm()
    return !this.#isRunning() && isGone(armed, readClock()) && this.#surroundings.dueAt() !== undefined
  }

  async #arm(armed: number | null): Promise<void> {
    const earliest = this.#surroundings.dueAt()
    // What a run under way leaves to do it arms itself.
    if (earliest === undefined || this.#isRunning()) return
    const now = readClock()
    const at = Math.max(earliest, now + soonestMs, this.#notBefore)
    if (!isGone(armed, now) && armed !== null && armed <= at) return
    this.#surroundings.count(1, now)
    await this.#storage.setAlarm(at)
  }

  #isRunning(): boolean {
    return this.#runningSince !== undefined && readClock() - this.#runningSince < runLongestMs
  }

  #complain(message: string, error: unknown): void {
    console.error({ message, cluster: this.#surroundings.cluster(), error: String(error) })
  }
}

function isGone(armed: number | null, now: WallTime): boolean {
  return armed === null || now - armed > overdueMs
}

/** The news that it was lost. */
export function alarmLost(now: WallTime): PlacedEvent {
  return {
    id: `witness-alarm-lost:${now}`,
    kind: "witness-alarm-lost",
    subject: "object",
    severity: "warning",
    at: now,
    detail: "the platform had dropped the alarm that watches for silence and sends notifications",
  }
}
