/**
 * From incidents to notifications. Pure. Incidents of a route that agree in the route's `group_by` are one group for each
 * receiver, told together, as in Alertmanager: first after `group_wait`, changes after `group_interval`, and again after
 * `repeat_interval` while somebody should still act. An acknowledgement and the end of all of it are told at once.
 *
 * Each escalation step is a group of its own whose wait is the step's: whoever acknowledges before ends it unsaid.
 * A group lives until all of it is over and told, or over before anybody was told.
 */
import type { WallTime } from "../../protocol/units.ts"
import { wallTime } from "../../protocol/units.ts"
import { type Incident, isFiring, isMomentary } from "./incidents.ts"
import type { Notification, NotificationAction, NotifiedIncident } from "./notification.ts"
import { groupLabels, type Target, timingsOf } from "./routes.ts"
import type { AlertRules } from "./rules.ts"
import { mutedByTime, type Silence, type Suppression, suppression } from "./suppression.ts"

/**
 * What the receiver was last told of a member. `explained`: a moment that another incident explained when it came; told
 * later, it would be old news.
 */
type LastWord = "nothing" | "firing" | "acknowledged" | "explained"

export interface Group {
  readonly key: string
  readonly receiver: string
  /** Index of the route; -1: the one that stands in where there are none. */
  readonly route: number
  /** 0: the route's own receivers; otherwise which escalation step. */
  readonly escalation: number
  /** Id of the first incident: the dedup key for the group's whole life. */
  readonly lead: string
  readonly members: Readonly<Record<string, LastWord>>
  /** Nothing is told before: the end of `group_wait`, or of the step's wait. */
  readonly from: WallTime
  /** When to look at it next; `undefined`: when an incident changes. */
  readonly lookAt: WallTime | undefined
  /** `undefined`: nobody was told anything yet. */
  readonly toldAt: WallTime | undefined
  readonly repeat: number
}

export interface Circumstances {
  readonly cluster: string
  readonly rules: AlertRules
  readonly silences: readonly Silence[]
  /** Where people find an incident; `undefined`: the deployment has no public address. */
  readonly publicUrl: string | undefined
}

/** What is known about an incident's way to one receiver, for its notes. */
export interface Remark {
  readonly incident: string
  readonly receiver: string
  readonly text: string
}

export interface Looked {
  /** `undefined`: there is nothing left to tell. */
  readonly group: Group | undefined
  readonly notification: Notification | undefined
  readonly remarks: readonly Remark[]
}

const listedMax = 50

export function newGroup(key: string, target: Target, lead: Incident): Group {
  const { receiver, route, escalation, from } = target
  const members: Group["members"] = { [lead.id]: "nothing" }
  return {
    key,
    receiver,
    route,
    escalation,
    lead: lead.id,
    members,
    from,
    lookAt: from,
    toldAt: undefined,
    repeat: 0,
  }
}

export function groupKey(target: Target, incident: Incident, rules: AlertRules): string {
  const values = groupLabels(target.route, rules).map((label) => incident.labels[label])
  return JSON.stringify([target.route, target.escalation, target.receiver, ...values])
}

/** Looks at one group at `now`: what is to be told, what is not and why, and when to look again. */
export function lookAt(
  group: Group,
  incidents: ReadonlyMap<string, Incident>,
  circumstances: Circumstances,
  now: WallTime,
): Looked {
  const members = Object.keys(group.members).flatMap((id) => {
    const incident = incidents.get(id)
    return incident === undefined ? [] : [incident]
  })
  const view: View = { group, members, firing: members.filter(isFiring), incidents, circumstances, now }
  return group.toldAt === undefined ? beforeFirstWord(view) : afterFirstWord(view, group.toldAt)
}

interface View {
  readonly group: Group
  readonly members: readonly Incident[]
  readonly firing: readonly Incident[]
  readonly incidents: ReadonlyMap<string, Incident>
  readonly circumstances: Circumstances
  readonly now: WallTime
}

