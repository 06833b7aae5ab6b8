/**
 * Reads tables of unknown content key by key and collects EVERY error with its path, so that an operator mends a file
 * in one go. A field that is missing or wrong reads as `undefined`, with an error noted; whoever goes on with the rest
 * skips what is `undefined`. (Not a schema library: valibot's `strictObject` reports the first unknown key of a table
 * only and hands out nothing of a table with one wrong field, so that errors between tables would show a run later.)
 */

/** Keys and array indices from the top of the file, spelt as in the file. */
export type ConfigPath = readonly (string | number)[]

export interface ConfigError {
  readonly path: ConfigPath
  /** What was found and what was expected. */
  readonly message: string
}

/** One kind of value: what to call it in errors, and how to read it. */
export interface Leaf<T> {
  readonly expected: string
  readonly read: (value: unknown) => T | undefined
}

/** A table under reading; all readers of one file share the list of errors. */
export interface Table {
  readonly path: ConfigPath
  readonly fields: Readonly<Record<string, unknown>>
  readonly errors: ConfigError[]
}

/** Opens a table that may have the keys `known`; each other key is an error that names the nearest of them. */
export function openTable(
  value: unknown,
  path: ConfigPath,
  known: readonly string[],
  errors: ConfigError[],
): Table | undefined {
  if (!isTable(value)) {
    errors.push({ path, message: `found ${describe(value)}, expected a table` })
    return undefined
  }
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) errors.push({ path: [...path, key], message: unknownKey(key, known) })
  }
  return { path, fields: value, errors }
}

export function required<T>(table: Table, key: string, leaf: Leaf<T>): T | undefined {
  if (has(table, key)) return readAt(table, key, leaf)
  table.errors.push({ path: [...table.path, key], message: `missing, expected ${leaf.expected}` })
  return undefined
}

/** `fallback` if the key is absent; `undefined` if it is there and wrong. */
export function optional<T, F>(table: Table, key: string, leaf: Leaf<T>, fallback: F): T | F | undefined {
  return has(table, key) ? readAt(table, key, leaf) : fallback
}

export interface ListBounds {
  readonly min: number
  readonly max: number
  /** What its elements are called in errors: `addresses`. */
  readonly noun: string
}

/** An array of leaves; an element that is wrong reads as `undefined`. Absent: an error if `min` is above 0. */
export function list<T>(
  table: Table,
  key: string,
  leafAt: (index: number) => Leaf<T>,
  bounds: ListBounds,
): readonly (T | undefined)[] | undefined {
  const path = [...table.path, key]
  const elements = arrayAt(table, key, bounds)
  return elements?.map((element, index) => readLeaf(element, [...path, index], leafAt(index), table.errors))
}

/**
 * An array of tables (`[[key]]`), each with the keys `known`, which may depend on its fields; one that is no table is left
 * out, with an error.
 */
export function tables(
  table: Table,
  key: string,
  known: readonly string[] | ((fields: Table["fields"]) => readonly string[]),
  bounds: ListBounds,
): readonly Table[] {
  const path = [...table.path, key]
  const keysOf = typeof known === "function" ? known : () => known
  return (arrayAt(table, key, bounds) ?? []).flatMap((element, index) => {
    const keys = isTable(element) ? keysOf(element) : []
    const opened = openTable(element, [...path, index], keys, table.errors)
    return opened === undefined ? [] : [opened]
  })
}

/** A table of free keys, as environment variables: every key and value is read by its leaf. */
export function entries<T>(
  table: Table,
  key: string,
  leaves: { readonly key: Leaf<string>; readonly value: Leaf<T> },
  max: number,
): readonly (readonly [string, T])[] {
  if (!has(table, key)) return []
  const path = [...table.path, key]
  const value = table.fields[key]
  if (!isTable(value)) {
    table.errors.push({ path, message: `found ${describe(value)}, expected a table` })
    return []
  }
  const found = Object.entries(value)
  if (found.length > max) {
    table.errors.push({ path, message: `found ${found.length} entries, expected at most ${max}` })
  }
  return found.flatMap(([name, member]) => {
    const readName = readLeaf(name, [...path, name], leaves.key, table.errors)
    const readValue = readLeaf(member, [...path, name], leaves.value, table.errors)
    return readName === undefined || readValue === undefined ? [] : [[readName, readValue] as const]
  })
}

/** Was the key written at all, well or badly? */
export function has(table: Table, key: string): boolean {
  return Object.hasOwn(table.fields, key)
}

/** Notes an error at `key` of the table (or further in). */
export function refuse(table: Table, key: string | ConfigPath, message: string): void {
  table.errors.push({ path: [...table.path, ...(typeof key === "string" ? [key] : key)], message })
}

/** A value as an error shows it; long ones are cut. */
export function describe(value: unknown): string {
  if (value === undefined || value === null) return "nothing"
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value)
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean")
    return String(value)
  if (Array.isArray(value)) return `an array of ${value.length}`
  return isTable(value) ? "a table" : "a date or time"
}

/**
 * The text among `known` that differs from `text` in the fewest letters, if in at most a third of them. A forgotten end,
 * as of `lease` for `lease_ms`, counts as one letter.
 */
export function nearest(text: string, known: readonly string[]): string | undefined {
  let best: { readonly word: string; readonly distance: number } | undefined
  for (const word of known) {
    const distance = word.startsWith(`${text}_`) ? 1 : editDistance(text, word)
    if (best === undefined || distance < best.distance) best = { word, distance }
  }
  return best !== undefined && best.distance <= Math.max(2, best.word.length / 3) ? best.word : undefined
}

/** A path as people write it: `node[2].links[0]`, counted from 0; a key that needs quotes in the file has them here. */
export function dotted(path: ConfigPath): string {
  const part = (key: string) => (/^[A-Za-z0-9_-]+$/.test(key) ? key : JSON.stringify(key))
  return path
    .map((key, index) => (typeof key === "number" ? `[${key}]` : `${index === 0 ? "" : "."}${part(key)}`))
    .join("")
}

function readAt<T>(table: Table, key: string, leaf: Leaf<T>): T | undefined {
  return readLeaf(table.fields[key], [...table.path, key], leaf, table.errors)
}

function readLeaf<T>(value: unknown, path: ConfigPath, leaf: Leaf<T>, errors: ConfigError[]): T | undefined {
  const read = leaf.read(value)
  if (read === undefined)
    errors.push({ path, message: `found ${describe(value)}, expected ${leaf.expected}` })
  return read
}

function arrayAt(table: Table, key: string, bounds: ListBounds): readonly unknown[] | undefined {
  const expected = `expected ${bounds.min} to ${bounds.max} ${bounds.noun}`
  const value = has(table, key) ? table.fields[key] : []
  if (!Array.isArray(value)) {
    refuse(table, key, `found ${describe(value)}, ${expected}`)
    return undefined
  }
  const found = has(table, key) ? `found ${value.length}` : "missing"
  if (value.length < bounds.min || value.length > bounds.max) refuse(table, key, `${found}, ${expected}`)
  // What is beyond the bound is not read: one error says enough. A place without an element counts as one with nothing.
  return Array.from(value.slice(0, bounds.max))
}

function isTable(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function unknownKey(key: string, known: readonly string[]): string {
  const near = nearest(key, known)
  return near === undefined
    ? `unknown key, expected one of ${known.join(", ")}`
    : `unknown key, did you mean ${near}?`
}

/** Levenshtein's distance, row by row. Keys are short; longer texts are cut to keep it so. */
function editDistance(a: string, b: string): number {
  const from = a.slice(0, 40)
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const substituted = (row[j - 1] ?? 0) + (from[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
