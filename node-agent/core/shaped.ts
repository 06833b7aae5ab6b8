/**
 * JSON between nodes: an object whose `kind` names its shape. Peers are authenticated, not Byzantine, and run one
 * configuration, so the shape is checked, not every value.
 */
import { err, ok, type Result } from "../../protocol/result.ts"

/** For each kind its required fields and their `typeof`. */
export type Shapes = Readonly<
  Record<string, Readonly<Record<string, "string" | "number" | "boolean" | "object">>>
>

/** The object if it has the fields of its kind; otherwise what is wrong with it. */
export function parseShaped(text: string, shapes: Shapes): Result<{ readonly kind: string }, string> {
  const value = parseJson(text)
  if (typeof value !== "object" || value === null || !("kind" in value)) return err("no kind")
  const { kind } = value
  const shape = typeof kind === "string" && Object.hasOwn(shapes, kind) ? shapes[kind] : undefined
  if (typeof kind !== "string" || shape === undefined) return err(`unknown kind ${String(kind)}`)
  const fields = new Map(Object.entries(value))
  for (const [name, type] of Object.entries(shape)) {
    const found: unknown = fields.get(name)
    if (typeof found !== type || found === null) return err(`${name} is not a ${type}`)
  }
  return ok({ ...value, kind })
}

/** The value, or `undefined` if the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Not JSON: the caller refuses it as malformed.
    return undefined
  }
}

/** JSON in printable ASCII: everything else is escaped. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  )
}
