/**
 * The alert router as one value and two functions: what happened goes in, what time brings goes in, notifications come
 * out. Pure; the object stores what changed and posts the notifications in one transaction. The same code pages from an
 * agent when the witness is away, and replays the past against other rules.
 */
import type { WallTime } from "../../protocol/units.ts"
import { wallTime } from "../../protocol/units.ts"
import { type Circumstances, type Group, groupKey, lookAt, newGroup, type Remark } from "./groups.ts"
import {
  expireIncidents,
  type Incident,
  type Incidents,
  isFiring,
  type KindRule,
  nextExpiry,
  noted,
  type PlacedEvent,
  type Signal,
  takeSignal,
} from "./incidents.ts"
import type { Notification } from "./notification.ts"
import { targetsOf } from "./routes.ts"
import type { AlertRules } from "./rules.ts"

export interface AlertState {
  readonly incidents: Incidents
  readonly groups: ReadonlyMap<string, Group>
}

export interface Advanced {
  readonly state: AlertState
  readonly notifications: readonly Notification[]
}

export const noAlerts: AlertState = { incidents: new Map(), groups: new Map() }

/** Takes events in and brings everything to `now`. */
export function advance(
  state: AlertState,
  signals: readonly Signal[],
  circumstances: Circumstances,
  now: WallTime,
): Advanced {
  const kinds = kindRules(circumstances.rules)
  let incidents = expireIncidents(state.incidents, now)
  for (const signal of signals) {
    incidents = takeSignal(incidents, signal, kinds, now)
    const derived = wanSignal(incidents, signal)
    if (derived !== undefined) incidents = takeSignal(incidents, derived, kinds, now)
  }
  return settle({ incidents, groups: state.groups }, state.incidents, circumstances, now)
}

/** After an operator changed an incident, or silences. */
export function withIncident(
  state: AlertState,
  change: (incident: Incident) => Incident,
  id: string,
  circumstances: Circumstances,
  now: WallTime,
): Advanced {
  const changed = [...state.incidents].map(([symptom, incident]) => {
    return [symptom, incident.id === id ? change(incident) : incident] as const
  })
  return settle({ incidents: new Map(changed), groups: state.groups }, state.incidents, circumstances, now)
}

/** After rules or silences changed: every group is looked at, what was not told finds its way anew. */
export function reroute(state: AlertState, circumstances: Circumstances, now: WallTime): Advanced {
  const receivers = circumstances.rules.receiver.map(({ name }) => name)
  const kept = [...state.groups].filter(([, group]) => {
    return group.toldAt !== undefined && receivers.includes(group.receiver)
  })
  return settle({ incidents: state.incidents, groups: new Map(kept) }, new Map(), circumstances, now)
}

/** After a silence was set or ended: whatever waits is looked at again. */
export function relook(state: AlertState, circumstances: Circumstances, now: WallTime): Advanced {
  return settle(state, new Map(), circumstances, now)
}

/** When `advance` has something to do without any event; `undefined`: not before one. */
export function nextAdvance(state: AlertState): WallTime | undefined {
  const looks = [...state.groups.values()].flatMap(({ lookAt: at }) => (at === undefined ? [] : [at]))
  const expiry = nextExpiry(state.incidents)
  const all = expiry === undefined ? looks : [...looks, expiry]
  return all.length === 0 ? undefined : wallTime(Math.min(...all))
}

function kindRules({ kind }: AlertRules): Readonly<Record<string, KindRule>> {
  return Object.fromEntries(
    Object.entries(kind).map(([name, each]) => {
      return [name, { severity: each.severity, forMs: each.for, clearMs: each.clear }]
    }),
  )
}