function beforeFirstWord(view: View): Looked {
  const { group, members, firing, now } = view
  if (firing.length === 0) {
    const text =
      group.escalation === 0 ? "it was over before `group_wait`" : "it was over before this escalation step"
    return { group: undefined, notification: undefined, remarks: remarksOf(view, members, text) }
  }
  if (group.from > now) return unchanged({ ...group, lookAt: group.from })
  const { group: sifted, candidates, held, remarks } = sift(view, firing)
  const unacknowledged = candidates.filter(({ acknowledged }) => acknowledged === undefined)
  const muted = mutedNow(view)
  if (muted !== undefined) {
    return {
      group: { ...sifted, lookAt: muted.until },
      notification: undefined,
      remarks: [...remarks, ...remarksOf(view, candidates, muted.reason)],
    }
  }
  if (unacknowledged.length === 0) {
    const acknowledged = remarksOf(view, candidates, "acknowledged before it was to be told")
    const still = { ...sifted, lookAt: earliest(held.map(({ until }) => until)) }
    return { group: still, notification: undefined, remarks: [...remarks, ...acknowledged] }
  }
  return tell({ ...view, group: sifted }, "trigger", { told: candidates, repeat: 0, remarks })
}

function afterFirstWord(before: View, toldAt: WallTime): Looked {
  const { members, firing, now } = before
  const { members: words } = before.group
  const known = firing.filter(({ id }) => isTold(words[id]))
  const waiting = firing.filter(({ id }) => words[id] === "nothing")
  const { group, candidates: fresh, held, remarks } = sift(before, waiting)
  const view: View = { ...before, group }
  if (known.length === 0 && fresh.length === 0) {
    const over = members.filter(({ id }) => isTold(words[id]))
    return tell(view, "resolve", { told: over, repeat: group.repeat, remarks })
  }
  const news = known.some(({ id, acknowledged }) => acknowledged !== undefined && words[id] === "firing")
  if (news && fresh.length === 0 && known.every(({ acknowledged }) => acknowledged !== undefined)) {
    return tell(view, "acknowledge", { told: known, repeat: group.repeat, remarks })
  }
  const timings = timingsOf(group.route, view.circumstances.rules)
  const over = members.some((each) => !isFiring(each) && isTold(words[each.id]))
  const changed = fresh.length > 0 || over
  const changeAt = wallTime(toldAt + timings.group_interval)
  const repeatAt = wallTime(toldAt + timings.repeat_interval)
  const awaited = sift(view, known).candidates.filter(({ acknowledged }) => acknowledged === undefined)
  const due = (changed && changeAt <= now) || (awaited.length > 0 && repeatAt <= now)
  const muted = due ? mutedNow(view) : undefined
  const again = [
    ...held.map(({ until }) => until),
    changed ? changeAt : undefined,
    awaited.length > 0 ? repeatAt : undefined,
  ]
  if (!due || muted !== undefined) {
    const text = muted?.reason ?? `grouped into ${group.lead.slice(0, 8)}: told with its next update`
    const waits = remarksOf(view, fresh, text)
    const next = muted === undefined ? earliest(again) : muted.until
    return { group: { ...group, lookAt: next }, notification: undefined, remarks: [...remarks, ...waits] }
  }
  if (changed && changeAt <= now) {
    return tell(view, "update", { told: [...known, ...fresh, ...members], repeat: group.repeat, remarks })
  }
  return tell(view, "trigger", { told: known, repeat: group.repeat + 1, remarks })
}

function tell(
  view: View,
  action: NotificationAction,
  {
    told,
    repeat,
    remarks,
  }: { readonly told: readonly Incident[]; readonly repeat: number; readonly remarks: readonly Remark[] },
): Looked {
  const { group, firing, circumstances, now } = view
  const ids = new Set(told.map(({ id }) => id))
  const about = [...view.members.filter(({ id }) => ids.has(id))].sort(byUrgency)
  const [first] = about
  if (first === undefined) return { group: undefined, notification: undefined, remarks }
  const listed = about.slice(0, listedMax).map(notifiedIncident)
  const notification: Notification = {
    id: `${group.lead.slice(0, 16)}-${group.receiver}-${group.escalation}-${action}-${now.toString(36)}`,
    action,
    cluster: circumstances.cluster,
    receiver: group.receiver,
    dedupKey: `${circumstances.cluster}:${group.lead}`,
    incidents: [notifiedIncident(first), ...listed.slice(1)],
    omitted: about.length - listed.length,
    repeat,
    escalation: group.escalation,
    at: now,
    link: circumstances.publicUrl === undefined ? undefined : `${circumstances.publicUrl}#${first.id}`,
    test: false,
  }
  const words = remarksOf(view, about, `told: ${action}${repeat > 0 ? `, repeat ${repeat}` : ""}`)
  const members = Object.fromEntries(
    // What is over and was told is done with; what fires and was not told waits on.
    Object.entries(group.members).flatMap(([id, word]) => {
      const incident = firing.find((each) => each.id === id)
      if (incident === undefined) return []
      if (!ids.has(id) || word === "explained") return [[id, word]]
      return [[id, incident.acknowledged === undefined ? ("firing" as const) : ("acknowledged" as const)]]
    }),
  )
  const left = action === "resolve" ? remainder(group, members) : { ...group, members, toldAt: now, repeat }
  const again =
    left === undefined || left.toldAt === undefined ? left : { ...left, lookAt: lookAgain(left, view) }
  return { group: again, notification, remarks: [...remarks, ...words] }
}

