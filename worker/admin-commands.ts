/** What an administrator may ask of a cluster besides alerts, as the HTTP API takes it. */
import * as v from "valibot"
import { nameSchema } from "../protocol/summary-schemas.ts"
import { scopes } from "./scopes.ts"

export const credentialSchema = v.strictObject({
  name: nameSchema,
  scope: v.picklist(scopes),
  expires_in_days: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(3_650))),
})

export type AdminCommand =
  | { readonly kind: "list-credentials" }
  | { readonly kind: "create-credential"; readonly credential: v.InferOutput<typeof credentialSchema> }
  | { readonly kind: "revoke-credential"; readonly id: string }
  | { readonly kind: "revoke-node"; readonly node: number }
