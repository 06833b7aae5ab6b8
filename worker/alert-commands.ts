/**
 * What an operator may ask of the alert router, as the HTTP API takes it. The schemas here validate requests, and the
 * OpenAPI document is made of them (`api-routes.ts`).
 */
import * as v from "valibot"
import { matchersSchema } from "./alerts/rules.ts"
import type { RequestReason } from "./errors.ts"

const personSchema = v.pipe(v.string(), v.trim(), v.minLength(1, "say who"), v.maxLength(64))
const reasonSchema = v.pipe(v.string(), v.trim(), v.minLength(1, "say why"), v.maxLength(256))
const timeSchema = v.pipe(v.number(), v.safeInteger(), v.minValue(0))

/** Who acknowledges or resolves. */
export const actionSchema = v.strictObject({ by: personSchema })

export const silenceSchema = v.strictObject({
  kind: v.optional(v.picklist(["silence", "maintenance"]), "silence"),
  match: v.pipe(matchersSchema, v.minLength(1, "without a matcher it would silence everything")),
  author: personSchema,
  reason: reasonSchema,
  starts_at_ms: v.optional(timeSchema),
  ends_at_ms: timeSchema,
})

export const replaySchema = v.strictObject({
  receiver: v.pipe(v.string(), v.maxLength(32)),
})

export type AlertCommand =
  | { readonly kind: "list-incidents"; readonly state: "live" | "all"; readonly limit: number }
  | { readonly kind: "explain"; readonly incident: string }
  | { readonly kind: "acknowledge" | "resolve"; readonly incident: string; readonly by: string }
  | { readonly kind: "list-silences" }
  | { readonly kind: "silence"; readonly silence: v.InferOutput<typeof silenceSchema> }
  | { readonly kind: "end-silence"; readonly id: string }
  | { readonly kind: "show-rules" }
  | { readonly kind: "replace-rules" | "check-rules"; readonly text: string }
  | { readonly kind: "list-events"; readonly after: string; readonly limit: number }
  | { readonly kind: "list-deliveries"; readonly state: string; readonly limit: number }
  | { readonly kind: "replay"; readonly id: string }
  | { readonly kind: "replay-dead"; readonly receiver: string }
  | { readonly kind: "test"; readonly receiver: string }

export type AlertAnswer =
  | { readonly kind: "ok"; readonly body: object }
  | { readonly kind: "refused"; readonly reason: RequestReason; readonly detail: string }

export function refused(reason: RequestReason, detail: string): AlertAnswer {
  return { kind: "refused", reason, detail }
}
