/** The rights that a node exercises, as intervals in true time: what overlaps would be exercised by two. */
import { type RingId, ringKey, sameRing } from "../../protocol/units.ts"
import { mandateUntil, needsMandate, voiceUntil } from "../core/rights.ts"
import type { NodeState } from "../core/state.ts"
import { type Host, trueTime } from "./machine.ts"

export interface Right {
  /** `voice:<site>` or `ticket:<name>`. */
  readonly name: string
  readonly from: number
  readonly until: number
  /** Who exercises it: the view of a ring speaks for its site, a site has a ticket. */
  readonly by: RingId | string
}

/** What it exercises if nothing else happens. `voiceName`: of the voice of its site, made once. */
export function rightsOf(host: Host, node: NodeState, voiceName: string, now: number): readonly Right[] {
  const rights: Right[] = []
  const voice = voiceUntil(node)
  if (voice === undefined || node.view === undefined) return rights
  const from = Math.max(now, trueTime(host, node.view.activateAt))
  const until = trueTime(host, voice)
  if (until <= from) return rights
  rights.push({ name: voiceName, from, until, by: node.view.ring })
  for (const state of node.tickets.values()) {
    const mandate = needsMandate(node, state.ticket) ? mandateUntil(node, state) : undefined
    if (mandate === undefined) continue
    rights.push({
      name: `ticket:${state.ticket}`,
      from,
      until: Math.min(until, trueTime(host, mandate)),
      by: host.site,
    })
  }
  return rights
}

export function isOneHolder({ by: a }: Right, { by: b }: Right): boolean {
  return typeof a === "string" || typeof b === "string" ? a === b : sameRing(a, b)
}

export function holderOf({ by }: Right): string {
  return typeof by === "string" ? by : `ring ${ringKey(by)}`
}
