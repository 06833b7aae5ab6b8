/** What a world does later, and what its nodes have said. */
import type { NodeId } from "../../protocol/units.ts"
import type { LogLevel } from "../core/effects.ts"

export interface LogLine {
  readonly at: number
  readonly node: NodeId
  readonly level: LogLevel
  readonly event: string
  readonly fields: Readonly<Record<string, unknown>>
}

export interface Answer {
  readonly request: number
  readonly result: { readonly kind: "done" | "refused"; readonly message: string }
}
