/**
 * What other rules would have made of the past: recorded events, replayed through the real router in virtual time. Pure. A week of a
 * lively cluster takes a second of processor time, which no request of a Worker has: the CLI does it.
 * Nobody is there to acknowledge, so repeats and escalations show in full.
 */
import type { WallTime } from "../../protocol/units.ts"
import { wallTime } from "../../protocol/units.ts"
import type { Circumstances } from "./groups.ts"
import type { PlacedEvent } from "./incidents.ts"
import type { Notification } from "./notification.ts"
import { type AlertState, advance, nextAdvance, noAlerts } from "./router.ts"

export interface RecordedEvent extends PlacedEvent {
  readonly recordedAt: WallTime
}

/** More would be a flood to read, and a loop to wait for. */
export const notificationsMax = 20_000

export function rehearse(
  events: readonly RecordedEvent[],
  circumstances: Circumstances,
  until: WallTime,
): readonly Notification[] {
  const sent: Notification[] = []
  let state: AlertState = noAlerts
  const apply = (signals: readonly PlacedEvent[], now: WallTime): void => {
    const { cluster } = circumstances
    const placed = signals.map((event) => ({ event, cluster }))
    const advanced = advance(state, placed, circumstances, now)
    state = advanced.state
    sent.push(...advanced.notifications)
  }
  const pass = (end: WallTime): void => {
    for (let next = nextAdvance(state); next !== undefined && next <= end; ) {
      apply([], next)
      const following = nextAdvance(state)
      // What is due at this very instant was just looked at.
      next = following !== undefined && following <= next ? wallTime(next + 1_000) : following
      if (sent.length >= notificationsMax) return
    }
  }
  for (const event of events) {
    pass(event.recordedAt)
    apply([event], event.recordedAt)
    if (sent.length >= notificationsMax) break
  }
  pass(until)
  return sent.slice(0, notificationsMax)
}
