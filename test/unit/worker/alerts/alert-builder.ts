/** Signals and circumstances for tests of the alert router. */
import type { ReportedEvent } from "../../../../protocol/summaries.ts"
import { type WallTime, wallTime } from "../../../../protocol/units.ts"
import type { Circumstances } from "../../../../worker/alerts/groups.ts"
import type { Incident, Signal } from "../../../../worker/alerts/incidents.ts"
import type { Notification } from "../../../../worker/alerts/notification.ts"
import {
  type Advanced,
  type AlertState,
  advance,
  nextAdvance,
  noAlerts,
} from "../../../../worker/alerts/router.ts"
import { parseRules } from "../../../../worker/alerts/rules.ts"
import type { Silence } from "../../../../worker/alerts/suppression.ts"

export const secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

export function receiverToml(name: string): string {
  return `[[receiver]]\nname = "${name}"\nkind = "webhook"\nurl = "https://${name}.example.com/hook"\nsecret = "${secret}"\n`
}

export function circumstances(
  toml = receiverToml("pager"),
  silences: readonly Silence[] = [],
): Circumstances {
  const parsed = parseRules(toml, "public")
  if (parsed.kind === "error") throw new Error(JSON.stringify(parsed.error))
  return { cluster: "grid", rules: parsed.value.rules, silences, publicUrl: "https://witness.example/c/grid" }
}

export interface Place {
  readonly site?: string
  readonly peer?: string
  readonly node?: string
  readonly detail?: string
  readonly cause?: string
  readonly severity?: ReportedEvent["severity"]
}

let serial = 0

export function signal(kind: string, subject: string, place: Place = {}): Signal {
  serial += 1
  const { site, peer, node, detail = "", cause, severity = "warning" } = place
  const event = {
    id: `t-${serial}`,
    kind,
    subject,
    severity,
    at: wallTime(0),
    detail,
    cause,
    site,
    peer,
    node,
  }
  return { event, cluster: "grid" }
}

/** A router in virtual time: it wakes itself whenever it asks to be woken. */
export class Router {
  state: AlertState = noAlerts
  circumstances: Circumstances
  now: WallTime = wallTime(1_000_000)
  readonly sent: Notification[] = []

  constructor(given: Circumstances = circumstances()) {
    this.circumstances = given
  }

  take(...signals: readonly Signal[]): this {
    return this.apply(advance(this.state, signals, this.circumstances, this.now))
  }

  apply({ state, notifications }: Advanced): this {
    this.state = state
    this.sent.push(...notifications)
    return this
  }

  /** Lets time go by, and returns what was sent meanwhile as `action title, title`. */
  wait(seconds: number): readonly string[] {
    const before = this.sent.length
    const end = this.now + seconds * 1_000
    for (;;) {
      const next = nextAdvance(this.state)
      if (next === undefined || next > end) break
      if (next > this.now) this.now = next
      this.take()
    }
    this.now = wallTime(end)
    this.take()
    return this.sent.slice(before).map(told)
  }

  incident(kind: string): Incident {
    const found = [...this.state.incidents.values()].find((each) => each.kind === kind)
    if (found === undefined) throw new Error(`no incident ${kind}`)
    return found
  }
}

export function told({ action, receiver, incidents }: Notification): string {
  return `${receiver} ${action}: ${incidents.map(({ title }) => title).join(", ")}`
}
