/**
 * What a receiver is told, what it is asked over HTTP, and what came of it: the words between the router, which decides
 * that somebody hears of an incident, and the receivers (`receivers/`), which know how each service wants to hear it.
 *
 * One notification is about one group of incidents and goes to one receiver. Its lead, the group's first incident, gives
 * the `dedupKey` for the group's whole life, so that a pager folds all of it, and what an agent pages directly, into one.
 */
import type { Severity } from "../../protocol/summaries.ts"
import type { WallTime } from "../../protocol/units.ts"

/**
 * `trigger`: the first word about it, or a repeat of it. `update`: incidents joined or left the group. `acknowledge`:
 * somebody works on it. `resolve`: all of it is over. A service without a word for one of them is not sent it.
 */
export type NotificationAction = "trigger" | "update" | "acknowledge" | "resolve"

export type IncidentPhase = "open" | "acknowledged" | "resolved"

/** One incident as receivers see it. Names in it come from operators and nodes: to be escaped for each format. */
export interface NotifiedIncident {
  /** Hexadecimal, 32 digits; the same whoever reports the incident. */
  readonly id: string
  readonly phase: IncidentPhase
  /** From the catalogue: `node-down`, `site-silent`. */
  readonly kind: string
  readonly severity: Severity
  /** What it is about: `node a2`, `site south`, `service pump`. */
  readonly subject: string
  /** One line, without severity and cluster: `node a2 is down`. */
  readonly title: string
  /** What is known beyond the title, at most 512 characters; may be empty. */
  readonly detail: string
  readonly site: string | undefined
  readonly node: string | undefined
  readonly openedAt: WallTime
  /** `resolved` only. */
  readonly resolvedAt: WallTime | undefined
  readonly acknowledgedBy: string | undefined
}

export interface Notification {
  /** Unique for notification and receiver, the same on every attempt; `[A-Za-z0-9_-]`, at most 128. */
  readonly id: string
  readonly action: NotificationAction
  readonly cluster: string
  /** Name of the receiver it goes to. */
  readonly receiver: string
  /** `<cluster>:<id of the group's first incident>`: `[A-Za-z0-9._:-]`, at most 128. */
  readonly dedupKey: string
  /** The worst that is not over leads; a group of one is the common case. At most 50, see `omitted`. */
  readonly incidents: readonly [NotifiedIncident, ...NotifiedIncident[]]
  /** Incidents of the group beyond those listed. */
  readonly omitted: number
  /** How often this group's trigger was repeated, and which escalation step this is; both 0 at first. */
  readonly repeat: number
  readonly escalation: number
  /** When it was decided; `delayed` is the difference to the time of sending. */
  readonly at: WallTime
  /** Page of the incident; `undefined` if the deployment has no public address. */
  readonly link: string | undefined
  /** Sent by `quorumbeat alerts test`: says so in its text. */
  readonly test: boolean
}

export interface HttpRequest {
  readonly method: "POST" | "PATCH" | "PUT" | "DELETE"
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What the service answered; or that it did not, with a reason without secrets. */
export type HttpAnswer =
  | {
      readonly kind: "answered"
      readonly status: number
      /** Lower-case names; only those that matter: content-type, retry-after, location. */
      readonly headers: Readonly<Record<string, string>>
      /** At most 64 KiB of it: some services answer with the whole message, and its id is wanted. */
      readonly body: string
    }
  | { readonly kind: "failed"; readonly reason: string }

/** What one attempt came to, as `dispose` and the circuit breaker need to know it. */
export type Outcome =
  /** `reference`: the service's own id of the message or incident, to update or close it by. */
  | { readonly kind: "delivered"; readonly reason: string; readonly reference: string | undefined }
  | { readonly kind: "throttled"; readonly retryAfterMs: number | undefined; readonly reason: string }
  /** `reference`: what to keep as the service's id from now on, `null` for none: the one that was used is no good. */
  | { readonly kind: "transient"; readonly reason: string; readonly reference?: string | null }
  /** This body is bad: one more attempt with the least of it, then no more. */
  | { readonly kind: "message-rejected"; readonly reason: string }
  /** This address or key is bad; `gone`: for good, by the service's own word. */
  | { readonly kind: "endpoint-rejected"; readonly reason: string; readonly gone: boolean }

/** What else a request depends on. */
export interface RequestContext {
  readonly now: WallTime
  /** From the delivery of the group's first notification, if the service gave one. */
  readonly reference: string | undefined
  /** `minimal`: title and link only, after a body was rejected. */
  readonly rendering: "full" | "minimal"
}
