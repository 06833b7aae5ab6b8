/**
 * Direct paging: while the witness cannot be reached, a node tells the receivers itself what its own core reports. Pure: the
 * same router, retries and pace as at the witness, and the same ids, so that a pager folds what both tell into one.
 *
 *   reachable -- the witness is away ----------> waiting    (it may be back in a moment)
 *   waiting   -- `heldGraceMs` with the site's voice, `graceMs` without --> paging
 *   waiting, paging -- the witness is back ----> reachable
 *
 * The site that holds its rights speaks first; one without waits longer, because the other most likely says the same.
 * When the witness is back it is told every event that waited for it, and pages on under the same ids; what was not
 * delivered here by then is its business, but what was told here is also ended here. Without any witness a node always pages.
 */
import { type WallTime, wallTime } from "../../protocol/units.ts"
import { dispose } from "../../worker/alerts/delivery.ts"
import type { Circumstances } from "../../worker/alerts/groups.ts"
import type { PlacedEvent } from "../../worker/alerts/incidents.ts"
import type { Notification, Outcome, RequestContext } from "../../worker/alerts/notification.ts"
import { freshPace, mayAttempt, noteAttempt, type Pace } from "../../worker/alerts/pace.ts"
import { type Receiver, reminderEvery, traitsOf } from "../../worker/alerts/receivers/receiver.ts"
import { type AlertState, advance, nextAdvance, noAlerts } from "../../worker/alerts/router.ts"
import { supersede } from "../../worker/alerts/supersession.ts"

export interface Letter {
  readonly notification: Notification
  readonly postedAt: WallTime
  readonly nextAt: WallTime
  readonly attempts: number
  readonly rendering: RequestContext["rendering"]
  readonly isSending: boolean
}

export interface Pager {
  readonly mode: "reachable" | "waiting" | "paging"
  /** It has not looked yet. */
  readonly isNew: boolean
  /** Since when the witness is away; only while it is. */
  readonly awaySince: WallTime
  /** Every event that was seen lately, when, and whether the router has it. */
  readonly seen: ReadonlyMap<string, Seen>
  readonly alerts: AlertState
  /** Oldest first. */
  readonly letters: readonly Letter[]
  readonly paces: ReadonlyMap<string, Pace>
  /** By conversation: what the service called it, and when an open one is told again. */
  readonly references: ReadonlyMap<string, string>
  /** Conversations whose beginning was told here. */
  readonly told: ReadonlySet<string>
  readonly reminders: ReadonlyMap<string, { readonly notification: Notification; readonly at: WallTime }>
}

interface Seen {
  readonly event: PlacedEvent
  readonly at: WallTime
  readonly isTaken: boolean
}

/** What the node's status shows. */
export interface Sight {
  readonly witness: "none" | "reachable" | "away"
  readonly hasVoice: boolean
  /** What the node sees to be well now, as the events that would tell of it. */
  readonly recoveries: readonly PlacedEvent[]
  /** The newest that this node reported, oldest first. */
  readonly events: readonly PlacedEvent[]
}

/** A witness that restarts or is deployed anew is back sooner; with the router's own wait the first page leaves after 25 s. */
export const heldGraceMs = 15_000
export const graceMs = 60_000
/** What was reported this long before the witness was away may not have reached it. */
export const overlapMs = 30_000
/** Twice what a status shows. */
const seenMax = 100
/** Of one conversation or many: more letters than this are old news. */
const lettersMax = 200

const longAgo = wallTime(0)

export const idlePager: Pager = {
  mode: "reachable",
  isNew: true,
  awaySince: longAgo,
  seen: new Map(),
  alerts: noAlerts,
  letters: [],
  paces: new Map(),
  references: new Map(),
  told: new Set(),
  reminders: new Map(),
}

