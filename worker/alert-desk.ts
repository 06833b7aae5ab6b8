/**
 * The alert router of one cluster in its object: holds what is alive, lets the pure router decide, and writes what changed.
 * Everything here is synchronous and stands in the caller's transaction: a state change and the letters about it are
 * stored together or not at all (SPEC A7). Sending is `alert-outbox.ts`.
 */
import { assert } from "../protocol/assert.ts"
import type { WallTime } from "../protocol/units.ts"
import { wallTime } from "../protocol/units.ts"
import { AlertTables } from "./alert-tables.ts"
import type { Circumstances, Group } from "./alerts/groups.ts"
import { acknowledged, type Incident, type PlacedEvent, resolvedBy } from "./alerts/incidents.ts"
import type { Notification } from "./alerts/notification.ts"
import {
  type Advanced,
  type AlertState,
  advance,
  nextAdvance,
  noAlerts,
  relook,
  reroute,
  withIncident,
} from "./alerts/router.ts"
import { type AlertRules, noRules } from "./alerts/rules.ts"
import type { Silence } from "./alerts/suppression.ts"
import type { CountedSql } from "./sql.ts"

export interface DeskSurroundings {
  readonly cluster: () => string
  readonly publicUrl: () => string | undefined
  /** A notification is to be posted, in the transaction that is open. */
  readonly post: (notification: Notification, now: WallTime) => void
}

/** Silences that are over are kept this long, so that an explanation can name them. */
const silenceKeptMs = 7 * 86_400_000
export const silencesMax = 200

export class AlertDesk {
  readonly tables: AlertTables
  readonly #surroundings: DeskSurroundings
  #state: AlertState = noAlerts
  #silences: readonly Silence[] = []
  #rules: AlertRules = noRules

  constructor(sql: CountedSql, surroundings: DeskSurroundings) {
    this.tables = new AlertTables(sql)
    this.#surroundings = surroundings
  }

  /** What is stored is the truth; also after a transaction that failed. */
  load(now: WallTime): void {
    this.#state = { incidents: this.tables.liveIncidents(now), groups: this.tables.groups() }
    this.#silences = this.tables.silences()
    const rules = this.tables.setting("rules")
    this.#rules = rules === undefined ? noRules : JSON.parse(rules)
  }

  get rules(): AlertRules {
    return this.#rules
  }

  get silences(): readonly Silence[] {
    return this.#silences
  }

  get incidents(): readonly Incident[] {
    return [...this.#state.incidents.values()]
  }

  get groups(): readonly Group[] {
    return [...this.#state.groups.values()]
  }

  /** New events, each once; none: what time alone brings. */
  take(events: readonly PlacedEvent[], now: WallTime): void {
    const cluster = this.#surroundings.cluster()
    const signals = events.map((event) => ({ event, cluster }))
    this.#apply(advance(this.#state, signals, this.#circumstances(), now), now)
  }

  /** When `take` has something to do without an event. */
  nextAt(): WallTime | undefined {
    return nextAdvance(this.#state)
  }

  /** By id or the beginning of one; `undefined`: there is none, or more than one, that could change. */
  find(id: string): Incident | undefined {
    const found = this.incidents.filter((incident) => incident.id.startsWith(id))
    return found.length === 1 ? found[0] : undefined
  }

  acknowledge(id: string, by: string, now: WallTime): void {
    const change = (incident: Incident): Incident => acknowledged(incident, by, now)
    this.#apply(withIncident(this.#state, change, id, this.#circumstances(), now), now)
  }

  resolve(id: string, by: string, now: WallTime): void {
    const change = (incident: Incident): Incident => resolvedBy(incident, by, now)
    this.#apply(withIncident(this.#state, change, id, this.#circumstances(), now), now)
  }

  silence(silence: Silence, now: WallTime): void {
    this.tables.storeSilence(silence)
    const old = this.#silences.filter(({ endsAt }) => endsAt < now - silenceKeptMs)
    for (const { id } of old) this.tables.removeSilence(id)
    this.#silences = [
      ...this.#silences.filter((each) => each.id !== silence.id && !old.includes(each)),
      silence,
    ]
    this.#apply(relook(this.#state, this.#circumstances(), now), now)
  }

  /** Ends a silence now; it stays known for explanations. */
  endSilence(id: string, now: WallTime): Silence | undefined {
    const found = this.#silences.find((each) => each.id === id && each.endsAt > now)
    if (found === undefined) return undefined
    const ended = { ...found, startsAt: wallTime(Math.min(found.startsAt, now)), endsAt: now }
    this.silence(ended, now)
    return ended
  }

  replaceRules(rules: AlertRules, now: WallTime): void {
    this.tables.storeSetting("rules", JSON.stringify(rules))
    this.#rules = rules
    this.#apply(reroute(this.#state, this.#circumstances(), now), now)
  }

  #circumstances(): Circumstances {
    const { cluster, publicUrl } = this.#surroundings
    return { cluster: cluster(), publicUrl: publicUrl(), rules: this.#rules, silences: this.#silences }
  }

  #apply({ state, notifications }: Advanced, now: WallTime): void {
    const before = this.#state
    for (const [symptom, incident] of state.incidents) {
      if (before.incidents.get(symptom) !== incident) this.tables.storeIncident(incident)
    }
    for (const [key, group] of state.groups) {
      if (before.groups.get(key) !== group) this.tables.storeGroup(group)
    }
    for (const key of before.groups.keys()) if (!state.groups.has(key)) this.tables.removeGroup(key)
    this.#state = state
    for (const notification of notifications) {
      assert(notification.incidents.length > 0, "a notification is about something")
      this.#surroundings.post(notification, now)
    }
    if (state !== before) this.tables.trim()
  }
}
