/**
 * What the alert router keeps: incidents, groups, the outbox of letters, silences and rules. One row for each, written only
 * when it changed. What is alive is held in memory by `alert-desk.ts` and read once, when the object starts: rows read are
 * counted by the plan as well.
 */
import type { WallTime } from "../protocol/units.ts"
import { wallTime } from "../protocol/units.ts"
import type { Group } from "./alerts/groups.ts"
import { flapWindowMs, type Incident, symptomOf } from "./alerts/incidents.ts"
import type { Notification, RequestContext } from "./alerts/notification.ts"
import type { Silence } from "./alerts/suppression.ts"
import type { CountedSql, Row } from "./sql.ts"

/** `dropped`: never to be sent, because something newer says it or the service has no word for it. */
export type LetterState = "pending" | "delivered" | "dead" | "dropped"

/** One attempt, for people. */
export interface LoggedAttempt {
  readonly at: WallTime
  readonly ms: number
  /** `undefined`: no answer came. */
  readonly status: number | undefined
  readonly reason: string
}

/** One notification on its way to its receiver. */
export interface Letter {
  readonly id: string
  readonly notification: Notification
  readonly state: LetterState
  readonly postedAt: WallTime
  readonly nextAt: WallTime
  readonly attempts: number
  readonly rendering: RequestContext["rendering"]
  /** Of the latest attempt, or why it was not sent. */
  readonly reason: string
  readonly log: readonly LoggedAttempt[]
  /** The service's own id of what it was told, to update or close it by; `null`: the one before is no good. */
  readonly reference: string | null | undefined
}

/** Attempts shown of one letter; the paging lane makes some three hundred in a day. */
const attemptsLogged = 20
const lettersKept = 2_000
const incidentsKept = 2_000
const trimmedEvery = 100

export class AlertTables {
  readonly #sql: CountedSql
  #sinceTrim = 0

  constructor(sql: CountedSql) {
    this.#sql = sql
  }

  /** Incidents that may still change, by symptom. */
  liveIncidents(now: WallTime): ReadonlyMap<string, Incident> {
    const live = "SELECT text FROM incidents WHERE resolved_ms IS NULL OR resolved_ms > ? ORDER BY since_ms"
    const incidents = this.#sql.rows(live, now - flapWindowMs).map(toIncident)
    return new Map(incidents.map((incident) => [symptomOf(incident.kind, incident.subject), incident]))
  }

  /** The newest incidents, whatever became of them. */
  newestIncidents(limit: number): readonly Incident[] {
    return this.#sql.rows("SELECT text FROM incidents ORDER BY since_ms DESC LIMIT ?", limit).map(toIncident)
  }

  incident(id: string): Incident | undefined {
    const newest = "SELECT text FROM incidents WHERE id >= ? AND id < ? ORDER BY since_ms DESC LIMIT 1"
    return this.#sql.rows(newest, id, `${id}g`).map(toIncident)[0]
  }

  storeIncident(incident: Incident): void {
    const replace = "INSERT OR REPLACE INTO incidents (id, since_ms, resolved_ms, text) VALUES (?, ?, ?, ?)"
    this.#sql.run(replace, incident.id, incident.since, incident.resolvedAt ?? null, JSON.stringify(incident))
  }

  groups(): ReadonlyMap<string, Group> {
    const groups = this.#sql
      .rows("SELECT text FROM groups")
      .map(({ text }): Group => JSON.parse(String(text)))
    return new Map(groups.map((group) => [group.key, group]))
  }

  storeGroup(group: Group): void {
    this.#sql.run("INSERT OR REPLACE INTO groups (key, text) VALUES (?, ?)", group.key, JSON.stringify(group))
  }

  removeGroup(key: string): void {
    this.#sql.run("DELETE FROM groups WHERE key = ?", key)
  }

  pendingLetters(): readonly Letter[] {
    return this.#sql.rows("SELECT * FROM letters WHERE state = 'pending' ORDER BY posted_ms").map(toLetter)
  }

  newestLetters(limit: number, state?: LetterState): readonly Letter[] {
    const newest = "SELECT * FROM letters WHERE state = ? OR ? = '' ORDER BY posted_ms DESC LIMIT ?"
    return this.#sql.rows(newest, state ?? "", state ?? "", limit).map(toLetter)
  }

