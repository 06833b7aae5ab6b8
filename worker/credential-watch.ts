/**
 * Ends of credentials, as people are told of them (SPEC A16), so that no program stands before a closed door one night.
 * Pure. Of all keys and certificates here only these have an end that the witness can see.
 *
 *   made      -- the last third of its life begins, two weeks at most --> expiring   (credential-expiring)
 *   expiring  -- revoked, or at its end ------------------------------> ended      (credential-ended)
 */
import type { WallTime } from "../protocol/units.ts"
import { wallTime } from "../protocol/units.ts"
import type { PlacedEvent } from "./alerts/incidents.ts"
import type { Credential } from "./credentials.ts"

export interface Ending {
  /** With what was told of it. */
  readonly credential: Credential
  readonly event: PlacedEvent
}

const warnedBeforeMs = 14 * 86_400_000
const warnedShare = 3

/** What is to be told at `now`. */
export function endings(credentials: readonly Credential[], now: WallTime): readonly Ending[] {
  return credentials.flatMap((credential) => {
    const next = nextStep(credential)
    if (next === undefined || next.at > now) return []
    const told = { ...credential, told: next.told }
    return [{ credential: told, event: next.told === "expiring" ? expiring(told, now) : ended(told, now) }]
  })
}

/** When `endings` has something to tell. */
export function nextEnding(credentials: readonly Credential[]): WallTime | undefined {
  const steps = credentials.flatMap((credential) => nextStep(credential)?.at ?? [])
  return steps.length === 0 ? undefined : wallTime(Math.min(...steps))
}

/** Only who was told of a beginning is told of the end. */
export function revoked(credential: Credential, now: WallTime): readonly PlacedEvent[] {
  return credential.told === "expiring" ? [ended(credential, now)] : []
}

function nextStep(
  credential: Credential,
): { readonly told: "expiring" | "ended"; readonly at: WallTime } | undefined {
  const { expiresAt, createdAt, told } = credential
  if (expiresAt === undefined || told === "ended") return undefined
  if (told === "expiring") return { told: "ended", at: expiresAt }
  const warned = Math.min(warnedBeforeMs, (expiresAt - createdAt) / warnedShare)
  return { told: "expiring", at: wallTime(expiresAt - warned) }
}

function expiring(credential: Credential, now: WallTime): PlacedEvent {
  const { scope, expiresAt = now } = credential
  const detail = `scope ${scope}; until ${new Date(expiresAt).toISOString()}: make another one and revoke this`
  return { ...about(credential, "credential-expiring", now), severity: "warning", detail }
}

function ended(credential: Credential, now: WallTime): PlacedEvent {
  const { expiresAt = now } = credential
  const detail = expiresAt <= now ? "its time is over: it opens nothing any more" : "it was revoked"
  return { ...about(credential, "credential-ended", now), severity: "info", detail }
}

function about(
  { id, name }: Credential,
  kind: string,
  now: WallTime,
): Omit<PlacedEvent, "severity" | "detail"> {
  return { id: `${kind}:${id}`, kind, subject: `${name} (${id})`, at: now, cause: id }
}
