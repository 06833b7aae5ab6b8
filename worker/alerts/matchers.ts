/**
 * Conditions on an incident's labels, written as in Alertmanager: `kind="node-down"`, `site!="north"`, `kind=~"link-.*"`,
 * `node!~"a[12]"`. All of a list must hold. A label that an incident does not have reads as the empty text. Regular
 * expressions must match the whole value.
 */
import { err, ok, type Result } from "../../protocol/result.ts"

export type MatchOperator = "=" | "!=" | "=~" | "!~"

export interface Matcher {
  readonly label: Label
  readonly operator: MatchOperator
  readonly value: string
}

export const labels = ["cluster", "kind", "severity", "site", "peer", "node", "subject"] as const
export type Label = (typeof labels)[number]
export type Labels = Readonly<Record<Label, string>>

/** Longer expressions serve nobody, and could be made slow. */
const valueMax = 200

export function parseMatcher(text: string): Result<Matcher, string> {
  const parts = /^\s*([a-z_]+)\s*(=~|!~|!=|=)\s*(?:"([^"]*)"|([^"=~\s]+))\s*$/.exec(text)
  if (parts === null) return err(`not a matcher: ${JSON.stringify(text)}; expected as kind="node-down"`)
  const [, name, operator, quoted, bare = ""] = parts
  const value = quoted ?? bare
  const label = labels.find((each) => each === name)
  if (label === undefined) return err(`no label ${name}; there are ${labels.join(", ")}`)
  if (value.length > valueMax) return err(`longer than ${valueMax} characters`)
  if (operator === "=~" || operator === "!~") {
    const reason = refusePattern(value)
    if (reason !== undefined) return err(reason)
    return ok({ label, operator, value })
  }
  return ok({ label, operator: operator === "!=" ? "!=" : "=", value })
}

/**
 * Nested repetition makes a backtracking engine exponential, and the object that decides about leases runs it. Without
 * groups that repeat and without back-references an expression costs at most a power of the label's length, which is short.
 */
function refusePattern(value: string): string | undefined {
  if (/\)[*+?{]|\\[1-9]|\(\?/.test(value))
    return "repeated groups, look-arounds and back-references are not allowed"
  if ((value.match(/[*+{]/g)?.length ?? 0) > 4) return "more than four repetitions"
  try {
    new RegExp(value, "u")
    return undefined
  } catch {
    return `not a regular expression: ${value}`
  }
}

export function matches({ label, operator, value }: Matcher, of: Labels): boolean {
  const found = of[label]
  switch (operator) {
    case "=":
      return found === value
    case "!=":
      return found !== value
    case "=~":
      return new RegExp(`^(?:${value})$`, "u").test(found)
    case "!~":
      return !new RegExp(`^(?:${value})$`, "u").test(found)
  }
}

export function matchesAll(matchers: readonly Matcher[], of: Labels): boolean {
  return matchers.every((matcher) => matches(matcher, of))
}

export function formatMatcher({ label, operator, value }: Matcher): string {
  return `${label}${operator}"${value}"`
}
