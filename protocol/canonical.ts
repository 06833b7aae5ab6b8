/**
 * One text for one value: JSON with the keys of every object sorted by UTF-16 code units and without white space
 * (RFC 8785, JSON Canonicalization Scheme, for the values we have). Members that are `undefined` are left out, so that
 * "not configured" and "absent" are the same. Arrays keep their order: whoever means a set sorts it first.
 */
import { assert } from "./assert.ts"

/** The canonical text of a value made of plain objects, arrays, strings, booleans, `null` and finite numbers. */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === "boolean" || typeof value === "string") return JSON.stringify(value)
  if (typeof value === "number") {
    assert(Number.isFinite(value), "a canonical number is finite")
    return JSON.stringify(value)
  }
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`
  assert(typeof value === "object", "a canonical value is plain data")
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`)
  return `{${members.join(",")}}`
}
