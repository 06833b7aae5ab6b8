/**
 * Debts (SPEC L5-L7): what may still be acted upon in rings that this node left. `debt(R)` ends L' after this node's
 * last handling in R; by then every right that any member ever had in R is over. Debts are carried from view to
 * view as remaining durations until their time is over.
 */
import {
  after,
  elapsed,
  type Instant,
  instant,
  type Millis,
  millis,
  type NodeId,
} from "../../protocol/units.ts"

export interface Debt {
  /** `ringKey` of the ring that was left, or `boot.<node>.<incarnation>`. */
  readonly key: string
  /** Members that may still hold rights there; `undefined`: everybody. Members known to have departed are not among them. */
  readonly members: readonly NodeId[] | undefined
  readonly end: Instant
}

export interface ReportedDebt {
  readonly key: string
  readonly members: readonly NodeId[] | undefined
  readonly remaining: Millis
}

/** What is told about debts that still run, as durations (SPEC L6). */
export function reportDebts(debts: readonly Debt[], now: Instant): readonly ReportedDebt[] {
  return stillRunning(debts, now).map(({ key, members, end }) => ({
    key,
    members,
    remaining: elapsed(now, end),
  }))
}

export function stillRunning(debts: readonly Debt[], now: Instant): readonly Debt[] {
  return debts.filter((debt) => debt.end > now)
}

/**
 * All debts of a new view, counted from receipt `now`: own and reported ones. For one ring the earliest reported end
 * counts, because all rights in it end no later than L' after ANY member's last handling.
 */
export function mergeDebts(
  own: readonly Debt[],
  reported: readonly ReportedDebt[],
  now: Instant,
): readonly Debt[] {
  const merged = new Map<string, Debt>()
  const told = reported.map(({ key, members, remaining }) => ({ key, members, end: after(now, remaining) }))
  for (const debt of [...stillRunning(own, now), ...told]) {
    const known = merged.get(debt.key)
    if (known === undefined) merged.set(debt.key, debt)
    else
      merged.set(debt.key, {
        key: debt.key,
        members: owedByBoth(known, debt),
        end: instant(Math.min(debt.end, known.end)),
      })
  }
  return [...merged.values()]
}

/** Who leaves a member out has heard that it departed. */
function owedByBoth(a: Debt, b: Debt): readonly NodeId[] | undefined {
  if (a.members === undefined || b.members === undefined) return a.members ?? b.members
  const { members } = b
  return a.members.filter((member) => members.includes(member))
}

/** `activateAt(R')`: the latest end among debts with a member absent from the new view; `now` if there is none. */
export function activationInstant(debts: readonly Debt[], members: readonly NodeId[], now: Instant): Instant {
  let at = now
  for (const debt of debts) {
    const owedToAbsent =
      debt.members === undefined || debt.members.some((member) => !members.includes(member))
    if (owedToAbsent && debt.end > at) at = debt.end
  }
  return at
}

/** The debt of a ring just left: until `leaseStretched` (L') after this node's last handling (its receipt). */
export function debtOfRing(
  key: string,
  members: readonly NodeId[],
  lastHandling: Instant,
  leaseStretched: Millis,
): Debt {
  return { key, members, end: after(lastHandling, millis(leaseStretched)) }
}
