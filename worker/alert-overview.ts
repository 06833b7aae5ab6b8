/** What an operator sees of incidents, silences and deliveries through the API. Pure; no secret comes through here. */
import type { WallTime } from "../protocol/units.ts"
import type { Letter } from "./alert-tables.ts"
import type { Group } from "./alerts/groups.ts"
import { type Incident, isFiring, isFlapping } from "./alerts/incidents.ts"
import { formatMatcher } from "./alerts/matchers.ts"
import type { Notification } from "./alerts/notification.ts"
import { targetsOf } from "./alerts/routes.ts"
import type { AlertRules } from "./alerts/rules.ts"
import { mutedByTime, type Silence, suppression } from "./alerts/suppression.ts"

export function describeIncident(incident: Incident): object {
  const { id, kind, severity, subject, title, detail, labels, phase, acknowledged, count } = incident
  return {
    id,
    state: phase === "open" && acknowledged !== undefined ? "acknowledged" : phase,
    kind,
    severity,
    subject,
    title,
    detail,
    site: labels.site,
    node: labels.node,
    count,
    since_ms: incident.since,
    opened_at_ms: incident.openedAt,
    resolved_at_ms: incident.resolvedAt,
    acknowledged_by: acknowledged?.by,
    acknowledged_at_ms: acknowledged?.at,
  }
}

export interface Surroundings {
  readonly rules: AlertRules
  readonly silences: readonly Silence[]
  readonly incidents: readonly Incident[]
  readonly groups: readonly Group[]
  readonly letters: readonly Letter[]
  readonly now: WallTime
}

/** An incident with its whole story: for each receiver what was sent, what was not, and why, up to this moment. */
export function explain(incident: Incident, surroundings: Surroundings): object {
  const { groups, letters } = surroundings
  const own = groups.filter(({ members }) => members[incident.id] !== undefined)
  return {
    ...describeIncident(incident),
    flapping: isFlapping(incident, surroundings.now),
    now:
      own.length === 0
        ? [present(incident, surroundings)]
        : own.map((group) => standing(incident, group, surroundings)),
    history: incident.notes.map(({ at, receiver, text }) => ({ at_ms: at, receiver, text })),
    deliveries: letters.map(describeLetter),
  }
}

function present(incident: Incident, { rules, now }: Surroundings): object {
  if (incident.phase === "pending")
    return { text: "it has not lasted long enough yet", look_again_at_ms: incident.dueAt }
  if (!isFiring(incident)) return { text: "it is over" }
  const routed = targetsOf(incident, rules, now)
  return {
    text: routed.kind === "nobody" ? `nobody is told: ${routed.reason}` : "it was told or explained before",
  }
}

/** Why nothing is sent to this receiver right now. */
function standing(
  incident: Incident,
  group: Group,
  { rules, silences, incidents, now }: Surroundings,
): object {
  const { receiver, escalation, lead, lookAt: next, toldAt } = group
  const word = group.members[incident.id]
  const held = suppression(incident, incidents, { rules, silences }, now)
  const route = rules.route[group.route]
  const muted = route === undefined ? undefined : mutedByTime(route, rules.time, now)
  const wait = escalation === 0 ? "waits for `group_wait`" : "waits for its escalation step"
  const text =
    held?.reason ??
    muted?.reason ??
    (word === "acknowledged"
      ? "told, acknowledged: no repeats"
      : word === "explained"
        ? "another incident explained it when it came"
        : word === "firing"
          ? "told; the repeat is not due"
          : toldAt === undefined
            ? wait
            : `grouped into ${lead.slice(0, 8)}: told with its next update`)
  return { receiver, escalation, group: lead, text, look_again_at_ms: next, told_at_ms: toldAt }
}

export function describeSilence({ match, startsAt, endsAt, ...silence }: Silence, now: WallTime): object {
  return {
    ...silence,
    match: match.map(formatMatcher),
    state: endsAt <= now ? "over" : startsAt > now ? "planned" : "active",
    starts_at_ms: startsAt,
    ends_at_ms: endsAt,
  }
}

export function describeLetter(letter: Letter): object {
  const { id, state, attempts, reason, log, postedAt, nextAt, notification } = letter
  return {
    id,
    state,
    ...describeNotification(notification),
    attempts,
    reason,
    posted_at_ms: postedAt,
    next_at_ms: state === "pending" ? nextAt : undefined,
    log: log.map(({ at, ...attempt }) => ({ at_ms: at, ...attempt })),
  }
}

function describeNotification(notification: Notification): object {
  const { receiver, action, incidents, repeat, escalation, at, omitted } = notification
  return {
    receiver,
    action,
    repeat,
    escalation,
    at_ms: at,
    incidents: incidents.map(({ id, title, phase }) => ({ id, title, state: phase })),
    omitted,
  }
}
