/** Acts that rest on something the memo may have to say first (SPEC VL5): answering a pledge, counting one's own, telling of a release. */
import { mandateLease } from "../../protocol/lease.ts"
import { after, epoch } from "../../protocol/units.ts"
import { order } from "./ring.ts"
import { sendSiteMessage, sendToOtherSites } from "./site-messages.ts"
import type { MemoAct } from "./state.ts"
import { learnVote } from "./token-entries.ts"
import type { Turn } from "./turn.ts"

export function performAct(turn: Turn, act: MemoAct): void {
  const { node } = turn
  switch (act.kind) {
    case "own-vote":
      return countVote(turn, act.ticket, act.request, act.epoch)
    case "pledge-answer": {
      const known = node.tickets.get(act.ticket)?.knownEpoch ?? epoch(0)
      const answer = { granted: true, epoch: act.epoch, known, reason: "" }
      return sendSiteMessage(turn, act.to, {
        kind: "pledge-answer",
        id: act.request,
        ticket: act.ticket,
        ...answer,
      })
    }
    case "recorded":
      return order(turn, { kind: "recorded", node: act.node, number: act.number })
    case "release":
      return announceRelease(turn, act)
  }
}

/** A pledge to this site arrived for request `id`: it counts from the FIRST sending of that request (SPEC M2). */
export function countVote(turn: Turn, ticket: string, id: number, at: number): void {
  const { node } = turn
  const state = [...node.tickets.values()].find((each) => each.ticket === ticket)
  const request = state?.requests.get(id)
  if (request === undefined || request.epoch !== at) return
  const until = after(request.sent, node.config.timings.mandateTtl)
  learnVote(node, ticket, request.voter, { epoch: epoch(at), until, own: true })
}

/** All members know that it is given up: now the voters may. */
function announceRelease(turn: Turn, release: MemoAct & { readonly kind: "release" }): void {
  const { node } = turn
  const { ticket, epoch: at, stopped, next = null } = release
  const { site } = node.self
  sendToOtherSites(turn, { kind: "mandate-released", site, ticket, epoch: at, stopped, next })
  const by = { kind: "site", site } as const
  node.witness = {
    ...node.witness,
    urgent: true,
    releases: [
      ...node.witness.releases,
      { kind: "release", name: mandateLease(ticket), epoch: at, by, stopped },
    ],
  }
}
