/**
 * How each receiver bears what it is sent (`alerts/pace.ts` decides): who may be tried now, who fails. Held in memory, and
 * stored when a receiver begins or ceases to fail; of what lies between a restart forgets a few seconds' worth.
 */
import type { WallTime } from "../protocol/units.ts"
import type { AlertTables } from "./alert-tables.ts"
import type { PlacedEvent } from "./alerts/incidents.ts"
import type { Outcome } from "./alerts/notification.ts"
import { conditionOf, freshPace, mayAttempt, noteAttempt, type Pace, type Permission } from "./alerts/pace.ts"
import type { Traits } from "./alerts/receivers/kind.ts"
import { type Receiver, traitsOf } from "./alerts/receivers/receiver.ts"

/** What an attempt changes: to be stored in the transaction of its outcome, and kept once that has succeeded. */
export interface PaceChange {
  readonly receiver: string
  readonly pace: Pace
  /** It begins or ceases to fail. */
  readonly event: PlacedEvent | undefined
}

export class AlertPaces {
  readonly #tables: AlertTables
  #paces: ReadonlyMap<string, Pace> = new Map()
  /** Known without opening the receivers' secrets. */
  #traits: ReadonlyMap<string, Traits> = new Map()

  constructor(tables: AlertTables) {
    this.#tables = tables
  }

  load(): void {
    const paces = this.#tables.setting("paces")
    this.#paces = new Map(paces === undefined ? [] : Object.entries<Pace>(JSON.parse(paces)))
    const traits = this.#tables.setting("traits")
    this.#traits = new Map(traits === undefined ? [] : Object.entries<Traits>(JSON.parse(traits)))
  }

  /** The receivers changed: what each bears, and nothing more about those that are gone. */
  learn(receivers: readonly Receiver[]): void {
    this.#traits = new Map(receivers.map((receiver) => [receiver.name, traitsOf(receiver)]))
    this.#tables.storeSetting("traits", JSON.stringify(Object.fromEntries(this.#traits)))
    this.#paces = new Map([...this.#paces].filter(([name]) => this.#traits.has(name)))
    this.#store(this.#paces)
  }

  traits(receiver: string): Traits | undefined {
    return this.#traits.get(receiver)
  }

  /** Why a receiver counts as failing; `undefined`: it does not. */
  failing(receiver: string, now: WallTime): string | undefined {
    return failureOf(this.#paceOf(receiver), now)
  }

  /** Its latest attempt failed. */
  isTroubled(receiver: string): boolean {
    return this.#paceOf(receiver).failures > 0
  }

  mayAttempt(receiver: string, now: WallTime): Permission {
    const traits = this.#traits.get(receiver)
    // Of a receiver that was removed nothing is held back: its letters are dropped.
    return traits === undefined
      ? { kind: "now", pace: freshPace }
      : mayAttempt(this.#paceOf(receiver), traits, now)
  }

  /** In memory only. */
  keep({ receiver, pace }: Pick<PaceChange, "receiver" | "pace">): void {
    this.#paces = new Map(this.#paces).set(receiver, pace)
  }

  /** What an attempt makes of its receiver's pace. */
  after(
    receiver: string,
    outcome: Outcome,
    at: { readonly now: WallTime; readonly chance: number },
  ): PaceChange {
    const before = this.#paceOf(receiver)
    const pace = noteAttempt(before, outcome, at)
    const [was, is] = [failureOf(before, at.now), failureOf(pace, at.now)]
    const moved = (was === undefined) !== (is === undefined)
    return { receiver, pace, event: moved ? receiverMoved(receiver, is, at.now) : undefined }
  }

  /** A test went through: it is well, whatever was before. */
  wellAgain(receiver: string, now: WallTime): PaceChange {
    const wasFailing = this.failing(receiver, now) !== undefined
    return {
      receiver,
      pace: freshPace,
      event: wasFailing ? receiverMoved(receiver, undefined, now) : undefined,
    }
  }

  /** In the transaction of the outcome; returns the news. */
  write({ receiver, pace, event }: PaceChange): readonly PlacedEvent[] {
    if (event === undefined) return []
    this.#store(new Map(this.#paces).set(receiver, pace))
    return [event]
  }

  #paceOf(receiver: string): Pace {
    return this.#paces.get(receiver) ?? freshPace
  }

  #store(paces: ReadonlyMap<string, Pace>): void {
    this.#tables.storeSetting("paces", JSON.stringify(Object.fromEntries(paces)))
  }
}

function failureOf(pace: Pace, now: WallTime): string | undefined {
  const condition = conditionOf(pace, now)
  return condition.kind === "well" ? undefined : condition.reason
}

function receiverMoved(receiver: string, broken: string | undefined, now: WallTime): PlacedEvent {
  const kind = broken === undefined ? "receiver-works" : "receiver-failing"
  return {
    id: `${kind}:${receiver}:${now}`,
    kind,
    subject: receiver,
    severity: broken === undefined ? "info" : "critical",
    at: now,
    detail: (broken ?? "").slice(0, 512),
  }
}
