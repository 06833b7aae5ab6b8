/**
 * Reports as texts (SPEC R10). Most of what members bring into a view is the same, and a report rides the token for a
 * whole rotation: thirty whole ones would take thirty rotations. So the representative orders a whole one, and the others,
 * once they have received it, order what differs from it: of a debt that it has too, only what is left of it; of services, those that it
 * does not simply have stopped.
 */
import { millis } from "../../protocol/units.ts"
import type { ReportedDebt } from "./debts.ts"
import type { Report } from "./report.ts"
import { asciiJson, parseJson } from "./shaped.ts"

/** Hundredths of a millisecond: what is left of an obligation is told rounded up. */
const finest = 100

type Fields = Readonly<Record<string, unknown>>
/** A debt, or the place of one that the representative told, with what is left of it. */
type ToldDebt = ReportedDebt | readonly [place: number, remaining: number]

/** `like`: the representative's report, for those who have it; undefined: whole. */
export function encodeReport(report: Report, like: Report | undefined): string {
  const { debts, phases, ...rest } = report
  if (like === undefined)
    return asciiJson({
      ...rest,
      phases,
      debts: debts.map((debt) => ({ ...debt, remaining: roundedUp(debt) })),
    })
  const known = new Map(Object.entries(like).map(([name, value]) => [name, JSON.stringify(value)]))
  const differing = Object.entries(rest).filter(([name, value]) => known.get(name) !== JSON.stringify(value))
  const told = debts.map((debt) => toldDebt(debt, like.debts))
  const notStopped = phases.filter((each) => !isPlain(each))
  return asciiJson({
    like: true,
    // What the representative has and this node has not is told as null.
    ...Object.fromEntries(differing.map(([name, value]) => [name, value ?? null])),
    ...(told.length > 0 ? { debts: told } : {}),
    ...(notStopped.length > 0 ? { phases: notStopped } : {}),
  })
}

type ToldPhase = Report["phases"][number]

/** Stopped, and nothing to add. */
function isPlain({ phase, epoch, reason }: ToldPhase): boolean {
  return phase === "stopped" && epoch === null && reason === ""
}

/** All members have the same services: those not told of are stopped. */
function heardPhases(told: readonly ToldPhase[], like: Report): Report["phases"] {
  return like.phases.map(({ service }) => {
    const heard = told.find((each) => each.service === service)
    return heard ?? { service, phase: "stopped", epoch: null, reason: "" }
  })
}

function toldDebt(debt: ReportedDebt, known: readonly ReportedDebt[]): ToldDebt {
  const place = known.findIndex(
    ({ key, members }) => key === debt.key && JSON.stringify(members) === JSON.stringify(debt.members),
  )
  const remaining = roundedUp(debt)
  return place >= 0 ? [place, remaining] : { ...debt, remaining }
}

function roundedUp({ remaining }: ReportedDebt): ReportedDebt["remaining"] {
  return millis(Math.ceil(remaining * finest) / finest)
}

/** The report that `text` stands for; undefined: it is none, or like one that is not there. */
export function decodeReport(text: string, like: Report | undefined): Report | undefined {
  const value = parseJson(text)
  if (typeof value !== "object" || value === null) return undefined
  const fields: Fields = { ...value }
  if (fields.like !== true) return isReport(fields) ? fields : undefined
  if (like === undefined) return undefined
  const told = Array.isArray(fields.debts) ? (fields.debts as readonly ToldDebt[]) : []
  const debts = told.map((debt) => heardDebt(debt, like.debts))
  const phases = heardPhases(Array.isArray(fields.phases) ? (fields.phases as ToldPhase[]) : [], like)
  const { like: _, ...differing } = fields
  const report = { ...like, ...differing, debts, phases }
  return debts.includes(undefined) || !isReport(report) ? undefined : report
}

function heardDebt(debt: ToldDebt, known: readonly ReportedDebt[]): ReportedDebt | undefined {
  if (!("length" in debt)) return debt
  const [place, remaining] = debt
  const same = known[place]
  return same === undefined ? undefined : { ...same, remaining: millis(remaining) }
}

/** Members are authenticated: the parts that arithmetic rests on are checked. */
function isReport(value: Fields): value is Fields & Report {
  const lists = [value.debts, value.tickets, value.phases, value.live]
  return lists.every(Array.isArray) && typeof value.ordered === "object" && typeof value.amnesia === "number"
}
