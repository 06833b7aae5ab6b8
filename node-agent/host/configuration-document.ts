/**
 * A configuration as it travels the ring and stands in the durable record (SPEC LC1): the text of the file, comments and all,
 * and what it says as a plain object, so that nobody has to read TOML to take it up. Deflated, in base64.
 */
import { readFileSync } from "node:fs"
import { deflateRawSync, inflateRawSync } from "node:zlib"
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { parseConfig } from "../../protocol/config.ts"
import { plainOfText, sha256Hex } from "./config-file.ts"

/** Inflated: a file of the largest kind, twice. */
const contentBytesMax = 1_048_576

interface Content {
  readonly text: string
  readonly plain: unknown
}

export interface ConfigurationDocument {
  readonly config: ClusterConfig
  /** Of the file that an operator applied. */
  readonly text: string
}

/** Of a file that was read without errors before. */
export function documentOfFile(path: string): string {
  const text = readFileSync(path, "utf8")
  const content: Content = { text, plain: plainOfText(text) }
  return deflateRawSync(JSON.stringify(content), { level: 9 }).toString("base64")
}

/** Any text gives a configuration or nothing. */
export function readDocument(document: string): ConfigurationDocument | undefined {
  try {
    const bytes = inflateRawSync(Buffer.from(document, "base64"), { maxOutputLength: contentBytesMax })
    const content: Content = JSON.parse(bytes.toString("utf8"))
    if (typeof content?.text !== "string") return undefined
    const config = parseConfig(content.plain, sha256Hex)
    return config.kind === "ok" ? { config: config.value, text: content.text } : undefined
  } catch {
    // Not deflated, too long, or not JSON: not a document.
    return undefined
  }
}