  /** The letters about one incident, oldest first. */
  lettersAbout(incident: string): readonly Letter[] {
    const about = "SELECT * FROM letters WHERE instr(notification, ?) > 0 ORDER BY posted_ms LIMIT 200"
    return this.#sql.rows(about, `"${incident}"`).map(toLetter)
  }

  letter(id: string): Letter | undefined {
    return this.#sql.rows("SELECT * FROM letters WHERE id = ?", id).map(toLetter)[0]
  }

  /** What the service called this conversation last. */
  reference(receiver: string, dedupKey: string): string | undefined {
    const latest =
      "SELECT reference FROM letters WHERE receiver = ? AND dedup_key = ? AND reference IS NOT NULL " +
      "ORDER BY posted_ms DESC LIMIT 1"
    const [row] = this.#sql.rows(latest, receiver, dedupKey)
    return row === undefined || row.reference === "" ? undefined : String(row.reference)
  }

  /** The latest that was delivered of a conversation. */
  lastDelivered(receiver: string, dedupKey: string): Letter | undefined {
    const latest =
      "SELECT * FROM letters WHERE receiver = ? AND dedup_key = ? AND state = 'delivered' " +
      "ORDER BY posted_ms DESC LIMIT 1"
    return this.#sql.rows(latest, receiver, dedupKey).map(toLetter)[0]
  }

  storeLetter(letter: Letter): void {
    const { notification, log } = letter
    this.#sql.run(
      "INSERT OR REPLACE INTO letters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      letter.id,
      notification.receiver,
      notification.dedupKey,
      letter.state,
      letter.postedAt,
      letter.nextAt,
      letter.attempts,
      letter.rendering,
      letter.reason,
      JSON.stringify(notification),
      JSON.stringify(log.slice(-attemptsLogged)),
      letter.reference === null ? "" : (letter.reference ?? null),
    )
  }

  silences(): readonly Silence[] {
    return this.#sql.rows("SELECT text FROM silences").map(({ text }): Silence => JSON.parse(String(text)))
  }

  storeSilence(silence: Silence): void {
    this.#sql.run(
      "INSERT OR REPLACE INTO silences (id, text) VALUES (?, ?)",
      silence.id,
      JSON.stringify(silence),
    )
  }

  removeSilence(id: string): void {
    this.#sql.run("DELETE FROM silences WHERE id = ?", id)
  }

  setting(name: string): string | undefined {
    const [row] = this.#sql.rows("SELECT text FROM settings WHERE name = ?", name)
    return row && String(row.text)
  }

  storeSetting(name: string, text: string): void {
    this.#sql.run("INSERT OR REPLACE INTO settings (name, text) VALUES (?, ?)", name, text)
  }

  /** Everything of a deleted cluster, its credentials too. */
  clear(): void {
    for (const table of ["incidents", "groups", "letters", "silences", "settings", "credentials", "events"]) {
      this.#sql.run(`DELETE FROM ${table}`)
    }
  }

  /** Once in a while removes the oldest of what is over and beyond what is kept. */
  trim(): void {
    this.#sinceTrim += 1
    if (this.#sinceTrim < trimmedEvery) return
    this.#sinceTrim = 0
    this.#sql.run(
      "DELETE FROM letters WHERE state != 'pending' AND id NOT IN (SELECT id FROM letters ORDER BY posted_ms DESC LIMIT ?)",
      lettersKept,
    )
    this.#sql.run(
      "DELETE FROM incidents WHERE resolved_ms IS NOT NULL AND since_ms < " +
        "(SELECT coalesce(min(since_ms), 0) FROM (SELECT since_ms FROM incidents ORDER BY since_ms DESC LIMIT ?))",
      incidentsKept,
    )
  }
}

function toIncident({ text }: Row): Incident {
  return JSON.parse(String(text))
}

function toLetter(row: Row): Letter {
  const { state, rendering } = row
  return {
    id: String(row.id),
    notification: JSON.parse(String(row.notification)),
    state: state === "delivered" || state === "dead" || state === "dropped" ? state : "pending",
    postedAt: wallTime(Number(row.posted_ms)),
    nextAt: wallTime(Number(row.next_at_ms)),
    attempts: Number(row.attempts),
    rendering: rendering === "minimal" ? "minimal" : "full",
    reason: String(row.reason),
    log: JSON.parse(String(row.log)),
    reference: row.reference === null ? undefined : row.reference === "" ? null : String(row.reference),
  }
}
