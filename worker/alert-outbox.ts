/**
 * The outbox: letters that wait, and the sending of them. At least once, in order for each receiver and group, at most one
 * at a time for each receiver. Every attempt is stored before the next.
 *
 * 1. `post` stores a letter in the transaction of the change it tells of.
 * 2. The alarm calls `start` for what is due, and again whenever something `moved`. A letter is stored before it is sent (the
 *    output gate holds the request back until then), and settled after its answer. Killed in between, it is sent again: the
 *    receiver knows it by its id.
 * 3. What is to follow from an answer (`delivery.ts`) and whether the receiver may be tried now (`pace.ts`) is decided purely.
 *
 * A receiver that hangs holds up no other (SPEC A8): nobody waits for its answer, and of the connections that the platform
 * allows one is left for receivers that answered last time.
 */
import { assert } from "../protocol/assert.ts"
import type { WallTime } from "../protocol/units.ts"
import { wallTime } from "../protocol/units.ts"
import { AlertPaces } from "./alert-paces.ts"
import type { AlertTables, Letter } from "./alert-tables.ts"
import { type Disposition, dispose } from "./alerts/delivery.ts"
import type { Group } from "./alerts/groups.ts"
import type { PlacedEvent } from "./alerts/incidents.ts"
import type { Notification, Outcome } from "./alerts/notification.ts"
import { classify, type Receiver, requestFor, silenceOf, traitsOf } from "./alerts/receivers/receiver.ts"
import { supersede } from "./alerts/supersession.ts"
import type { TargetPolicy } from "./alerts/target.ts"
import { readClock } from "./clock.ts"
import { attempt } from "./notify.ts"

export interface OutboxSurroundings {
  /** The receivers with their secrets; opened when needed. */
  readonly receivers: () => Promise<readonly Receiver[]>
  readonly groups: () => readonly Group[]
  readonly dedupKey: (lead: string) => string
  readonly policy: () => TargetPolicy
  /** One transaction: `work`, and these events. */
  readonly commit: (now: WallTime, work: () => readonly PlacedEvent[]) => void
  /** An answer came when no run of the alarm was waiting for it. */
  readonly changed: () => void
}

/** Six outgoing connections are allowed at a time; one is left for the heartbeat. */
const atOnce = 5
/** Of those, for receivers whose latest attempt failed. */
const troubledAtOnce = 4
/** An attempt of which nothing was heard by then is made again: the object was stopped in the middle of it. */
const attemptLostMs = 15_000

/** What one attempt of a test came to, for the operator who asked. */
export interface TestResult {
  readonly action: Notification["action"]
  readonly outcome: Outcome["kind"] | "not-sent"
  readonly status: number | undefined
  readonly reason: string
  readonly ms: number
}

export class AlertOutbox {
  readonly #tables: AlertTables
  readonly #surroundings: OutboxSurroundings
  /** Oldest first. */
  #pending: ReadonlyMap<string, Letter> = new Map()
  readonly paces: AlertPaces
  /** By receiver. */
  readonly #inFlight = new Map<string, { readonly settled: Promise<void>; readonly from: WallTime }>()
  readonly #sending = new Set<string>()
  /** When each open group is told again, for services that forget. In memory: after a restart it is due at once. */
  readonly #reminders = new Map<string, WallTime>()
  #posted = Promise.withResolvers<void>()

  constructor(tables: AlertTables, surroundings: OutboxSurroundings) {
    this.#tables = tables
    this.#surroundings = surroundings
    this.paces = new AlertPaces(tables)
  }

  load(): void {
    this.#pending = new Map(this.#tables.pendingLetters().map((letter) => [letter.id, letter]))
    this.paces.load()
  }

