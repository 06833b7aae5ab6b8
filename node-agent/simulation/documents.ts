/** A world's configurations as documents (SPEC LC1): the tables that a file holds, printable. The core is handed a reader. */
import { createHash } from "node:crypto"
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { parseConfig } from "../../protocol/config.ts"

/** What a file says, as the TOML reader hands it over. */
export type Tables = Readonly<Record<string, unknown>>

const digest = (text: string): string => createHash("sha256").update(text, "utf8").digest("hex")

/** Undefined: no valid configuration. */
export function readTables(tables: unknown): ClusterConfig | undefined {
  const parsed = parseConfig(tables, digest)
  return parsed.kind === "ok" ? parsed.value : undefined
}

/** Printable, as documents are; what the real ones hold besides is the file's text. */
export function documentOf(tables: Tables): string {
  return Buffer.from(JSON.stringify(tables)).toString("base64")
}

/** Every node reads every document, each several times. */
const read = new Map<string, ClusterConfig | undefined>()
const readMax = 64

export function readDocument(document: string): ClusterConfig | undefined {
  if (!read.has(document)) {
    if (read.size === readMax) read.clear()
    read.set(document, parsed(document))
  }
  return read.get(document)
}

function parsed(document: string): ClusterConfig | undefined {
  try {
    return readTables(JSON.parse(Buffer.from(document, "base64").toString()))
  } catch {
    // Any text is a document until it is read.
    return undefined
  }
}
