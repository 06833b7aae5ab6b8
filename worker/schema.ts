/**
 * The object's SQLite tables, their migrations (oldest first) and the queries on them. Tables are WITHOUT ROWID and have
 * no secondary index: each row written costs one row of the quota. Ids are unique, so an event that is told twice
 * is stored and delivered once.
 */

import type { ReportedEvent } from "../protocol/summaries.ts"
import type { WallTime } from "../protocol/units.ts"
import { wallTime } from "../protocol/units.ts"
import type { PlacedEvent } from "./alerts/incidents.ts"
import type { CountedSql, Row } from "./sql.ts"

/** Applied in order, each once, all in one transaction. Never changed after a release: only added to. */
const migrations: readonly string[] = [
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
  `DROP TABLE outbox;
   ALTER TABLE events ADD COLUMN place TEXT NOT NULL DEFAULT '{}';
   CREATE TABLE incidents (
     id TEXT NOT NULL, since_ms INTEGER NOT NULL, resolved_ms INTEGER, text TEXT NOT NULL, PRIMARY KEY (id, since_ms)
   ) WITHOUT ROWID;
   CREATE TABLE groups (key TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
   CREATE TABLE letters (
     id TEXT NOT NULL, receiver TEXT NOT NULL, dedup_key TEXT NOT NULL, state TEXT NOT NULL, posted_ms INTEGER NOT NULL,
     next_at_ms INTEGER NOT NULL, attempts INTEGER NOT NULL, rendering TEXT NOT NULL, reason TEXT NOT NULL,
     notification TEXT NOT NULL, log TEXT NOT NULL, reference TEXT, PRIMARY KEY (receiver, dedup_key, id)
   ) WITHOUT ROWID;
   CREATE TABLE silences (id TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
   CREATE TABLE settings (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
   CREATE TABLE credentials (id TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;`,
]

/** Events kept: a week of a lively cluster, for trying out rules. The oldest beyond are removed. */
const eventsKept = 5_000

const trimmedEvery = 100

export interface StoredEvent extends PlacedEvent {
  readonly recordedAt: WallTime
}

/** The record, the configuration, the events and the registry's list; the alert router's are in `alert-tables.ts`. */
export class Tables {
  readonly #sql: CountedSql
  #sinceTrim = 0

  constructor(sql: CountedSql) {
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

  removeConfiguration(): void {
    this.#run("DELETE FROM configuration")
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
  unknownEvents(events: readonly PlacedEvent[]): readonly PlacedEvent[] {
    const known = new Set<string>()
    return events.filter(({ id }) => {
      const unknown = !known.has(id) && this.#rows("SELECT 1 FROM events WHERE id = ?", id).length === 0
      known.add(id)
      return unknown
    })
  }

  storeEvent(event: PlacedEvent, now: WallTime): void {
    const { id, at, kind, subject, severity, detail, site, peer, node, cause } = event
    const place = JSON.stringify({ site, peer, node, cause })
    const insert = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    this.#run(insert, id, now, at, kind, subject, severity, detail, place)
  }

  /** By id, which is what a page can go on from without reading all of them. */
  eventsAfter(id: string, since: WallTime, limit: number): readonly StoredEvent[] {
    const page = "SELECT * FROM events WHERE id > ? AND recorded_ms >= ? ORDER BY id LIMIT ?"
    return this.#rows(page, id, since, limit).map(toEvent)
  }

  newestEvents(limit: number): readonly StoredEvent[] {
    return this.#rows("SELECT * FROM events ORDER BY recorded_ms DESC, id LIMIT ?", limit).map(toEvent)
  }

  /** Removes the oldest events beyond those kept. Counting them reads them all, so it is done once in a while. */
  trimEvents(): void {
    this.#sinceTrim += 1
    if (this.#sinceTrim < trimmedEvery) return
    this.#sinceTrim = 0
    const [row] = this.#rows("SELECT count(*) AS count FROM events")
    const surplus = Number(row?.count ?? 0) - eventsKept
    if (surplus <= 0) return
    const oldest = "SELECT id FROM events ORDER BY recorded_ms, id LIMIT ?"
    this.#run(`DELETE FROM events WHERE id IN (${oldest})`, surplus)
  }

  registerCluster(name: string): void {
    this.#run("INSERT OR IGNORE INTO clusters (name) VALUES (?)", name)
  }

  unregisterCluster(name: string): void {
    this.#run("DELETE FROM clusters WHERE name = ?", name)
  }

  registeredClusters(): readonly string[] {
    return this.#rows("SELECT name FROM clusters ORDER BY name").map((row) => String(row.name))
  }

  #run(query: string, ...bindings: readonly (string | number)[]): number {
    return this.#sql.run(query, ...bindings)
  }

  #rows(query: string, ...bindings: readonly (string | number)[]): readonly Row[] {
    return this.#sql.rows(query, ...bindings)
  }
}

function toEvent(row: Row): StoredEvent {
  return {
    id: String(row.id),
    kind: String(row.kind),
    subject: String(row.subject),
    severity: toSeverity(row.severity),
    at: wallTime(Number(row.at_ms)),
    detail: String(row.detail),
    recordedAt: wallTime(Number(row.recorded_ms)),
    ...JSON.parse(String(row.place)),
  }
}

function toSeverity(value: SqlStorageValue | undefined): ReportedEvent["severity"] {
  return value === "critical" || value === "warning" ? value : "info"
}