/** Members that nobody was told of while they fired go on as a group of their own, looked at when something changes. */
function remainder(group: Group, members: Group["members"]): Group | undefined {
  const [lead] = Object.keys(members)
  return lead === undefined
    ? undefined
    : { ...group, lead, members, lookAt: group.lookAt, toldAt: undefined, repeat: 0 }
}

/** After a word: members that wait come with the next interval, otherwise the next repeat. */
function lookAgain(group: Group, { circumstances, now }: View): WallTime {
  const timings = timingsOf(group.route, circumstances.rules)
  const waiting = Object.values(group.members).includes("nothing")
  return wallTime(
    now + (waiting ? Math.min(timings.group_interval, timings.repeat_interval) : timings.repeat_interval),
  )
}

function isTold(word: LastWord | undefined): boolean {
  return word === "firing" || word === "acknowledged"
}

interface Sifted {
  readonly group: Group
  readonly candidates: readonly Incident[]
  readonly held: readonly Suppression[]
  readonly remarks: readonly Remark[]
}

function sift(view: View, of: readonly Incident[]): Sifted {
  const candidates: Incident[] = []
  const held: Suppression[] = []
  const remarks: Remark[] = []
  const members = { ...view.group.members }
  for (const incident of of) {
    if (members[incident.id] === "explained") continue
    // What is about to be over is not news.
    if (incident.phase === "clearing" && members[incident.id] === "nothing") continue
    const found = suppression(incident, view.incidents.values(), view.circumstances, view.now)
    if (found === undefined) {
      candidates.push(incident)
      continue
    }
    if (found.until === undefined && isMomentary(incident)) members[incident.id] = "explained"
    held.push(found)
    remarks.push(...remarksOf(view, [incident], found.reason))
  }
  return { group: { ...view.group, members }, candidates, held, remarks }
}

function mutedNow({ group, circumstances: { rules }, now }: View): Suppression | undefined {
  const route = rules.route[group.route]
  return route === undefined ? undefined : mutedByTime(route, rules.time, now)
}

function remarksOf({ group }: View, about: readonly Incident[], text: string): readonly Remark[] {
  const step = group.escalation === 0 ? "" : `escalation step ${group.escalation}: `
  return about.map(({ id }) => ({ incident: id, receiver: group.receiver, text: step + text }))
}

function unchanged(group: Group): Looked {
  return { group, notification: undefined, remarks: [] }
}

export function notifiedIncident(incident: Incident): NotifiedIncident {
  const { id, kind, severity, subject, title, detail, labels, acknowledged, count } = incident
  const over = !isFiring(incident)
  return {
    id,
    phase: over ? "resolved" : acknowledged === undefined ? "open" : "acknowledged",
    kind,
    severity,
    subject,
    title: count > 1 ? `${title} (${count} times)` : title,
    detail,
    site: labels.site === "" ? undefined : labels.site,
    node: labels.node === "" ? undefined : labels.node,
    openedAt: incident.openedAt ?? incident.since,
    resolvedAt: over ? incident.resolvedAt : undefined,
    acknowledgedBy: acknowledged?.by,
  }
}

const severityOrder = ["critical", "warning", "info"]

/** What fires before what is over, the worst first, then the oldest. */
function byUrgency(a: Incident, b: Incident): number {
  return (
    Number(isFiring(b)) - Number(isFiring(a)) ||
    severityOrder.indexOf(a.severity) - severityOrder.indexOf(b.severity) ||
    a.since - b.since
  )
}

function earliest(times: readonly (WallTime | undefined)[]): WallTime | undefined {
  const known = times.filter((each) => each !== undefined)
  return known.length === 0 ? undefined : wallTime(Math.min(...known))
}
