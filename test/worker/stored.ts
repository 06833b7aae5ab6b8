/** What an object has in storage: for "nothing was stored" and for setting the clock of its history back. */
import { runInDurableObject } from "cloudflare:test"
import type { TestCluster } from "./witness-client.ts"

const tables = [
  ...["record", "configuration", "events", "clusters", "incidents", "groups", "letters"],
  ...["silences", "settings", "credentials"],
]

/** Every row of every table, and the alarm. Two equal dumps: nothing was written in between. */
export function dump({ stub }: TestCluster): Promise<object> {
  return runInDurableObject(stub, async (_instance, { storage }) => {
    const rows = tables.map((table) => [table, storage.sql.exec(`SELECT * FROM ${table}`).toArray()] as const)
    return { ...Object.fromEntries(rows), alarm: await storage.getAlarm() }
  })
}

export function readRecord({ stub }: TestCluster): Promise<{ revision: number; text: string }> {
  return runInDurableObject(stub, (_instance, { storage }) => {
    const { revision, text } = storage.sql.exec("SELECT revision, text FROM record").one()
    return { revision: Number(revision), text: String(text) }
  })
}

/** Puts an earlier record in place, as a restore from a backup would. */
export function restoreRecord(
  { stub }: TestCluster,
  { revision, text }: { revision: number; text: string },
): Promise<void> {
  return runInDurableObject(stub, (_instance, { storage }) => {
    storage.sql.exec("UPDATE record SET revision = ?, text = ?", revision, text)
  })
}
