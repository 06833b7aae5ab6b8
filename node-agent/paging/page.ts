/** What the host needs of the receivers to send a page, in its own words: requests, what answers mean, which addresses may be reached. */

import { err, ok, type Result } from "../../protocol/result.ts"
import type { Receiver } from "../../worker/alerts/receivers/receiver.ts"
import { type AlertRules, formatRulesError, parseRules } from "../../worker/alerts/rules.ts"
import { webhookTarget } from "../../worker/alerts/target.ts"

export type { HttpAnswer, HttpRequest, Notification } from "../../worker/alerts/notification.ts"
export { classify, requestFor, silenceOf } from "../../worker/alerts/receivers/receiver.ts"
export type { AlertRules, Receiver }

/** An alert rules document as the witness takes it, on a node's own disk. */
export interface AlertFile {
  readonly rules: AlertRules
  readonly receivers: readonly Receiver[]
}

/**
 * Who writes this file is root of this node: addresses of its own network are allowed. Link-local ones are not, here as
 * everywhere: no receiver has one.
 */
const policy = "private-allowed"

/** The error is the first one with its place; no value is repeated in it. */
export function readAlertFile(text: string): Result<AlertFile, string> {
  const parsed = parseRules(text, policy)
  if (parsed.kind === "ok")
    return ok({ rules: parsed.value.rules, receivers: parsed.value.secrets.receivers })
  const [first] = parsed.error
  return err(first === undefined ? "not alert rules" : formatRulesError(first))
}

/** Why a page may not go to a URL, or to an address that its name resolves to. */
export function refusedTarget(url: string): string | undefined {
  const target = webhookTarget(url, policy)
  return target.kind === "error" ? target.error : undefined
}

export function refusedAddress(address: string): string | undefined {
  return refusedTarget(`http://${address.includes(":") ? `[${address}]` : address}/`)
}
