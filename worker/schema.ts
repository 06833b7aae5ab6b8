/**
 * The object's SQLite tables, their migrations (oldest first) and the queries on them. Tables are WITHOUT ROWID and have
 * no secondary index: each row written costs one row of the quota. Ids are unique, so an event that is told twice
 * is stored and delivered once.
 */

import type { ReportedEvent } from "../protocol/summaries.ts"
import type { WallTime } from "../protocol/units.ts"
import { wallTime } from "../protocol/units.ts"

/** Applied in order, each once, all in one transaction. Never changed after a release: only added to. */
export const migrations: readonly string[] = [
  `CREATE TABLE record (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL, text TEXT NOT NULL);
   CREATE TABLE configuration (id INTEGER PRIMARY KEY CHECK (id = 1), cluster TEXT NOT NULL, text TEXT NOT NULL);
   CREATE TABLE events (
     id TEXT PRIMARY KEY, recorded_ms INTEGER NOT NULL, at_ms INTEGER NOT NULL, kind TEXT NOT NULL,
     subject TEXT NOT NULL, severity TEXT NOT NULL, detail TEXT NOT NULL
   ) WITHOUT ROWID;
   CREATE TABLE outbox (
     event_id TEXT NOT NULL, receiver TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
     next_at_ms INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (event_id, receiver)
   ) WITHOUT ROWID;
   CREATE TABLE clusters (name TEXT PRIMARY KEY) WITHOUT ROWID;`,
]

/** Events kept; the oldest beyond are removed, with what was sent about them. */
export const eventsKept = 1_000

export interface StoredEvent extends ReportedEvent {
  readonly recordedAt: WallTime
}

export type LetterState = "pending" | "delivered" | "dead"

/** One event for one receiver, on its way. */
export interface Letter {
  readonly eventId: string
  readonly receiver: string
  readonly state: LetterState
  readonly attempts: number
  readonly nextAt: WallTime
  readonly reason: string
}

/** The tables of one object, and how many rows were written through them since `takeRowsWritten` last asked. */
export class Tables {
  readonly #sql: SqlStorage
  #rowsWritten = 0

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  /** Whether this object was ever given anything to keep. One that was not must not come to be by being asked. */
  exist(): boolean {
    return this.#rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migrations'").length > 0
  }

  /** Brings the tables to the newest version; the caller holds the transaction. */
  migrate(): void {
    this.#run("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY)")
    const [done] = this.#rows("SELECT max(version) AS version FROM migrations")
    const applied = Number(done?.version ?? 0)
    migrations.slice(applied).forEach((migration, index) => {
      this.#run(migration)
      this.#run("INSERT INTO migrations (version) VALUES (?)", applied + index + 1)
    })
  }

  configuration(): { readonly cluster: string; readonly text: string } | undefined {
    const [row] = this.#rows("SELECT cluster, text FROM configuration WHERE id = 1")
    return row && { cluster: String(row.cluster), text: String(row.text) }
  }

  storeConfiguration(cluster: string, text: string): void {
    this.#run("INSERT OR REPLACE INTO configuration (id, cluster, text) VALUES (1, ?, ?)", cluster, text)
  }

  record(): { readonly revision: number; readonly text: string } | undefined {
    const [row] = this.#rows("SELECT revision, text FROM record WHERE id = 1")
    return row && { revision: Number(row.revision), text: String(row.text) }
  }

  createRecord(text: string): void {
    this.#run("INSERT INTO record (id, revision, text) VALUES (1, 1, ?)", text)
  }

