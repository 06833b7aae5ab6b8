/**
 * What must hold in every state, in true time, from the nodes' states and lease files alone: SPEC I1 to I4, and L4, on which
 * they rest: no ring lease outlasts what a former member waits for.
 */
import { mandateUntil, needsMandate, voiceUntil } from "../../node-agent/core/rights.ts"
import { ringKey } from "../../protocol/units.ts"
import { compareEpochs } from "../support/cluster/ledger.ts"
import { margin } from "./clusters.ts"
import { type Machine, type Model, trueTime } from "./model.ts"

/** After a step of `machine`; what is violated, in words. */
export function violationsAfter(
  machine: Machine,
  machines: readonly Machine[],
  now: number,
): readonly string[] {
  return machines.flatMap((other) =>
    other.id === machine.id
      ? []
      : [
          ...leasesAtOnce(machine, other, now),
          ...rightsAtOnce(machine, other, now),
          ...statesApart(machine, other),
          ...leaseBeyondDebt(machine, other),
          ...leaseBeyondDebt(other, machine),
        ],
  )
}

/** Between two states that follow each other: an activation whose epoch does not rise. */
export function fallenEpochs(before: Model["activations"], after: Model["activations"]): readonly string[] {
  return [...after].flatMap(([service, { epoch, node }]) => {
    const last = before.get(service)
    if (last === undefined || (last.epoch === epoch && last.node === node)) return []
    if (compareEpochs(epoch, last.epoch) > 0) return []
    return [`I3 ${service}: ${epoch} on node ${node} after ${last.epoch} on node ${last.node}`]
  })
}

function leasesAtOnce(a: Machine, b: Machine, now: number): readonly string[] {
  return [...a.leases].flatMap(([service, mine]) => {
    const theirs = b.leases.get(service)
    if (theirs === undefined) return []
    // For its margin after its deadline a service may still act.
    const surelyGone = ({ until }: typeof mine, { running }: Machine) =>
      until + (running.has(service) ? margin : 0)
    if (Math.min(surelyGone(mine, a), surelyGone(theirs, b)) <= now + rounding) return []
    return [`I1 ${service}: node ${a.id} (${mine.epoch}) and node ${b.id} (${theirs.epoch})`]
  })
}

/** L4: a member's ring lease is over when the debt of who left the ring is. */
function leaseBeyondDebt(member: Machine, former: Machine): readonly string[] {
  const ring = member.node?.ring
  if (ring?.lease === undefined) return []
  const key = ringKey(ring.id)
  const debt = former.node?.debts.find((each) => each.key === key)
  if (debt === undefined) return []
  const [lease, end] = [trueTime(member, ring.lease), trueTime(former, debt.end)]
  if (lease <= end + rounding) return []
  return [
    `L4 ring ${key}: node ${member.id} until ${lease.toFixed(1)}, node ${former.id} waits until ${end.toFixed(1)}`,
  ]
}

/** Milliseconds that a clock's offset costs in the last digits. */
const rounding = 0.001

interface Right {
  readonly from: number
  readonly until: number
  readonly by: string
}

function rightsAtOnce(a: Machine, b: Machine, now: number): readonly string[] {
  const theirs = rightsOf(b, now)
  return [...rightsOf(a, now)].flatMap(([name, mine]) => {
    const other = theirs.get(name)
    if (other === undefined || other.by === mine.by) return []
    const overlap = Math.min(mine.until, other.until) - Math.max(mine.from, other.from)
    if (overlap <= rounding) return []
    return [`I2 ${name}: node ${a.id} as ${mine.by} and node ${b.id} as ${other.by}`]
  })
}

/** What a node exercises if nothing else happens, in true time. */
function rightsOf(machine: Machine, now: number): ReadonlyMap<string, Right> {
  const rights = new Map<string, Right>()
  const { node } = machine
  const voice = node === undefined ? undefined : voiceUntil(node)
  if (node?.view === undefined || voice === undefined) return rights
  const from = Math.max(now, trueTime(machine, node.view.activateAt))
  const until = trueTime(machine, voice)
  if (until <= from) return rights
  rights.set(`voice:${machine.site}`, { from, until, by: `ring ${ringKey(node.view.ring)}` })
  for (const state of node.tickets.values()) {
    const mandate = needsMandate(node, state.ticket) ? mandateUntil(node, state) : undefined
    if (mandate === undefined) continue
    const end = Math.min(until, trueTime(machine, mandate))
    rights.set(`ticket:${state.ticket}`, { from, until: end, by: machine.site })
  }
  return rights
}

/** Members of one view that have delivered the same messages have the same state. */
function statesApart(a: Machine, b: Machine): readonly string[] {
  const [mine, theirs] = [a.node, b.node]
  if (mine?.view === undefined || theirs?.view === undefined || mine.ordered === theirs.ordered) return []
  if (ringKey(mine.view.ring) !== ringKey(theirs.view.ring)) return []
  const { number } = mine.ordered
  if (number.ring !== theirs.ordered.number.ring || number.seq !== theirs.ordered.number.seq) return []
  if (JSON.stringify(mine.ordered) === JSON.stringify(theirs.ordered)) return []
  return [`I4 nodes ${a.id} and ${b.id} differ after ${number.ring}.${number.seq}`]
}