/** Brings the pager to `now` with what is seen of the node. */
export function observe(
  before: Pager,
  sight: Sight,
  { rules, cluster }: Pick<Circumstances, "rules" | "cluster">,
  now: WallTime,
): Pager {
  const { mode, awaySince } = modeAfter(before, sight, now)
  const leaves = mode === "reachable" && before.mode !== "reachable"
  const pager: Pager = {
    ...(leaves ? handedOver(before, cluster) : before),
    ...{ mode, awaySince, isNew: false, seen: notice(before, sight.events, now) },
  }
  // While it is not clear whether the witness is away, nothing moves on.
  if (mode === "waiting") return pager
  const known = (mode === "reachable" ? now : awaySince) - overlapMs
  const open = [...pager.seen.values()].filter(({ isTaken }) => !isTaken)
  const old = open.filter(({ at }) => at < known).map(({ event }) => event)
  const fresh = open.filter(({ at }) => at >= known).map(({ event }) => event)
  const circumstances: Circumstances = { cluster, rules, silences: [], publicUrl: undefined }
  const silent = { ...circumstances, rules: { ...rules, receiver: [] } }
  const follow = (state: AlertState, events: readonly PlacedEvent[], where: Circumstances) =>
    advance(
      state,
      events.map((event) => ({ event, cluster })),
      where,
      now,
    )
  // What the witness surely knows is followed without telling anybody: what flaps is the same incident then as there.
  if (mode === "reachable") {
    const { state, notifications } = follow(
      pager.alerts,
      [...old, ...recoveries(pager.alerts, sight)],
      silent,
    )
    const ends = notifications.filter((each) => isOwnEnd(pager, each))
    return moved({ ...pager, seen: taken(pager.seen, old) }, state, ends, now)
  }
  // Without anything old this must not be: what is pending would open and be told to nobody.
  const followed = old.length === 0 ? pager.alerts : follow(pager.alerts, old, silent).state
  const news = [...fresh, ...recoveries(followed, sight)]
  const { state, notifications } = follow(followed, news, circumstances)
  return moved({ ...pager, seen: taken(pager.seen, [...old, ...fresh]) }, state, notifications, now)
}

/** When `observe` or `nextLetters` has something to do although nothing happens. */
export function nextLook(pager: Pager, receivers: readonly Receiver[]): WallTime | undefined {
  const busy = busyReceivers(pager)
  const due = heads(pager).flatMap(({ notification, nextAt }) => {
    const receiver = receivers.find(({ name }) => name === notification.receiver)
    // What waits for a receiver that is being told is looked at when that is settled.
    if (receiver === undefined || busy.has(receiver.name)) return []
    const may = mayAttempt(paceOf(pager, receiver), traitsOf(receiver), nextAt)
    return [may.kind === "later" ? may.at : nextAt]
  })
  const reminders = [...pager.reminders.values()].map(({ at }) => at)
  const all = [...due, ...reminders, nextAdvance(pager.alerts)].filter((at) => at !== undefined)
  return all.length === 0 ? undefined : wallTime(Math.min(...all))
}

/** Takes out what is to be sent now: the head of each conversation, one for each receiver that may be tried. */
export function nextLetters(
  pager: Pager,
  receivers: readonly Receiver[],
  now: WallTime,
): { readonly pager: Pager; readonly letters: readonly (Letter & { readonly receiver: Receiver })[] } {
  let { paces } = pager
  const letters: (Letter & { readonly receiver: Receiver })[] = []
  const busy = busyReceivers(pager)
  for (const letter of heads(pager)) {
    const receiver = receivers.find(({ name }) => name === letter.notification.receiver)
    if (receiver === undefined || letter.nextAt > now || busy.has(receiver.name)) continue
    const may = mayAttempt(paceOf(pager, receiver), traitsOf(receiver), now)
    if (may.kind === "later") continue
    paces = new Map(paces).set(receiver.name, may.pace)
    busy.add(receiver.name)
    letters.push({ ...letter, receiver })
  }
  const ids = letters.map(({ notification }) => notification.id)
  const sending = (letter: Letter): Letter =>
    ids.includes(letter.notification.id) ? { ...letter, isSending: true } : letter
  // A receiver that was taken out of the file is told nothing more.
  const known = pager.letters.filter(({ notification }) =>
    receivers.some(({ name }) => name === notification.receiver),
  )
  return { pager: { ...pager, paces, letters: known.map(sending) }, letters }
}

