/**
 * Why an incident is not told, although it fires: a silence, a maintenance window, another incident that explains it, or
 * the time of the week. Pure. Each answer is a sentence for `quorumbeat alerts explain`.
 *
 * What inhibits without any rule comes from what the product knows about the cluster's shape:
 * - a silent site explains everything else of that site, and that others cannot reach it;
 * - a cut between two sites explains that each cannot reach the other;
 * - a node that is down explains its links, clock, watchdog and witness path;
 * - a link that is down explains that it is bad.
 */
import type { WallTime } from "../../protocol/units.ts"
import { wallTime } from "../../protocol/units.ts"
import { type Incident, isFiring } from "./incidents.ts"
import { type Labels, type Matcher, matchesAll } from "./matchers.ts"
import type { AlertRules, NamedTime, Route } from "./rules.ts"

/** Set by an operator for a time. A maintenance window is a silence that was planned. */
export interface Silence {
  readonly id: string
  readonly kind: "silence" | "maintenance"
  readonly match: readonly Matcher[]
  readonly author: string
  readonly reason: string
  readonly startsAt: WallTime
  readonly endsAt: WallTime
}

export interface Suppression {
  readonly reason: string
  /** When to look again, if nothing else happens; `undefined`: only another incident can change it. */
  readonly until: WallTime | undefined
}

export function suppression(
  incident: Incident,
  others: Iterable<Incident>,
  { rules, silences }: { readonly rules: AlertRules; readonly silences: readonly Silence[] },
  now: WallTime,
): Suppression | undefined {
  return bySilence(incident.labels, silences, now) ?? byIncident(incident, others, rules)
}

/** Whether a route tells anything at `now`. */
export function mutedByTime(
  route: Route,
  times: readonly NamedTime[],
  now: WallTime,
): Suppression | undefined {
  const within = (name: string): boolean => times.some((time) => time.name === name && isWithin(time, now))
  const until = wallTime(now + lookAgainMs)
  const muted = route.muted?.find(within)
  if (muted !== undefined) return { reason: `muted by time ${muted}`, until }
  if (route.active === undefined || route.active.some(within)) return undefined
  return { reason: `not within ${route.active.join(" or ")}`, until }
}

/** Times of day have a minute as their grain; five of them late is early enough for a page that waited for the morning. */
const lookAgainMs = 300_000

function bySilence(labels: Labels, silences: readonly Silence[], now: WallTime): Suppression | undefined {
  const silence = silences.find(
    ({ match, startsAt, endsAt }) => startsAt <= now && now < endsAt && matchesAll(match, labels),
  )
  if (silence === undefined) return undefined
  const { kind, id, author, reason, endsAt } = silence
  return { reason: `${kind} ${id} by ${author}: ${reason}`, until: endsAt }
}

function byIncident(
  target: Incident,
  others: Iterable<Incident>,
  rules: AlertRules,
): Suppression | undefined {
  for (const source of others) {
    if (source.id === target.id || !isFiring(source)) continue
    if (!explains(source, target) && !inhibits(source.labels, target.labels, rules)) continue
    return { reason: `inhibited by ${source.id.slice(0, 8)}: ${source.title}`, until: undefined }
  }
  return undefined
}

/** Of a node that is down: its own symptoms, and that its services went elsewhere. */
const consequences = [
  ...["link-suspect", "link-down", "watchdog-missing", "clock-out-of-bounds", "node-late"],
  ...["witness-unreachable", "configuration-mismatch", "fence-device-failed", "takeover"],
]

/** What the topology says by itself. */
function explains({ labels: source }: Incident, { labels: target }: Incident): boolean {
  switch (source.kind) {
    case "site-silent":
      if (target.kind === "site-unreachable")
        return target.peer === source.site || target.site === source.site
      return (
        target.kind !== "site-silent" && target.site === source.site && !aboutRights.includes(target.kind)
      )
    case "wan-cut":
      return (
        target.kind === "site-unreachable" &&
        [source.site, source.peer].includes(target.site) &&
        [source.site, source.peer].includes(target.peer)
      )
    case "node-down":
      return (
        consequences.includes(target.kind) &&
        source.node !== "" &&
        [target.node, target.peer].includes(source.node)
      )
    case "link-down":
      return target.kind === "link-suspect" && target.subject === source.subject
    default:
      return false
  }
}

/** Two that act at once must be told whatever else is wrong. */
const aboutRights = ["dual-active", "gate-missing", "witness-rolled-back", "witness-quarantined"]

function inhibits(source: Labels, target: Labels, { inhibit }: AlertRules): boolean {
  return inhibit.some(
    (rule) =>
      matchesAll(rule.source, source) &&
      matchesAll(rule.target, target) &&
      rule.equal.every((label) => source[label] === target[label]),
  )
}

const dayNames: readonly string[] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

/** `from` after `to`: over midnight, and the day is the one it began on. */
function isWithin({ days, from, to, zone }: NamedTime, now: WallTime): boolean {
  const { day, minute } = localTime(zone, now)
  const on = (index: number): boolean => days.some((name) => name === dayNames[(index + 7) % 7])
  if (from <= to) return on(day) && from <= minute && minute < to
  return (on(day) && minute >= from) || (on(day - 1) && minute < to)
}

function localTime(zone: string, now: WallTime): { readonly day: number; readonly minute: number } {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).formatToParts(now)
  const part = (type: string): string => parts.find((each) => each.type === type)?.value ?? ""
  const day = dayNames.indexOf(part("weekday").toLowerCase())
  return { day, minute: Number(part("hour")) * 60 + Number(part("minute")) }
}
