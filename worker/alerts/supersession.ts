/**
 * What a new notification makes of those still waiting for the same receiver and group. Pure.
 *
 * - A newer word replaces a waiting update, repeat or acknowledgement: it says the same and more.
 * - If all is over before the first word was tried, neither is sent: opening and closing in one moment wakes somebody for
 *   nothing. Once it was tried, it may have been heard, so the end is sent.
 */
import type { Notification } from "./notification.ts"

export interface Waiting {
  readonly id: string
  readonly notification: Notification
  /** Tried, or being tried now. */
  readonly tried: boolean
}

export interface Supersession {
  /** Ids of waiting letters that need not be sent any more. */
  readonly dropped: readonly string[]
  /** Whether the new one is sent. */
  readonly sent: boolean
}

export function supersede(next: Notification, waiting: readonly Waiting[]): Supersession {
  const untried = waiting.filter(({ tried }) => !tried)
  const opening = untried.find(({ notification }) => isFirstWord(notification))
  if (next.action === "resolve") {
    return { dropped: untried.map(({ id }) => id), sent: opening === undefined }
  }
  const replaceable = untried.filter(({ notification }) => !isFirstWord(notification))
  return { dropped: replaceable.map(({ id }) => id), sent: true }
}

function isFirstWord({ action, repeat }: Notification): boolean {
  return action === "trigger" && repeat === 0
}
