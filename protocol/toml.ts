/**
 * TOML text to a plain object, with the place of every key, so that each error about its content can say the line to mend.
 * TOML 1.0; syntax errors are reported one at a time, since what follows one is guesswork.
 */
import { type AST, ParseError, parseTOML } from "toml-eslint-parser"
import type { ConfigPath } from "./config-reader.ts"
import { err, ok, type Result } from "./result.ts"

/** Both from 1. */
export interface Place {
  readonly line: number
  readonly column: number
}

/** By path as JSON: the only spelling in which a key `a.b` and a key `b` in `a` differ. */
export type Places = ReadonlyMap<string, Place>
type PlacesFilled = Map<string, Place>

export interface TomlText {
  readonly plain: Record<string, unknown>
  readonly places: Places
}

/** Never throws. */
export function readToml(text: string): Result<TomlText, Place & { readonly message: string }> {
  try {
    return ok(located(parseTOML(text, { tomlVersion: "1.0.0" })))
  } catch (cause) {
    if (cause instanceof ParseError) {
      const message = `not TOML: ${cause.message.charAt(0).toLowerCase()}${cause.message.slice(1)}`
      return err({ line: cause.lineNumber, column: cause.column + 1, message })
    }
    // Arrays nested many thousand deep exhaust the parser's stack; whatever else it may throw, the text is to blame.
    const reason = cause instanceof Error ? cause.message : "unknown reason"
    return err({ line: 1, column: 1, message: `not readable as TOML: ${reason}` })
  }
}

/** The place of a path, or of the nearest table around it. */
export function placeOf(path: ConfigPath, places: Places): Place {
  for (let length = path.length; length > 0; length -= 1) {
    const place = places.get(JSON.stringify(path.slice(0, length)))
    if (place !== undefined) return place
  }
  return { line: 1, column: 1 }
}

type PlainTable = Record<string, unknown>
/** An array or a table while it is being filled. */
type Container = PlainTable | unknown[]

function located(program: AST.TOMLProgram): TomlText {
  const plain = newTable()
  const places: PlacesFilled = new Map()
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
function fillKeyValue(
  table: Container,
  path: ConfigPath,
  node: AST.TOMLKeyValue,
  places: PlacesFilled,
): void {
  const keys = node.key.keys.map(keyText)
  keys.forEach((_, index) => {
    const part = node.key.keys[index] ?? node.key
    note(places, [...path, ...keys.slice(0, index + 1)], part)
  })
  const full = [...path, ...keys]
  const owner = descend(table, keys.slice(0, -1))
  put(owner, keys.at(-1) ?? "", plainValue(node.value, full, places))
}

function plainValue(node: AST.TOMLContentNode, path: ConfigPath, places: PlacesFilled): unknown {
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
  if (Array.isArray(value)) return true
  // A date is an object too, but one with a prototype.
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === null
}

function get(container: Container, key: string | number): unknown {
  return Array.isArray(container) ? container[Number(key)] : container[key]
}

function put(container: Container, key: string | number, value: unknown): void {
  if (Array.isArray(container)) container[Number(key)] = value
  else container[key] = value
}

/** The first place counts: a table's own header comes before the keys and tables in it. */
function note(places: PlacesFilled, path: ConfigPath, node: AST.HasLocs): void {
  const key = JSON.stringify(path)
  if (!places.has(key)) places.set(key, { line: node.loc.start.line, column: node.loc.start.column + 1 })
}
