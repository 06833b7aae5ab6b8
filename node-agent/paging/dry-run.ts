/**
 * What other rules would have made of the past: the witness's events and silences, replayed by its own router on this machine,
 * because no request of a Worker has the processor time. Pure.
 */
import { err, ok, type Result } from "../../protocol/result.ts"
import { wallTime } from "../../protocol/units.ts"
import { parseMatcher } from "../../worker/alerts/matchers.ts"
import type { Notification } from "../../worker/alerts/notification.ts"
import { notificationsMax, type RecordedEvent, rehearse } from "../../worker/alerts/rehearsal.ts"
import type { Silence } from "../../worker/alerts/suppression.ts"
import { readAlertFile } from "./page.ts"

/** As `GET /alerts/events` answers. */
export interface ToldEvent extends Omit<RecordedEvent, "at" | "recordedAt"> {
  readonly at_ms: number
  readonly recorded_at_ms: number
}

/** As `GET /alerts/silences` answers. */
export interface ToldSilence extends Omit<Silence, "match" | "startsAt" | "endsAt"> {
  readonly match: readonly string[]
  readonly starts_at_ms: number
  readonly ends_at_ms: number
}

export interface Past {
  readonly cluster: string
  readonly events: readonly ToldEvent[]
  readonly silences: readonly ToldSilence[]
  readonly now: number
}

export interface DryRun {
  readonly notifications: readonly Notification[]
  /** There would have been more. */
  readonly isCut: boolean
}

/** The error is the first one in the rules, with its place. */
export function dryRun(text: string, { cluster, events, silences, now }: Past): Result<DryRun, string> {
  const file = readAlertFile(text)
  if (file.kind === "error") return err(file.error)
  const recorded = events
    .map(({ at_ms: at, recorded_at_ms: recordedAt, ...event }): RecordedEvent => {
      return { ...event, at: wallTime(at), recordedAt: wallTime(recordedAt) }
    })
    .toSorted((a, b) => a.recordedAt - b.recordedAt)
  const circumstances = {
    cluster,
    publicUrl: undefined,
    rules: file.value.rules,
    silences: silences.map(silenceOf),
  }
  const notifications = rehearse(recorded, circumstances, wallTime(now))
  return ok({ notifications, isCut: notifications.length >= notificationsMax })
}

function silenceOf({ match, starts_at_ms, ends_at_ms, ...silence }: ToldSilence): Silence {
  const matchers = match.flatMap((each) => {
    const parsed = parseMatcher(each)
    return parsed.kind === "ok" ? [parsed.value] : []
  })
  return { ...silence, match: matchers, startsAt: wallTime(starts_at_ms), endsAt: wallTime(ends_at_ms) }
}
