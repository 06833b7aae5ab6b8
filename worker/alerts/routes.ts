/** Who is to hear of an incident: the routes that fit, their receivers and the steps of their escalation. Pure. */
import type { WallTime } from "../../protocol/units.ts"
import { wallTime } from "../../protocol/units.ts"
import type { Incident } from "./incidents.ts"
import { matchesAll } from "./matchers.ts"
import { type AlertRules, defaultTimings } from "./rules.ts"

/** One receiver of one route, at once or as a later step. */
export interface Target {
  readonly receiver: string
  /** -1: no route is written, all receivers hear of all that is a warning or worse. */
  readonly route: number
  readonly escalation: number
  /** From when on it may be told. */
  readonly from: WallTime
}

export type Routed =
  | { readonly kind: "targets"; readonly targets: readonly Target[] }
  | { readonly kind: "nobody"; readonly reason: string }

export function targetsOf(incident: Incident, rules: AlertRules, now: WallTime): Routed {
  const names = rules.receiver.map(({ name }) => name)
  if (names.length === 0) return { kind: "nobody", reason: "there is no receiver" }
  const routes = fitting(incident, rules)
  if (routes.length === 0) {
    const reason = rules.route.length === 0 ? "severity info is told to nobody by default" : "no route fits"
    return { kind: "nobody", reason }
  }
  const targets = routes.flatMap((route) => targetsOfRoute(incident, rules, route, now))
  if (targets.length > 0) return { kind: "targets", targets: unique(targets) }
  // All that it was to go to is what fails: then the others must know.
  const others = names.filter((name) => !isAbout(incident, name))
  if (others.length === 0)
    return { kind: "nobody", reason: "there is no other receiver than the one it is about" }
  const from = wallTime(now + timingsOf(routes[0] ?? -1, rules).group_wait)
  const route = routes[0] ?? -1
  return { kind: "targets", targets: others.map((receiver) => ({ receiver, route, escalation: 0, from })) }
}

export function timingsOf(
  route: number,
  rules: AlertRules,
): { readonly group_wait: number; readonly group_interval: number; readonly repeat_interval: number } {
  const own = rules.route[route]
  return {
    group_wait: own?.group_wait ?? rules.group_wait ?? defaultTimings.group_wait,
    group_interval: own?.group_interval ?? rules.group_interval ?? defaultTimings.group_interval,
    repeat_interval: own?.repeat_interval ?? rules.repeat_interval ?? defaultTimings.repeat_interval,
  }
}

export function groupLabels(
  route: number,
  rules: AlertRules,
): readonly ("kind" | "severity" | "site" | "node" | "subject")[] {
  return rules.route[route]?.group_by ?? rules.group_by ?? defaultTimings.group_by
}

/** Indices of the routes that an incident takes. */
function fitting(incident: Incident, rules: AlertRules): readonly number[] {
  if (rules.route.length === 0) return incident.severity === "info" ? [] : [-1]
  const indices: number[] = []
  for (const [index, route] of rules.route.entries()) {
    if (!matchesAll(route.match, incident.labels)) continue
    indices.push(index)
    if (!route.continue) break
  }
  return indices
}

function targetsOfRoute(
  incident: Incident,
  rules: AlertRules,
  index: number,
  now: WallTime,
): readonly Target[] {
  const route = rules.route[index]
  const receivers = route?.receivers ?? rules.receiver.map(({ name }) => name)
  const from = wallTime(now + timingsOf(index, rules).group_wait)
  const steps = rules.escalation.find(({ name }) => name === route?.escalation)?.step ?? []
  return [
    ...receivers.map((receiver) => ({ receiver, route: index, escalation: 0, from })),
    ...steps.flatMap(({ after, receivers: named }, step) => {
      const at = wallTime((incident.openedAt ?? now) + after)
      return named.map((receiver) => ({ receiver, route: index, escalation: step + 1, from: at }))
    }),
  ].filter(({ receiver }) => !isAbout(incident, receiver))
}

/** A receiver is not told that it cannot be told. */
function isAbout({ kind, subject }: Incident, receiver: string): boolean {
  return (kind === "receiver-failing" || kind === "delivery-failed") && subject === `receiver ${receiver}`
}

/** With `continue` two routes may name the same receiver: once is enough. */
function unique(targets: readonly Target[]): readonly Target[] {
  const seen = new Set<string>()
  return targets.filter(({ receiver, escalation }) => {
    const key = `${receiver} ${escalation}`
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}