/** Enrols what began to fire, then looks at every group that is due or has a member that changed. */
function settle(state: AlertState, before: Incidents, circumstances: Circumstances, now: WallTime): Advanced {
  const changed = [...state.incidents].filter(([symptom, incident]) => before.get(symptom) !== incident)
  const changedIds = new Set(changed.map(([, { id }]) => id))
  // One that began or ended may be what explains another, in any group.
  const shifted = changed.some(([symptom, incident]) => {
    const former = before.get(symptom)
    return (former !== undefined && isFiring(former)) !== isFiring(incident)
  })
  const { groups: enrolled, remarks: astray } = enrol(state, changed, circumstances, now)
  const byId = new Map([...state.incidents.values()].map((incident) => [incident.id, incident]))
  const groups = new Map(enrolled)
  const notifications: Notification[] = []
  const remarks: Remark[] = [...astray]
  for (const [key, group] of enrolled) {
    const due = group.lookAt !== undefined && group.lookAt <= now
    if (!due && !shifted && !Object.keys(group.members).some((id) => changedIds.has(id))) continue
    const looked = lookAt(group, byId, circumstances, now)
    if (looked.group === undefined) groups.delete(key)
    else if (!sameGroup(looked.group, group)) groups.set(key, looked.group)
    if (looked.notification !== undefined) notifications.push(looked.notification)
    remarks.push(...looked.remarks)
  }
  return { state: { incidents: withRemarks(state.incidents, remarks, now), groups }, notifications }
}

function enrol(
  { groups, incidents }: AlertState,
  changed: readonly (readonly [string, Incident])[],
  circumstances: Circumstances,
  now: WallTime,
): { readonly groups: ReadonlyMap<string, Group>; readonly remarks: readonly Remark[] } {
  const next = new Map(groups)
  const remarks: Remark[] = []
  for (const [, incident] of changed) {
    if (incident.phase !== "open" || !incidents.has(`${incident.kind} ${incident.subject}`)) continue
    const routed = targetsOf(incident, circumstances.rules, now)
    if (routed.kind === "nobody") {
      remarks.push({ incident: incident.id, receiver: "", text: `nobody is told: ${routed.reason}` })
      continue
    }
    for (const target of routed.targets) {
      const told = [...next.values()].some(
        ({ receiver, escalation, members }) =>
          receiver === target.receiver &&
          escalation === target.escalation &&
          members[incident.id] !== undefined,
      )
      if (told) continue
      const key = groupKey(target, incident, circumstances.rules)
      const group = next.get(key)
      if (group === undefined) {
        next.set(key, newGroup(key, target, incident))
        continue
      }
      next.set(key, { ...group, members: { ...group.members, [incident.id]: "nothing" } })
    }
  }
  return { groups: next, remarks }
}

function withRemarks(incidents: Incidents, remarks: readonly Remark[], now: WallTime): Incidents {
  if (remarks.length === 0) return incidents
  const about = new Map<string, Remark[]>()
  for (const remark of remarks) about.set(remark.incident, [...(about.get(remark.incident) ?? []), remark])
  return new Map(
    [...incidents].map(([symptom, incident]) => {
      const own = about.get(incident.id) ?? []
      const told = own.reduce(
        (each, { receiver, text }) =>
          noted(each, { at: now, receiver: receiver === "" ? undefined : receiver, text }),
        incident,
      )
      return [symptom, told]
    }),
  )
}

function sameGroup(a: Group, b: Group): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** Two sites that cannot reach each other, seen from both: the path between them is cut, and neither is down. */
function wanSignal(incidents: Incidents, { event, cluster }: Signal): Signal | undefined {
  const { site, peer } = event
  if (site === undefined || peer === undefined) return undefined
  const isFiringFrom = (from: string, to: string): Incident | undefined => {
    const found = incidents.get(`site-unreachable site ${to} from ${from}`)
    return found !== undefined && found.phase !== "resolved" && found.phase !== "clearing" ? found : undefined
  }
  const [there, back] = [isFiringFrom(site, peer), isFiringFrom(peer, site)]
  const ends = [site, peer].toSorted()
  const subject = ends.join(" - ")
  const known = incidents.get(`wan-cut cluster ${subject}`)
  const isCut = known !== undefined && (known.phase === "open" || known.phase === "pending")
  const kind = there !== undefined && back !== undefined ? "wan-cut" : "wan-healed"
  if ((kind === "wan-cut") === isCut) return undefined
  const derived: PlacedEvent = {
    id: `${kind}:${event.id}`,
    kind,
    subject,
    severity: kind === "wan-cut" ? "critical" : "info",
    at: event.at,
    detail: `seen from ${site}: ${event.detail}`.slice(0, 512),
    cause: [there?.id, back?.id].toSorted().join("-"),
    site: ends[0],
    peer: ends[1],
  }
  return { event: derived, cluster }
}