  get pending(): readonly Letter[] {
    return [...this.#pending.values()]
  }

  /** In the transaction of the change it tells of. */
  post(notification: Notification, now: WallTime): void {
    const waiting = this.pending
      .filter((letter) => sameConversation(letter.notification, notification))
      .map((letter) => ({ ...letter, tried: letter.attempts > 0 || this.#sending.has(letter.id) }))
    const { dropped, sent } = supersede(notification, waiting)
    for (const id of dropped) this.#drop(id, `superseded by ${notification.action}`)
    const letter: Letter = {
      id: notification.id,
      notification,
      state: sent ? "pending" : "dropped",
      postedAt: now,
      nextAt: now,
      attempts: 0,
      rendering: "full",
      reason: sent ? "" : "it was over before it could be told",
      log: [],
      reference: undefined,
    }
    this.#tables.storeLetter(letter)
    if (sent) this.#await(letter)
  }

  /** A dead or delivered letter once more, as it was. */
  replay(letter: Letter, now: WallTime): void {
    const again: Letter = {
      ...letter,
      state: "pending",
      postedAt: now,
      nextAt: now,
      attempts: 0,
      rendering: "full",
    }
    this.#tables.storeLetter({ ...again, reason: "replayed" })
    this.#await(again)
  }

  /** When there is something to start. What is under way says so itself, or was lost. */
  nextAt(): WallTime | undefined {
    const now = readClock()
    const free = ({ receiver }: { readonly receiver: string }): boolean => this.#hasRoomFor(receiver)
    const letters = this.#heads().filter(({ notification }) => free(notification))
    const reminders = this.#remindable().filter(free)
    const all = [
      ...letters.map((letter) => this.#whenFor(letter)),
      ...reminders.map(({ key }) => this.#reminders.get(key) ?? 0),
      ...[...this.#inFlight.values()].map(({ from }) => from + attemptLostMs).filter((at) => at > now),
    ]
    return all.length === 0 ? undefined : wallTime(Math.min(...all))
  }

  get isIdle(): boolean {
    return this.#inFlight.size === 0
  }

  /** Starts what is due, `most` attempts at most, and returns how many. */
  start(most: number): number {
    const now = readClock()
    let started = 0
    for (const { letter, reminder } of this.#due(now)) {
      const { receiver } = letter.notification
      if (started >= most || !this.#hasRoomFor(receiver)) continue
      const may = this.paces.mayAttempt(receiver, now)
      if (may.kind === "later") continue
      this.paces.keep({ receiver, pace: may.pace })
      started += 1
      this.#track(receiver, reminder === undefined ? this.#send(letter) : this.#remind(letter, reminder), now)
    }
    return started
  }

  /** Resolves with an answer, or a new letter; rejects if one could not be sent for a reason of our own. */
  moved(): Promise<void> {
    return Promise.race([this.#posted.promise, ...[...this.#inFlight.values()].map(({ settled }) => settled)])
  }

  #hasRoomFor(receiver: string): boolean {
    if (this.#inFlight.has(receiver) || this.#inFlight.size >= atOnce) return false
    const troubled = [...this.#inFlight.keys()].filter((each) => this.paces.isTroubled(each))
    return !this.paces.isTroubled(receiver) || troubled.length < troubledAtOnce
  }

  #track(receiver: string, sending: Promise<void>, from: WallTime): void {
    const settled = sending.finally(() => {
      this.#inFlight.delete(receiver)
      this.#surroundings.changed()
    })
    // Whoever waits for it hears of it too; it may be that nobody does.
    settled.catch((error) =>
      console.error({ message: "a letter could not be sent", receiver, error: String(error) }),
    )
    this.#inFlight.set(receiver, { settled, from })
  }

  #await(letter: Letter): void {
    this.#pending = new Map(this.#pending).set(letter.id, letter)
    this.#posted.resolve()
    this.#posted = Promise.withResolvers()
  }

  /** Trigger and resolve of a test, sent now; a success ends the receiver's pause. */
  async test(receiver: Receiver, opened: Notification, ended: Notification): Promise<readonly TestResult[]> {
    const results: TestResult[] = []
    let reference: string | undefined
    for (const notification of [opened, ended]) {
      const made = await this.#make(notification, receiver, { reference, rendering: "full" })
      if (made.outcome?.kind === "delivered") {
        reference = made.outcome.reference ?? reference
        if (notification.action === "trigger") this.#works(receiver.name)
      }
      results.push({
        action: notification.action,
        outcome: made.outcome?.kind ?? "not-sent",
        status: made.status,
        reason: made.outcome?.reason ?? silenceOf(receiver, notification.action),
        ms: made.ms,
      })
    }
    return results
  }

  /** The first of each conversation: what follows it waits. */
  #heads(): readonly Letter[] {
    const seen = new Set<string>()
    return this.pending.filter(({ notification: { receiver, dedupKey } }) => {
      const key = `${receiver} ${dedupKey}`
      if (seen.has(key)) return false
      seen.add(key)
      return true
    })
  }

  #whenFor({ nextAt, notification: { receiver } }: Letter): WallTime {
    const may = this.paces.mayAttempt(receiver, nextAt)
    return may.kind === "later" ? may.at : nextAt
  }

  /** First what is for receivers that answered last time. */
  #due(now: WallTime): readonly Due[] {
    const letters = this.#heads()
      .filter((letter) => letter.nextAt <= now && !this.#sending.has(letter.id))
      .map((letter) => ({ letter, reminder: undefined }))
    const reminders = this.#remindable().flatMap(({ key, receiver, dedupKey }) => {
      if ((this.#reminders.get(key) ?? 0) > now) return []
      const letter = this.#tables.lastDelivered(receiver, dedupKey)
      if (letter !== undefined) return [{ letter, reminder: key }]
      // It never got there: nothing to remind of, now.
      this.#reminders.set(key, wallTime(now + (this.paces.traits(receiver)?.reminderEvery ?? 0)))
      return []
    })
    const trouble = ({ letter }: Due): number => Number(this.paces.isTroubled(letter.notification.receiver))
    return [...letters, ...reminders].toSorted((a, b) => trouble(a) - trouble(b))
  }

  #remindable(): readonly {
    readonly key: string
    readonly receiver: string
    readonly dedupKey: string
  }[] {
    const waiting = new Set(this.pending.map(({ notification }) => notification.dedupKey))
    return this.#surroundings.groups().flatMap(({ key, receiver, lead, toldAt }) => {
      if (toldAt === undefined || this.paces.traits(receiver)?.reminderEvery === undefined) return []
      const dedupKey = this.#surroundings.dedupKey(lead)
      return waiting.has(dedupKey) ? [] : [{ key, receiver, dedupKey }]
    })
  }

  async #remind(letter: Letter, key: string): Promise<void> {
    const { receiver: name } = letter.notification
    const every = this.paces.traits(name)?.reminderEvery ?? 0
    this.#reminders.set(key, wallTime(readClock() + every))
    const receiver = (await this.#surroundings.receivers()).find((each) => each.name === name)
    if (receiver === undefined) return
    const made = await this.#make(letter.notification, receiver, {
      reference: undefined,
      rendering: letter.rendering,
    })
    if (made.outcome !== undefined) this.#note(receiver, made.outcome, () => [])
  }

  async #send(letter: Letter): Promise<void> {
    this.#sending.add(letter.id)
    try {
      const { receiver: name, dedupKey } = letter.notification
      const receiver = (await this.#surroundings.receivers()).find((each) => each.name === name)
      if (receiver === undefined) return this.#drop(letter.id, "the receiver was removed")
      const reference = this.#tables.reference(name, dedupKey)
      const made = await this.#make(letter.notification, receiver, { reference, rendering: letter.rendering })
      if (made.outcome === undefined)
        return this.#drop(letter.id, silenceOf(receiver, letter.notification.action))
      this.#settle(letter, receiver, { ...made, outcome: made.outcome })
    } finally {
      this.#sending.delete(letter.id)
    }
  }

  async #make(
    notification: Notification,
    receiver: Receiver,
    {
      reference,
      rendering,
    }: { readonly reference: string | undefined; readonly rendering: Letter["rendering"] },
  ): Promise<Made> {
    const startedAt = readClock()
    const request = await requestFor(notification, receiver, { now: startedAt, reference, rendering })
    if (request === undefined) return { startedAt, ms: 0, status: undefined, outcome: undefined }
    const answer = await attempt(request, this.#surroundings.policy())
    const endedAt = readClock()
    const status = answer.kind === "answered" ? answer.status : undefined
    return { startedAt, ms: endedAt - startedAt, status, outcome: classify(receiver, answer, endedAt) }
  }

  #settle(letter: Letter, receiver: Receiver, made: Made & { readonly outcome: Outcome }): void {
    const now = readClock()
    const attempts = letter.attempts + 1
    const disposition = dispose(made.outcome, {
      lane: traitsOf(receiver).lane,
      attempts,
      firstAt: letter.postedAt,
      rendering: letter.rendering,
      now,
      chance: chance(),
    })
    const logged = { at: made.startedAt, ms: made.ms, status: made.status, reason: made.outcome.reason }
    const settled: Letter = {
      ...letter,
      ...after(disposition, letter, now),
      attempts,
      reason: disposition.reason,
      log: [...letter.log, logged],
      reference: "reference" in made.outcome ? made.outcome.reference : letter.reference,
    }
    this.#note(receiver, made.outcome, () => {
      this.#tables.storeLetter(settled)
      return settled.state === "dead" && !isAboutReceivers(letter.notification)
        ? [deliveryFailed(letter, disposition.reason, now)]
        : []
    })
    const pending = new Map(this.#pending)
    if (settled.state === "pending") pending.set(letter.id, settled)
    else pending.delete(letter.id)
    this.#pending = pending
  }

