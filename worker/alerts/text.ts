/**
 * The words of a notification, and cutting them to what each service takes. Names and details come from configurations
 * and from nodes: to a receiver they are untrusted text, and its escaping is applied before lengths are counted.
 */
import type { WallTime } from "../../protocol/units.ts"
import type { Notification, NotificationAction, NotifiedIncident } from "./notification.ts"

/** A notification that is told later than this says so. */
const delayToldMs = 120_000
const ellipsis = "…"

/** How a service wants one character written. */
export type Escape = (character: string) => string

const asIs: Escape = (character) => character

/** `& < >` as entities: Slack's mrkdwn and Telegram's HTML. */
export const entityEscape: Escape = (character) => entities.get(character) ?? character
const entities = new Map([
  ["&", "&amp;"],
  ["<", "&lt;"],
  [">", "&gt;"],
])

/**
 * At most `max` UTF-16 units after escaping, cut between characters and marked with an ellipsis. Services count characters
 * in one way or another; UTF-16 units are never fewer than code points, so the text fits whichever they count.
 */
export function truncated(text: string, max: number, written: Escape = asIs): string {
  return cut(text, max, written, (part) => part.length)
}

/** At most `max` bytes of UTF-8. */
export function truncatedBytes(text: string, max: number): string {
  return cut(text, max, asIs, byteLength)
}

export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length
}

/** The first body that has at most `max` bytes; else the last, which its maker holds below any limit. */
export function fitting(bodies: readonly [() => string, ...(() => string)[]], max: number): string {
  let body = ""
  for (const make of bodies) {
    body = make()
    if (byteLength(body) <= max) break
  }
  return body
}

/** Without what could break a line, a log or a terminal. */
export function oneLine(text: string): string {
  return plain(text).replace(/\s+/g, " ").trim()
}

/** `[FIRING] critical plant/site-b: the site is silent (+2 more)`: the whole message, if a person reads no more. */
export function headline(notification: Notification): string {
  const { incidents, action, test } = notification
  const [lead] = incidents
  const grouped = groupedWith(notification)
  const more = grouped === 0 ? "" : ` (+${grouped} more)`
  const lasted = action === "resolve" ? durationText(lead) : ""
  const words = `[${test ? "TEST " : ""}${actionWord(action)}] ${lead.severity} ${placeOf(notification)}: ${lead.title}`
  return oneLine(`${words}${lasted}${more}`)
}

/** Colour must not be the only signal, nor must the symbol: the words stand beside it. */
export function symbolOf({ action, incidents: [lead] }: Notification): string {
  if (action === "resolve") return "✅"
  if (action === "acknowledge") return "👀"
  return lead.severity === "critical" ? "🔴" : lead.severity === "warning" ? "🟠" : "🔵"
}

export interface Fact {
  readonly name: string
  readonly value: string
}

/** What is known beside headline and detail, most important first. */
export function factsOf(notification: Notification, now: WallTime): readonly Fact[] {
  const { cluster, incidents, at, repeat, escalation } = notification
  const [lead] = incidents
  const facts: (Fact | undefined)[] = [
    { name: "Cluster", value: cluster },
    { name: "Severity", value: lead.severity },
    { name: "Subject", value: oneLine(lead.subject) },
    { name: "Kind", value: lead.kind },
    { name: "Since", value: isoTime(lead.openedAt) },
    lead.resolvedAt === undefined ? undefined : { name: "Until", value: isoTime(lead.resolvedAt) },
    lead.acknowledgedBy === undefined
      ? undefined
      : { name: "Acknowledged by", value: oneLine(lead.acknowledgedBy) },
    repeat === 0 ? undefined : { name: "Repeated", value: `${repeat} times` },
    escalation === 0 ? undefined : { name: "Escalated", value: `step ${escalation}` },
    now - at < delayToldMs ? undefined : { name: "Delayed", value: lengthText(now - at) },
    { name: "Incident", value: lead.id },
  ]
  return facts.filter((fact) => fact !== undefined).filter(({ value }) => value !== "")
}

/** The lead's detail, then one line for each of the first `listed` of those grouped with it. */
export function detailOf(notification: Notification, listed: number): string {
  const [lead, ...others] = notification.incidents
  const lines = others
    .slice(0, listed)
    .map((each) => `- ${each.severity} ${oneLine(each.title)} (${each.phase})`)
  const hidden = groupedWith(notification) - lines.length
  const rest = hidden > 0 ? [`and ${hidden} more`] : []
  return [plain(lead.detail).trim(), ...lines, ...rest].filter((line) => line !== "").join("\n")
}

export function isoTime(at: WallTime): string {
  return new Date(at).toISOString()
}

/** Incidents beside the lead. */
function groupedWith({ incidents, omitted }: Notification): number {
  return incidents.length - 1 + omitted
}

function actionWord(action: NotificationAction): string {
  if (action === "acknowledge") return "ACK"
  return action === "resolve" ? "RESOLVED" : "FIRING"
}

function placeOf({ cluster, incidents: [lead] }: Notification): string {
  return [cluster, lead.site, lead.node].filter((each) => each !== undefined).join("/")
}

function durationText({ openedAt, resolvedAt }: NotifiedIncident): string {
  return resolvedAt === undefined ? "" : ` after ${lengthText(Math.max(0, resolvedAt - openedAt))}`
}

function lengthText(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1_000)
  if (seconds < 120) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 120) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** No control characters but line ends, no halves of surrogate pairs, nothing that turns the direction of what follows. */
function plain(text: string): string {
  return text
    .toWellFormed()
    .replace(/\r\n?/g, "\n")
    .replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, (character) =>
      character === "\n" ? "\n" : " ",
    )
}

function cut(text: string, max: number, written: Escape, measure: (part: string) => number): string {
  const parts = Array.from(text.toWellFormed(), written)
  const sizes = parts.map(measure)
  if (sizes.reduce((sum, size) => sum + size, 0) <= max) return parts.join("")
  const room = max - measure(ellipsis)
  if (room < 0) return ""
  let used = 0
  const end = sizes.findIndex((size) => {
    used += size
    return used > room
  })
  return `${parts.slice(0, end).join("")}${ellipsis}`
}
