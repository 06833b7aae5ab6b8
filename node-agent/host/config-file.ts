/**
 * The configuration file: TOML text to the plain object that `protocol/config.ts` reads, with the place of every key, so
 * that each error says the line to mend. TOML 1.0; syntax errors are reported one at a time, since what follows one is
 * guesswork, everything else at once.
 */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { type AST, ParseError, parseTOML } from "toml-eslint-parser"
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { type ConfigPath, parseConfig } from "../../protocol/config.ts"
import { dotted } from "../../protocol/config-reader.ts"
import { err, ok, type Result } from "../../protocol/result.ts"

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
  const toml = parseToml(text)
  if (toml.kind === "error") return err([toml.error])
  const { plain, places } = located(toml.value)
  const config = parseConfig(plain, digest)
  if (config.kind === "ok") return config
  const errors = config.error.map(({ path, message }) => ({
    ...placeOf(path, places),
    key: dotted(path),
    message,
  }))
  return err(errors.sort((a, b) => a.line - b.line || a.column - b.column))
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

function parseToml(text: string): Result<AST.TOMLProgram, LocatedConfigError> {
  try {
    return ok(parseTOML(text, { tomlVersion: "1.0.0" }))
  } catch (cause) {
    if (cause instanceof ParseError) {
      const message = `not TOML: ${cause.message.charAt(0).toLowerCase()}${cause.message.slice(1)}`
      return err({ line: cause.lineNumber, column: cause.column + 1, key: "", message })
    }
    // Arrays nested many thousand deep exhaust the parser's stack; whatever else it may throw, the text is to blame.
    return err(
      wholeFile(`not readable as TOML: ${cause instanceof Error ? cause.message : "unknown reason"}`),
    )
  }
}

function wholeFile(message: string): LocatedConfigError {
  return { line: 1, column: 1, key: "", message }
}

interface Place {
  readonly line: number
  readonly column: number
}

/** By path as JSON: the only spelling in which a key `a.b` and a key `b` in `a` differ. */
type Places = Map<string, Place>

/** The place of a path, or of the nearest table around it. */
function placeOf(path: ConfigPath, places: Places): Place {
  for (let length = path.length; length > 0; length -= 1) {
    const place = places.get(JSON.stringify(path.slice(0, length)))
    if (place !== undefined) return place
  }
  return { line: 1, column: 1 }
}

type PlainTable = Record<string, unknown>
/** An array or a table while it is being filled. */
type Container = PlainTable | unknown[]

function located(program: AST.TOMLProgram): { readonly plain: PlainTable; readonly places: Places } {
  const plain = newTable()
  const places: Places = new Map()
  for (const node of program.body[0].body) {
    if (node.type === "TOMLKeyValue") {
      fillKeyValue(plain, [], node, places)
      continue
    }
    note(places, node.resolvedKey, node)
    for (let length = 1; length < node.resolvedKey.length; length += 1) {
      note(places, node.resolvedKey.slice(0, length), node)
    }
    const table = descend(plain, node.resolvedKey)
    for (const keyValue of node.body) fillKeyValue(table, node.resolvedKey, keyValue, places)
  }
  return { plain, places }
}

/** `key = value` or `a.b = value` into a table that stands at `path`. */
function fillKeyValue(table: Container, path: ConfigPath, node: AST.TOMLKeyValue, places: Places): void {
  const keys = node.key.keys.map(keyText)
  keys.forEach((_, index) => {
    const part = node.key.keys[index] ?? node.key
    note(places, [...path, ...keys.slice(0, index + 1)], part)
  })
  const full = [...path, ...keys]
  const owner = descend(table, keys.slice(0, -1))
  put(owner, keys.at(-1) ?? "", plainValue(node.value, full, places))
}

function plainValue(node: AST.TOMLContentNode, path: ConfigPath, places: Places): unknown {
  if (node.type === "TOMLArray") {
    return node.elements.map((element, index) => {
      note(places, [...path, index], element)
      return plainValue(element, [...path, index], places)
    })
  }
  if (node.type === "TOMLInlineTable") {
    const table = newTable()
    for (const keyValue of node.body) fillKeyValue(table, path, keyValue, places)
    return table
  }
  return node.value
}

function keyText(key: AST.TOMLBare | AST.TOMLQuoted): string {
  return key.type === "TOMLBare" ? key.name : key.value
}

/** The container at `path` below `from`; what is missing on the way is made, an array where an index follows. */
function descend(from: Container, path: ConfigPath): Container {
  let at = from
  path.forEach((key, index) => {
    const found = get(at, key)
    if (isContainer(found)) {
      at = found
      return
    }
    const made: Container = typeof path[index + 1] === "number" ? [] : newTable()
    put(at, key, made)
    at = made
  })
  return at
}

/** Without a prototype: a key `__proto__` is a key like any other, and refused as unknown. */
function newTable(): PlainTable {
  return Object.create(null) as PlainTable
}

function isContainer(value: unknown): value is Container {
  return typeof value === "object" && value !== null && !(value instanceof Date)
}

function get(container: Container, key: string | number): unknown {
  return Array.isArray(container) ? container[Number(key)] : container[key]
}

function put(container: Container, key: string | number, value: unknown): void {
  if (Array.isArray(container)) container[Number(key)] = value
  else container[key] = value
}

/** The first place counts: a table's own header comes before the keys and tables in it. */
function note(places: Places, path: ConfigPath, node: AST.HasLocs): void {
  const key = JSON.stringify(path)
  if (!places.has(key)) places.set(key, { line: node.loc.start.line, column: node.loc.start.column + 1 })
}