  /** Notes an attempt in the receiver's pace, in one transaction with `work`; tells when it begins or ceases to fail. */
  #note(receiver: Receiver, outcome: Outcome, work: () => readonly PlacedEvent[]): void {
    const now = readClock()
    const change = this.paces.after(receiver.name, outcome, { now, chance: chance() })
    this.#surroundings.commit(now, () => [...work(), ...this.paces.write(change)])
    this.paces.keep(change)
  }

  #works(receiver: string): void {
    const now = readClock()
    const change = this.paces.wellAgain(receiver, now)
    this.#surroundings.commit(now, () => this.paces.write(change))
    this.paces.keep(change)
  }

  #drop(id: string, reason: string): void {
    const letter = this.#pending.get(id)
    assert(letter !== undefined, "only a waiting letter is dropped")
    this.#tables.storeLetter({ ...letter, state: "dropped", reason })
    const pending = new Map(this.#pending)
    pending.delete(id)
    this.#pending = pending
  }
}

interface Due {
  readonly letter: Letter
  /** Key of the group that is told again; `undefined`: the letter is new. */
  readonly reminder: string | undefined
}

interface Made {
  readonly startedAt: WallTime
  readonly ms: number
  readonly status: number | undefined
  /** `undefined`: the service has no word for it. */
  readonly outcome: Outcome | undefined
}

