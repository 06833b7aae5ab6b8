/**
 * How a node stands in what people should know of, beside its rights (SPEC A15): whether its configuration is its
 * neighbours', whether its clock is in bounds. Told when it has lasted, so that what comes and goes is not told each time;
 * and once after the start, also if all is well: what the node told before it was restarted is thereby over.
 */
import type { ClockSource } from "../../protocol/health.ts"
import { clockLimit } from "../../protocol/profiles.ts"
import { elapsed, type Instant, type Millis, millis, type NodeId } from "../../protocol/units.ts"
import type { NodeState } from "./state.ts"
import { report, type Turn } from "./turn.ts"

export type Standing = "well" | "differs" | "far" | "unsynchronised"

export interface Condition {
  /** As people know it; `undefined`: nothing was told since the start. */
  readonly told: Standing | undefined
  readonly seen: Standing
  /** Since when it is seen like that. */
  readonly since: Instant
}

export interface Conditions {
  readonly configuration: Condition
  readonly clock: Condition
}

/** A change that is under way, or a restart with another file, is over by then. */
const configurationHold = millis(10_000)
/** Twice as long as the host takes to look at a clock again. */
const clockHold = millis(60_000)
/** Five minutes: who keeps a clock needs some of them to find its sources after a start. */
const synchronisationHold = millis(300_000)
/** As with links: below this share of the limit it is well again. */
const wellBelow = 0.8

export function initialConditions(now: Instant): Conditions {
  const condition: Condition = { told: undefined, seen: "well", since: now }
  return { configuration: condition, clock: condition }
}

/** With each sample of the node's health. */
export function noteConditions(turn: Turn): void {
  const { node } = turn
  const configuration = look(
    turn,
    node.conditions.configuration,
    configurationStanding(node),
    tellConfiguration,
  )
  const clock = look(turn, node.conditions.clock, clockStanding(node), tellClock)
  node.conditions = { configuration, clock }
}

/** `undefined`: nothing can be said now, and what was seen last stands. */
function look(
  turn: Turn,
  condition: Condition,
  standing: Standing | undefined,
  tell: (turn: Turn, standing: Standing) => void,
): Condition {
  const { now } = turn
  if (standing === undefined) return { ...condition, since: now }
  const seen = standing === condition.seen ? condition : { ...condition, seen: standing, since: now }
  if (seen.told === standing || elapsed(seen.since, now) < holdOf(standing, seen.told)) return seen
  tell(turn, standing)
  return { ...seen, told: standing }
}

/** What is well again must stay so for as long as the trouble had to last. */
function holdOf(standing: Standing, told: Standing | undefined): Millis {
  switch (standing) {
    case "differs":
      return configurationHold
    case "unsynchronised":
      return synchronisationHold
    case "far":
      return clockHold
    case "well":
      return told === "differs" ? configurationHold : clockHold
  }
}

/** The odd ones of a view: those whose configuration fewer members have; of two halves the one without the coordinator. */
function configurationStanding({ view, self, peers, health, membership }: NodeState): Standing | undefined {
  if (view === undefined || membership.kind !== "operational") return undefined
  const checksumOf = (id: NodeId): string | undefined =>
    id === self.id ? health.configChecksum : peers.get(id)?.health?.configChecksum
  const told = view.members.map(checksumOf).filter((each) => each !== undefined)
  if (told.length < 2) return undefined
  const count = (checksum: string): number => told.filter((each) => each === checksum).length
  const own = count(health.configChecksum)
  const most = Math.max(...told.map(count))
  if (own < most) return "differs"
  const leading = checksumOf(view.coordinator)
  const isTie = told.some((each) => each !== health.configChecksum && count(each) === most)
  return isTie && leading !== undefined && leading !== health.configChecksum ? "differs" : "well"
}

function clockStanding({ health, config, conditions }: NodeState): Standing | undefined {
  const { clockSource, clockDeviationMicros } = health
  if (clockSource === "none") return undefined
  if (clockSource === "unsynchronised") return "unsynchronised"
  const limit = 1_000 * (config.clockLimit ?? clockLimit)
  const bound = conditions.clock.told === "far" ? limit * wellBelow : limit
  return Math.abs(clockDeviationMicros) > bound ? "far" : "well"
}

function tellConfiguration(turn: Turn, standing: Standing): void {
  const { name } = turn.node.self
  const { version, checksum } = turn.node.config
  const own = `version ${version}, ${checksum.slice(0, 8)}`
  if (standing === "well") return report(turn, "info", "configuration-agreed", name, own)
  report(turn, "warning", "configuration-mismatch", name, `${own}: services stay as they are until all agree`)
}

function tellClock(turn: Turn, standing: Standing): void {
  const { node } = turn
  const { name } = node.self
  const { clockDeviationMicros, clockSource } = node.health
  if (standing === "unsynchronised")
    return report(turn, "warning", "clock-out-of-bounds", name, "what keeps it has no source to go by")
  const limit = node.config.clockLimit ?? clockLimit
  const detail = `${deviationText(clockDeviationMicros, clockSource)}; limit ${limit} ms`
  if (standing === "well") return report(turn, "info", "clock-in-bounds", name, detail)
  report(turn, "warning", "clock-out-of-bounds", name, detail)
}

function deviationText(micros: number, source: ClockSource): string {
  const side = micros < 0 ? "behind" : "ahead of"
  return `${(Math.abs(micros) / 1_000).toFixed(1)} ms ${side} its source (${source})`
}
