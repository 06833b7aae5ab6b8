/**
 * Every kind of receiver behind one face: the settings an operator may write, the request a notification becomes, what an
 * answer means. A new kind is one file and one line in each table here.
 */
import * as v from "valibot"
import { never } from "../../../protocol/assert.ts"
import type { Millis, WallTime } from "../../../protocol/units.ts"
import type {
  HttpAnswer,
  HttpRequest,
  Notification,
  NotificationAction,
  Outcome,
  RequestContext,
} from "../notification.ts"
import { alertmanager, alertmanagerSchema } from "./alertmanager.ts"
import { betterStack, betterStackSchema } from "./better-stack.ts"
import { discord, discordSchema } from "./discord.ts"
import { incidentIo, incidentIoSchema } from "./incident-io.ts"
import type { ReceiverKind, Traits } from "./kind.ts"
import { ntfy, ntfySchema } from "./ntfy.ts"
import { opsgenie, opsgenieSchema } from "./opsgenie.ts"
import { usualOutcome } from "./outcome.ts"
import { pagerduty, pagerdutySchema } from "./pagerduty.ts"
import { slack, slackSchema } from "./slack.ts"
import { teams, teamsSchema } from "./teams.ts"
import { telegram, telegramSchema } from "./telegram.ts"
import { webhook, webhookSchema } from "./webhook.ts"

export const receiverSchema = v.variant("kind", [
  alertmanagerSchema,
  betterStackSchema,
  discordSchema,
  incidentIoSchema,
  ntfySchema,
  opsgenieSchema,
  pagerdutySchema,
  slackSchema,
  teamsSchema,
  telegramSchema,
  webhookSchema,
])

export type Receiver = v.InferOutput<typeof receiverSchema>

/** What one receiver is to the router; its settings are inside. */
interface Bound {
  readonly traits: Traits
  readonly address: string
  /** Names of settings. */
  readonly secrets: readonly string[]
  request(notification: Notification, context: RequestContext): HttpRequest | undefined | Promise<HttpRequest>
  outcome(answer: HttpAnswer): Outcome | undefined
}

/** The request to make of a notification; `undefined`: the service has no word for it (`silenceOf` says why). */
export async function requestFor(
  notification: Notification,
  receiver: Receiver,
  context: RequestContext,
): Promise<HttpRequest | undefined> {
  const { traits, request } = bound(receiver)
  return traits.mute[notification.action] === undefined ? request(notification, context) : undefined
}

/** Why the service is not told of an action. */
export function silenceOf(receiver: Receiver, action: NotificationAction): string {
  return (
    bound(receiver).traits.mute[action] ??
    "the service knows of it already, or was never told, or its answer was lost"
  )
}

/** What an answer means. No secret of the receiver is in the reason, also if the service said it back. */
export function classify(receiver: Receiver, answer: HttpAnswer, now: WallTime): Outcome {
  const harmless = withoutSecrets(answer, secretTexts(receiver))
  return bound(receiver).outcome(harmless) ?? usualOutcome(harmless, now)
}

/** The URLs that requests begin with, to be checked when it is stored and before each sending (`webhookTarget`). */
export function receiverTargets(receiver: Receiver): readonly string[] {
  return [bound(receiver).address]
}

export function traitsOf(receiver: Receiver): Traits {
  return bound(receiver).traits
}

/** How often an open group must be told again, or the service takes it for over. */
export function reminderEvery(receiver: Receiver): Millis | undefined {
  return bound(receiver).traits.reminderEvery
}

/** The receiver for replies and logs: of a secret the last characters, of a URL that is one its origin. */
export function describeReceiver(receiver: Receiver): object {
  const { secrets } = bound(receiver)
  const settings = Object.entries(receiver).filter(([, value]) => value !== undefined)
  return Object.fromEntries(
    settings.map(([setting, value]) => [setting, secrets.includes(setting) ? hidden(String(value)) : value]),
  )
}

/** Enough to tell it from another one, and nothing of what is too short to spare four characters. */
function hidden(secret: string): string {
  if (URL.canParse(secret) && secret.includes("://")) return `${new URL(secret).origin}/...`
  return secret.length < 16 ? "..." : `...${secret.slice(-4)}`
}

function bound(receiver: Receiver): Bound {
  switch (receiver.kind) {
    case "alertmanager":
      return bind(alertmanager, receiver)
    case "better-stack":
      return bind(betterStack, receiver)
    case "discord":
      return bind(discord, receiver)
    case "incident-io":
      return bind(incidentIo, receiver)
    case "ntfy":
      return bind(ntfy, receiver)
    case "opsgenie":
      return bind(opsgenie, receiver)
    case "pagerduty":
      return bind(pagerduty, receiver)
    case "slack":
      return bind(slack, receiver)
    case "teams":
      return bind(teams, receiver)
    case "telegram":
      return bind(telegram, receiver)
    case "webhook":
      return bind(webhook, receiver)
    default:
      return never(receiver)
  }
}

function bind<Settings extends Receiver>(kind: ReceiverKind<Settings>, settings: Settings): Bound {
  return {
    traits: kind.traits,
    address: kind.address(settings),
    secrets: kind.secrets,
    request: (notification, context) => kind.request(settings, notification, context),
    outcome: (answer) => (answer.kind === "answered" ? kind.outcome?.(answer, settings) : undefined),
  }
}

/** Shorter texts than this are no secrets, but may well be words of an answer. */
const secretCharactersMin = 8

/** Everything that must not be repeated: secrets, and of a URL that is one its parts too. */
function secretTexts(receiver: Receiver): readonly string[] {
  const { secrets } = bound(receiver)
  const values = Object.entries(receiver).flatMap(([setting, value]) =>
    secrets.includes(setting) && value !== undefined ? [String(value)] : [],
  )
  return values
    .flatMap((value) => [value, ...partsOfUrl(value)])
    .filter(({ length }) => length >= secretCharactersMin)
    .toSorted((a, b) => b.length - a.length)
}

function partsOfUrl(text: string): readonly string[] {
  if (!text.includes("://") || !URL.canParse(text)) return []
  const { pathname, search, searchParams } = new URL(text)
  return [`${pathname}${search}`, pathname, search, ...pathname.split("/"), ...searchParams.values()]
}

function withoutSecrets(answer: HttpAnswer, secrets: readonly string[]): HttpAnswer {
  const clean = (text: string): string =>
    secrets.reduce((rest, secret) => rest.replaceAll(secret, "..."), text)
  return answer.kind === "failed"
    ? { ...answer, reason: clean(answer.reason) }
    : { ...answer, body: clean(answer.body) }
}