  /** Compare-and-set: writes only over the revision that was decided on. Says whether it did. */
  replaceRecord(revision: number, text: string): boolean {
    return (
      this.#run(
        "UPDATE record SET revision = revision + 1, text = ? WHERE id = 1 AND revision = ?",
        text,
        revision,
      ) > 0
    )
  }

  /** Those of these events that are not stored yet, each once. */
  unknownEvents(events: readonly ReportedEvent[]): readonly ReportedEvent[] {
    const known = new Set<string>()
    return events.filter(({ id }) => {
      const unknown = !known.has(id) && this.#rows("SELECT 1 FROM events WHERE id = ?", id).length === 0
      known.add(id)
      return unknown
    })
  }

  storeEvent({ id, at, kind, subject, severity, detail }: ReportedEvent, now: WallTime): void {
    this.#run("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", id, now, at, kind, subject, severity, detail)
  }

  event(id: string): StoredEvent | undefined {
    return this.#rows("SELECT * FROM events WHERE id = ?", id).map(toEvent)[0]
  }

  newestEvents(limit: number): readonly StoredEvent[] {
    return this.#rows("SELECT * FROM events ORDER BY recorded_ms DESC, id LIMIT ?", limit).map(toEvent)
  }

  /** Removes the oldest events beyond those kept, once there are a tenth too many, and their letters. */
  trimEvents(): void {
    const [row] = this.#rows("SELECT count(*) AS count FROM events")
    const surplus = Number(row?.count ?? 0) - eventsKept
    if (surplus < eventsKept / 10) return
    const oldest = "SELECT id FROM events ORDER BY recorded_ms, id LIMIT ?"
    this.#run(`DELETE FROM outbox WHERE event_id IN (${oldest})`, surplus)
    this.#run(`DELETE FROM events WHERE id IN (${oldest})`, surplus)
  }

  postLetter(eventId: string, receiver: string, now: WallTime): void {
    this.#run("INSERT INTO outbox VALUES (?, ?, 'pending', 0, ?, '')", eventId, receiver, now)
  }

  dueLetters(now: WallTime, limit: number): readonly Letter[] {
    const due = "SELECT * FROM outbox WHERE state = 'pending' AND next_at_ms <= ? ORDER BY next_at_ms LIMIT ?"
    return this.#rows(due, now, limit).map(toLetter)
  }

  /** When the next letter is due; `undefined` if none is waiting. */
  nextLetterAt(): WallTime | undefined {
    const [row] = this.#rows("SELECT min(next_at_ms) AS next FROM outbox WHERE state = 'pending'")
    const next = row?.next
    return typeof next === "number" ? wallTime(next) : undefined
  }

  newestLetters(limit: number): readonly Letter[] {
    return this.#rows("SELECT * FROM outbox ORDER BY next_at_ms DESC LIMIT ?", limit).map(toLetter)
  }

  /** Notes an attempt. `before` is the letter as it was read: one changed since then is left alone. */
  settleLetter(before: Letter, after: Pick<Letter, "state" | "nextAt" | "reason">): boolean {
    const update =
      "UPDATE outbox SET state = ?, attempts = attempts + 1, next_at_ms = ?, reason = ? " +
      "WHERE event_id = ? AND receiver = ? AND state = 'pending' AND attempts = ?"
    const { eventId, receiver, attempts } = before
    return this.#run(update, after.state, after.nextAt, after.reason, eventId, receiver, attempts) > 0
  }

  registerCluster(name: string): void {
    this.#run("INSERT OR IGNORE INTO clusters (name) VALUES (?)", name)
  }

  registeredClusters(): readonly string[] {
    return this.#rows("SELECT name FROM clusters ORDER BY name").map((row) => String(row.name))
  }

  /** Rows written since the last call, for the meter. */
  takeRowsWritten(): number {
    const rows = this.#rowsWritten
    this.#rowsWritten = 0
    return rows
  }

  #run(query: string, ...bindings: readonly (string | number)[]): number {
    const { rowsWritten } = this.#sql.exec(query, ...bindings)
    this.#rowsWritten += rowsWritten
    return rowsWritten
  }

  #rows(query: string, ...bindings: readonly (string | number)[]): Record<string, SqlStorageValue>[] {
    return this.#sql.exec(query, ...bindings).toArray()
  }
}

function toEvent(row: Record<string, SqlStorageValue>): StoredEvent {
  return {
    id: String(row.id),
    kind: String(row.kind),
    subject: String(row.subject),
    severity: toSeverity(row.severity),
    at: wallTime(Number(row.at_ms)),
    detail: String(row.detail),
    recordedAt: wallTime(Number(row.recorded_ms)),
  }
}

function toSeverity(value: SqlStorageValue | undefined): ReportedEvent["severity"] {
  return value === "critical" || value === "warning" ? value : "info"
}

function toLetter(row: Record<string, SqlStorageValue>): Letter {
  const state = row.state
  return {
    eventId: String(row.event_id),
    receiver: String(row.receiver),
    state: state === "delivered" || state === "dead" ? state : "pending",
    attempts: Number(row.attempts),
    nextAt: wallTime(Number(row.next_at_ms)),
    reason: String(row.reason),
  }
}
