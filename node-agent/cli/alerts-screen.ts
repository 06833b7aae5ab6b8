/** What `quorumbeat alerts` prints: answers of the witness as lines for people. */
import type { Rehearsal } from "./alerts-dry-run.ts"

interface IncidentAnswer {
  readonly id: string
  readonly state: string
  readonly severity: string
  readonly title: string
  readonly detail: string
  readonly count: number
  readonly since_ms: number
  readonly acknowledged_by?: string
}

interface StoryAnswer extends IncidentAnswer {
  readonly flapping: boolean
  readonly now: readonly {
    readonly receiver?: string
    readonly text: string
    readonly look_again_at_ms?: number
  }[]
  readonly history: readonly { readonly at_ms: number; readonly receiver?: string; readonly text: string }[]
  readonly deliveries: readonly DeliveryAnswer[]
}

interface NotificationAnswer {
  readonly receiver: string
  readonly action: string
  readonly at_ms: number
  readonly repeat: number
  readonly escalation: number
  readonly incidents: readonly { readonly title: string }[]
}

interface DeliveryAnswer extends NotificationAnswer {
  readonly id: string
  readonly state: string
  readonly attempts: number
  readonly reason: string
  readonly next_at_ms?: number
  readonly log: readonly { readonly at_ms: number; readonly ms: number; readonly reason: string }[]
}

interface SilenceAnswer {
  readonly id: string
  readonly kind: string
  readonly state: string
  readonly match: readonly string[]
  readonly author: string
  readonly reason: string
  readonly starts_at_ms: number
  readonly ends_at_ms: number
}

// The witness is of the same release: its answers have the shape that its own tests hold.
const as = <Answer>(answer: unknown): Answer => answer as Answer

export function incidents(answer: unknown): string {
  const { incidents: found } = as<{ readonly incidents: readonly IncidentAnswer[] }>(answer)
  return found.length === 0 ? "no incidents" : found.map(line).join("\n")
}

export function standing(answer: unknown): string {
  const story = as<StoryAnswer>(answer)
  const now = story.now.map(({ receiver, text, look_again_at_ms: next }) => {
    const until = next === undefined ? "" : ` (until ${time(next)})`
    return `  ${(receiver ?? "").padEnd(16)} ${text}${until}`
  })
  const detail = story.detail === "" ? [] : [`  ${story.detail}`]
  return [`${line(story)}${story.flapping ? "  FLAPPING" : ""}`, ...detail, ...now].join("\n")
}

export function story(answer: unknown): string {
  const told = as<StoryAnswer>(answer)
  const history = told.history.map(({ at_ms: at, receiver, text }) => {
    return `  ${time(at)}  ${(receiver ?? "").padEnd(16)} ${text}`
  })
  const sent = told.deliveries.flatMap((each) => [deliveryLine(each), ...attemptLines(each)])
  return [
    standing(answer),
    "history:",
    ...history,
    ...(sent.length === 0 ? [] : ["deliveries:", ...sent]),
  ].join("\n")
}

export function silences(answer: unknown): string {
  const { silences: found } = as<{ readonly silences: readonly SilenceAnswer[] }>(answer)
  return found.length === 0 ? "no silences" : found.map(silenceLine).join("\n")
}

export function silence(answer: unknown): string {
  return silenceLine(as<SilenceAnswer>(answer))
}

export function deliveries(answer: unknown): string {
  const { deliveries: found } = as<{ readonly deliveries: readonly DeliveryAnswer[] }>(answer)
  return found.length === 0 ? "no deliveries" : found.map(deliveryLine).join("\n")
}

export function replayed(answer: unknown): string {
  const { replayed: ids } = as<{ readonly replayed: readonly string[] }>(answer)
  return ids.length === 0 ? "nothing to send again" : `sent again: ${ids.join(", ")}`
}

export function tested(answer: unknown): string {
  const { receiver, attempts } = as<{
    readonly receiver: string
    readonly attempts: readonly { action: string; outcome: string; reason: string; ms: number }[]
  }>(answer)
  return attempts
    .map(
      ({ action, outcome, reason, ms }) => `${receiver}  ${action.padEnd(8)} ${outcome}  ${reason}  ${ms} ms`,
    )
    .join("\n")
}

export function taken(answer: unknown): string {
  const { receivers, routes, stored } = as<{
    readonly receivers: readonly { name: string; kind: string }[]
    readonly routes: number
    readonly stored: boolean
  }>(answer)
  const named = receivers.map(({ name, kind }) => `${name} (${kind})`).join(", ")
  return `${stored ? "stored" : "well-formed"}: ${receivers.length} receivers${named === "" ? "" : `: ${named}`}; ${routes} routes`
}

export function rehearsal({ events, notifications, isCut, milliseconds }: Rehearsal): string {
  const lines = notifications.map(({ at, ...notification }) =>
    notificationLine({ ...notification, at_ms: at }),
  )
  const receivers = [...new Set(notifications.map(({ receiver }) => receiver))]
  const counts = receivers.map((name) => {
    return `${name} ${notifications.filter(({ receiver }) => receiver === name).length}`
  })
  const more = isCut ? " and more" : ""
  return [
    ...lines,
    `${events} events of seven days, ${notifications.length}${more} notifications${counts.length === 0 ? "" : `: ${counts.join(", ")}`}; replayed in ${milliseconds} ms`,
  ].join("\n")
}

export function json(answer: unknown): string {
  return JSON.stringify(answer, null, 2)
}

function line({
  id,
  state,
  severity,
  title,
  count,
  since_ms: since,
  acknowledged_by: by,
}: IncidentAnswer): string {
  const times = count > 1 ? `  ${count} times` : ""
  const who = by === undefined ? "" : `  by ${by}`
  return `${id.slice(0, 8)}  ${state.padEnd(12)} ${severity.padEnd(8)} ${time(since)}  ${title}${times}${who}`
}

function silenceLine(silence: SilenceAnswer): string {
  const { id, kind, state, match, author, reason, starts_at_ms: from, ends_at_ms: to } = silence
  return `${id}  ${kind} ${state}  ${time(from)} to ${time(to)}  ${match.join(" ")}  ${author}: ${reason}`
}

function deliveryLine(delivery: DeliveryAnswer): string {
  const { id, state, attempts, reason, next_at_ms: next } = delivery
  const again = next === undefined ? "" : `, next ${time(next)}`
  return `${id}  ${state}, ${attempts} attempts${again}  ${notificationLine(delivery)}  ${reason}`
}

function attemptLines({ log }: DeliveryAnswer): readonly string[] {
  return log.map(({ at_ms: at, ms, reason }) => `    ${time(at)}  ${reason}  ${ms} ms`)
}

function notificationLine({
  at_ms: at,
  receiver,
  action,
  repeat,
  escalation,
  incidents: about,
}: NotificationAnswer): string {
  const [first, ...more] = about
  const others = more.length === 0 ? "" : ` and ${more.length} more`
  const step = escalation === 0 ? "" : ` step ${escalation}`
  const again = repeat === 0 ? "" : ` repeat ${repeat}`
  return `${time(at)}  ${receiver.padEnd(16)} ${action}${again}${step}  ${first?.title ?? ""}${others}`
}

function time(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+Z$/, "Z")
}