export interface Attempted {
  readonly notification: Notification
  readonly receiver: Receiver
  /** `undefined`: the service has no word for it. */
  readonly outcome: Outcome | undefined
  readonly chance: number
}

/** What came of a letter. `given-up`: for good. */
export function settled(
  before: Pager,
  { notification, receiver, outcome, chance }: Attempted,
  now: WallTime,
): { readonly pager: Pager; readonly ending: "told" | "again" | "given-up" | "not-told" } {
  const letter = before.letters.find((each) => each.notification.id === notification.id)
  const rest = before.letters.filter((each) => each !== letter)
  if (outcome === undefined) return { pager: { ...before, letters: rest }, ending: "not-told" }
  const pace = noteAttempt(paceOf(before, receiver), outcome, { now, chance })
  const paces = new Map(before.paces).set(receiver.name, pace)
  const pager = { ...referenced(before, notification, outcome), paces }
  const attempts = (letter?.attempts ?? 0) + 1
  const { postedAt, rendering } = letter ?? { postedAt: now, rendering: "full" as const }
  const made = { lane: traitsOf(receiver).lane, attempts, firstAt: postedAt, rendering, now, chance }
  const next = dispose(outcome, made)
  const isOurs = pager.mode !== "reachable" || isOwnEnd(pager, notification)
  if (next.kind === "again" && letter !== undefined && isOurs) {
    const again = { ...letter, attempts, nextAt: next.at, rendering: next.rendering, isSending: false }
    return {
      pager: { ...pager, letters: pager.letters.map((each) => (each === letter ? again : each)) },
      ending: "again",
    }
  }
  // It became the witness's while it was under way.
  if (next.kind === "again") return { pager: { ...pager, letters: rest }, ending: "not-told" }
  if (next.kind === "dead") return { pager: { ...pager, letters: rest }, ending: "given-up" }
  return { pager: { ...remembered(pager, notification, receiver, now), letters: rest }, ending: "told" }
}

/** By which what follows refers to what was told. */
export function referenceOf(pager: Pager, notification: Notification): string | undefined {
  return pager.references.get(conversation(notification))
}

function moved(
  pager: Pager,
  alerts: AlertState,
  notifications: readonly Notification[],
  now: WallTime,
): Pager {
  return reminded(
    notifications.reduce((each, notification) => posted(each, notification, now), { ...pager, alerts }),
    now,
  )
}

function taken(seen: Pager["seen"], events: readonly PlacedEvent[]): Pager["seen"] {
  if (events.length === 0) return seen
  const ids = new Set(events.map(({ id }) => id))
  return new Map(
    [...seen].map(([id, each]) => [id, ids.has(id) ? { ...each, isTaken: true } : each] as const),
  )
}

function modeAfter(
  { mode, awaySince }: Pager,
  { witness, hasVoice }: Sight,
  now: WallTime,
): Pick<Pager, "mode" | "awaySince"> {
  if (witness === "reachable") return { mode: "reachable", awaySince: longAgo }
  if (mode === "paging") return { mode, awaySince }
  const since = mode === "reachable" ? now : awaySince
  const grace = witness === "none" ? 0 : hasVoice ? heldGraceMs : graceMs
  return { mode: now - since < grace ? "waiting" : "paging", awaySince: since }
}

function notice({ seen, isNew }: Pager, events: readonly PlacedEvent[], now: WallTime): Pager["seen"] {
  const fresh = events.filter(({ id }) => !seen.has(id))
  if (fresh.length === 0) return seen
  // A control process that was just started is shown old news too, which the former one has told.
  const seenAt = ({ at }: PlacedEvent): WallTime => (isNew && at < now ? at : now)
  const added = fresh.map((event) => [event.id, { event, at: seenAt(event), isTaken: false }] as const)
  return new Map([...seen, ...added].slice(-seenMax))
}

/**
 * Who told a beginning must come to know of its end, also if another node has reported it meanwhile: what is seen to be
 * well ends what was not, as the witness concludes it from summaries.
 */