function sameConversation(a: Notification, b: Notification): boolean {
  return a.receiver === b.receiver && a.dedupKey === b.dedupKey
}

function after(
  disposition: Disposition,
  letter: Letter,
  now: WallTime,
): Pick<Letter, "state" | "nextAt" | "rendering"> {
  switch (disposition.kind) {
    case "delivered":
      return { state: "delivered", nextAt: now, rendering: letter.rendering }
    case "again":
      return { state: "pending", nextAt: disposition.at, rendering: disposition.rendering }
    case "dead":
      return { state: "dead", nextAt: now, rendering: letter.rendering }
  }
}

/** News about failed news stays a dead letter: it must not breed. */
function isAboutReceivers({ incidents }: Notification): boolean {
  return incidents.every(({ kind }) => kind === "delivery-failed" || kind === "receiver-failing")
}

function deliveryFailed(letter: Letter, reason: string, now: WallTime): PlacedEvent {
  const [about] = letter.notification.incidents
  return {
    id: `delivery-failed:${letter.id}`.slice(0, 96),
    kind: "delivery-failed",
    subject: letter.notification.receiver,
    severity: "warning",
    at: now,
    detail: `${letter.notification.action} of ${about.title} was given up: ${reason}`.slice(0, 512),
  }
}

/** In [0, 1), for the jitter of retries. */
function chance(): number {
  const [word] = crypto.getRandomValues(new Uint32Array(1))
  return (word ?? 0) / 2 ** 32
}
