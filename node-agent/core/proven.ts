/**
 * Services whose proofs were complete since the mandate was gained (SPEC S2): no other site can have acted since, for as long as it is
 * held without a break. What loses the mandate empties the list (`trackMandates`).
 */
import type { ServiceName } from "../../protocol/units.ts"
import type { Message } from "./messages.ts"
import { mandateOf } from "./placement.ts"
import { updateTicket } from "./pledges.ts"
import type { NodeState, TicketState } from "./state.ts"
import type { Turn } from "./turn.ts"

/** At the delivery of an assignment, which rests on proof. */
export function noteAssigned(
  { node }: Turn,
  { service, mandate }: Message & { readonly kind: "assign" },
): void {
  for (const state of node.tickets.values()) {
    if (state.gainedAt === undefined || state.epoch !== mandate) continue
    const isOfTicket = servicesOf(node, state).includes(service)
    if (isOfTicket) addProven(node, state, [service])
  }
}

/** In a new view: an assignment that stands vouches for itself, and its services go on to need none once they have stopped. */
export function noteStanding({ node }: Turn): void {
  for (const state of node.tickets.values()) {
    if (state.gainedAt === undefined) continue
    const standing = servicesOf(node, state).filter((name) => {
      const assignment = node.ordered.services.find(({ service }) => service === name)?.assignment
      return assignment !== undefined && mandateOf(assignment.epoch) === state.epoch
    })
    addProven(node, state, standing)
  }
}

function servicesOf(node: NodeState, { ticket }: TicketState): readonly ServiceName[] {
  return node.config.services.filter((service) => service.ticket === ticket).map(({ name }) => name)
}

function addProven(node: NodeState, { ticket }: TicketState, services: readonly ServiceName[]): void {
  updateTicket(node, ticket, ({ proven }) => ({ proven: [...new Set([...proven, ...services])] }))
}
