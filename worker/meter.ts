/**
 * What the cluster costs on the free plan, counted by itself, because a quota that is used up fails every request until
 * midnight UTC. The wall clock is good enough here: it names the day, and only the posting
 * interval and an alert follow from it. Pure.
 */
import type { Millis, WallTime } from "../protocol/units.ts"
import { millis } from "../protocol/units.ts"
import { freePlan } from "../protocol/workers-plan.ts"
import { shortestTtl, type WitnessConfiguration } from "./configuration.ts"

/** One day's counts; `day` counts days of UTC since the Unix epoch. */
export interface Meter {
  readonly day: number
  readonly rowsWritten: number
  readonly posts: number
  readonly reportedEvents: number
}

/** Events a cluster may report in a day: a node in a loop must not use up the rows that leases need. */
export const reportedEventsPerDay = 2_000

const dayMs = 86_400_000
/** From here on the interval is stretched, if the day's pace leads above the quota; at the second value fully. */
const stretchFromPercent = 70
const stretchFullyPercent = 90
const alertFromPercent = 80

export const emptyMeter = (now: WallTime): Meter => ({
  day: dayOf(now),
  rowsWritten: 0,
  posts: 0,
  reportedEvents: 0,
})

/** The meter of the day of `now`, with these amounts counted. */
export function metered(meter: Meter, now: WallTime, counts: Partial<Omit<Meter, "day">>): Meter {
  const today = meter.day === dayOf(now) ? meter : emptyMeter(now)
  return {
    day: today.day,
    rowsWritten: today.rowsWritten + (counts.rowsWritten ?? 0),
    posts: today.posts + (counts.posts ?? 0),
    reportedEvents: today.reportedEvents + (counts.reportedEvents ?? 0),
  }
}

/** The larger of both shares used today, in percent, to one decimal. */
export function quotaPercent(meter: Meter): number {
  const share = Math.max(meter.rowsWritten / freePlan.rowsWritten, meter.posts / freePlan.requests)
  return Math.round(share * 1_000) / 10
}

/** Whether today's pace leads above the quota and most of it is used: worth an alert. */
export function quotaNear(meter: Meter, now: WallTime): boolean {
  return quotaPercent(meter) >= alertFromPercent && excess(meter, now) > 0
}

/** How often to post: the configured interval, stretched near the quota, never above a third of the shortest TTL. */
export function postingInterval(configuration: WitnessConfiguration, meter: Meter, now: WallTime): Millis {
  const longest = shortestTtl(configuration) / 3
  const shortest = Math.min(configuration.interval_ms, longest)
  const stretch = Math.min(1, Math.max(0, excess(meter, now) / (stretchFullyPercent - stretchFromPercent)))
  return millis(Math.floor(shortest + (longest - shortest) * stretch))
}

/** Percent used beyond what the time of day justifies; a day that will end below the quota has none. */
function excess(meter: Meter, now: WallTime): number {
  const elapsedPercent = ((now % dayMs) / dayMs) * 100
  return quotaPercent(meter) - Math.max(stretchFromPercent, elapsedPercent)
}

function dayOf(now: WallTime): number {
  return Math.floor(now / dayMs)
}
