/**
 * What one kind of receiver is: the settings it takes, the request it makes of a notification, and what an answer of
 * that service means. All of it pure; whoever sends is elsewhere.
 */
import * as v from "valibot"
import type { Millis } from "../../../protocol/units.ts"
import type {
  HttpAnswer,
  HttpRequest,
  Notification,
  NotificationAction,
  Outcome,
  RequestContext,
} from "../notification.ts"

export type Answered = Extract<HttpAnswer, { kind: "answered" }>

/** Which schedule of retries fits. */
export type Lane = "paging" | "chat" | "webhook"

export interface Traits {
  readonly lane: Lane
  /** Messages a minute that the service bears from us, and how many of them at once. */
  readonly perMinute: number
  readonly burst: number
  /** Actions that the service has no word for, and why nothing is sent. */
  readonly mute: Readonly<Partial<Record<NotificationAction, string>>>
  /** An open group must be triggered again this often, or the service takes it for over. */
  readonly reminderEvery: Millis | undefined
}

export interface ReceiverKind<Settings> {
  readonly traits: Traits
  /** Settings that nobody is shown: the last characters at most. */
  readonly secrets: readonly (keyof Settings & string)[]
  /** Where its requests begin, to be checked before it is stored. */
  address(settings: Settings): string
  /** `undefined`: there is nothing to tell the service, for lack of a `reference` to what it was told before. */
  request(
    settings: Settings,
    notification: Notification,
    context: RequestContext,
  ): HttpRequest | undefined | Promise<HttpRequest>
  /** `undefined`: what any service means by such an answer (`outcome.ts`). */
  outcome?(answer: Answered, settings: Settings): Outcome | undefined
}

const urlCharactersMax = 2_048

/** Settings that several kinds share. Messages are for operators and repeat no value: it may be a secret. */
export const textSetting = v.string("expected a text in quotes")
export const nameSetting = v.pipe(textSetting, v.regex(/^[a-z0-9][a-z0-9-]{0,31}$/, "not a receiver's name"))
export const urlSetting = v.pipe(
  textSetting,
  v.maxLength(urlCharactersMax, "too long"),
  v.check((text) => URL.canParse(text), "not a URL"),
)

/** A key or token: printable ASCII, so that it can stand in a header. */
export function secretSetting(min: number, max: number) {
  return v.pipe(
    textSetting,
    v.regex(/^[\x21-\x7e]*$/, "has characters that no key has"),
    v.minLength(min, "too short"),
    v.maxLength(max, "too long"),
  )
}

/** `base` and `path` with one slash between them; a base may have a path of its own. */
export function joined(base: string, path: string): string {
  return `${base.replace(/\/+$/, "")}/${path}`
}

export function jsonPost(
  url: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): HttpRequest {
  return { method: "POST", url, headers: { "content-type": "application/json", ...headers }, body }
}
