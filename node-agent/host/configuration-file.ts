/**
 * `cluster.toml` follows the active configuration (SPEC LC7): operators, and the next start of a node that lost its record, read
 * there what the cluster runs. The durable record decides; a file that cannot be written is said and harms nothing.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs"
import { readDocument } from "./configuration-document.ts"

/** The file becomes what the document says, byte for byte. Undefined: done, or the reason why not. */
export function replaceConfigFile(path: string, document: string): string | undefined {
  const text = readDocument(document)?.text
  if (text === undefined) return "the document cannot be read"
  try {
    if (readFileSync(path, "utf8") === text) return undefined
  } catch {
    // Missing or unreadable: it is written anew.
  }
  const temporary = `${path}.new`
  try {
    const file = openSync(temporary, "w", 0o644)
    try {
      writeSync(file, text)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
    return undefined
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause)
  }
}