function recoveries({ incidents }: AlertState, sight: Sight): readonly PlacedEvent[] {
  const waits = [...incidents.values()].some(({ phase }) => phase === "open" || phase === "pending")
  return waits ? sight.recoveries : []
}

/** What was told here, or is just being told, is followed to its end; everything else is the witness's. */
function handedOver(pager: Pager, cluster: string): Pager {
  const { incidents, groups } = pager.alerts
  const letters = pager.letters.filter((letter) => letter.isSending || isOwnEnd(pager, letter.notification))
  const own = new Set([...pager.told, ...letters.map(({ notification }) => conversation(notification))])
  const kept = [...groups].filter(([, { receiver, lead }]) => own.has(`${receiver} ${cluster}:${lead}`))
  return { ...pager, alerts: { incidents, groups: new Map(kept) }, letters, reminders: new Map() }
}

/** Who told the beginning tells the end: the witness may have made another group of it, under another key. */
function isOwnEnd({ told }: Pager, notification: Notification): boolean {
  return notification.action === "resolve" && told.has(conversation(notification))
}

function posted(pager: Pager, notification: Notification, now: WallTime): Pager {
  const key = conversation(notification)
  const waiting = pager.letters
    .filter((letter) => conversation(letter.notification) === key)
    .map((letter) => {
      return {
        id: letter.notification.id,
        notification: letter.notification,
        tried: letter.attempts > 0 || letter.isSending,
      }
    })
  const { dropped, sent } = supersede(notification, waiting)
  const kept = pager.letters.filter((letter) => !dropped.includes(letter.notification.id))
  const reminders = new Map([...pager.reminders].filter(([each]) => each !== key))
  if (!sent) return { ...pager, letters: kept, reminders }
  const letter: Letter = {
    notification,
    postedAt: now,
    nextAt: now,
    attempts: 0,
    rendering: "full",
    isSending: false,
  }
  return { ...pager, letters: [...kept, letter].slice(-lettersMax), reminders }
}

/** Services that forget are told again what is still open. */
function reminded(pager: Pager, now: WallTime): Pager {
  const due = [...pager.reminders.values()].filter(({ at }) => at <= now)
  return due.reduce((each, { notification }) => posted(each, notification, now), pager)
}

function remembered(pager: Pager, notification: Notification, receiver: Receiver, now: WallTime): Pager {
  const key = conversation(notification)
  if (notification.action === "resolve") {
    const told = new Set([...pager.told].filter((each) => each !== key))
    const references = new Map([...pager.references].filter(([each]) => each !== key))
    return { ...pager, told, references }
  }
  const told = new Set(pager.told).add(key)
  const every = reminderEvery(receiver)
  if (every === undefined || pager.mode !== "paging") return { ...pager, told }
  return {
    ...pager,
    told,
    reminders: new Map(pager.reminders).set(key, { notification, at: wallTime(now + every) }),
  }
}

function referenced(pager: Pager, notification: Notification, outcome: Outcome): Pager {
  if (!("reference" in outcome) || outcome.reference === undefined) return pager
  const references = new Map(pager.references)
  if (outcome.reference === null) references.delete(conversation(notification))
  else references.set(conversation(notification), outcome.reference)
  return { ...pager, references }
}

/** The first of each conversation: what follows it waits. */
function heads({ letters }: Pager): readonly Letter[] {
  const seen = new Set<string>()
  return letters.filter(({ notification, isSending }) => {
    const key = conversation(notification)
    const isHead = !seen.has(key)
    seen.add(key)
    return isHead && !isSending
  })
}

function busyReceivers({ letters }: Pager): Set<string> {
  return new Set(
    letters.filter(({ isSending }) => isSending).map(({ notification }) => notification.receiver),
  )
}

function paceOf({ paces }: Pager, { name }: Receiver): Pace {
  return paces.get(name) ?? freshPace
}

function conversation({ receiver, dedupKey }: Notification): string {
  return `${receiver} ${dedupKey}`
}
