/**
 * The configuration file: TOML text to the plain object that `protocol/config.ts` reads, with the place of every key, so
 * that each error says the line to mend. TOML 1.0; syntax errors are reported one at a time, since what follows one is
 * guesswork, everything else at once.
 */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { parseConfig } from "../../protocol/config.ts"
import { dotted } from "../../protocol/config-reader.ts"
import { err, type Result } from "../../protocol/result.ts"
import { placeOf, readToml } from "../../protocol/toml.ts"

/** A full configuration of 64 nodes and 32 services has about 100 KB; more is another kind of file. */
const fileBytesMax = 262_144

export interface LocatedConfigError {
  /** Both from 1. What is missing is placed at the table it is missing from. */
  readonly line: number
  readonly column: number
  /** The key as people write it, `node[2].links[0]`; empty: the file as a whole. */
  readonly key: string
  /** What was found and what was expected. */
  readonly message: string
}

/** Reads and checks the file at `path`. An error is the lines to print: none is thrown, nothing has changed. */
export function loadConfigFile(path: string): Result<ClusterConfig, readonly string[]> {
  let bytes: Uint8Array
  try {
    bytes = readFileSync(path)
  } catch (cause) {
    return err([`${path}: ${unreadable(cause)}, expected a cluster configuration in TOML`])
  }
  const text = decodeUtf8(bytes)
  if (text === undefined) return err([`${path}: not UTF-8, expected a cluster configuration in TOML`])
  const read = readConfigText(text, sha256Hex)
  return read.kind === "ok" ? read : err(formatConfigErrors(path, read.error))
}

/** SHA-256 over the UTF-8 of a text, lower-case hex: the `digest` of `parseConfig`. */
export function sha256Hex(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex")
}

/** Reads and checks the text of a file; errors in the order of the file. Never throws. */
export function readConfigText(
  text: string,
  digest: (text: string) => string,
): Result<ClusterConfig, readonly LocatedConfigError[]> {
  if (text.length > fileBytesMax) {
    return err([wholeFile(`found ${text.length} characters, expected at most ${fileBytesMax}`)])
  }
  const toml = readToml(text)
  if (toml.kind === "error") return err([{ ...toml.error, key: "" }])
  const { plain, places } = toml.value
  const config = parseConfig(plain, digest)
  if (config.kind === "ok") return config
  const errors = config.error.map(({ path, message }) => ({
    ...placeOf(path, places),
    key: dotted(path),
    message,
  }))
  return err(errors.sort((a, b) => a.line - b.line || a.column - b.column))
}

/** What the text says, unchecked; undefined: it is no TOML. */
export function plainOfText(text: string): unknown {
  const toml = readToml(text)
  return toml.kind === "ok" ? toml.value.plain : undefined
}

/** Lines as compilers print them: `cluster.toml:12:1: timings.lease_ms: found ...`. */
export function formatConfigErrors(file: string, errors: readonly LocatedConfigError[]): readonly string[] {
  return errors.map(({ line, column, key, message }) => {
    return `${file}:${line}:${column}: ${key === "" ? "" : `${key}: `}${message}`
  })
}

function unreadable(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  if (code === "ENOENT" || code === "ENOTDIR") return "no such file"
  if (code === "EACCES" || code === "EPERM") return "permission denied"
  if (code === "EISDIR") return "a directory"
  return cause instanceof Error ? cause.message : "cannot be read"
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    // A byte order mark at the beginning is dropped.
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    // The one thing it throws for: bytes that are not UTF-8.
    return undefined
  }
}

function wholeFile(message: string): LocatedConfigError {
  return { line: 1, column: 1, key: "", message }
}
