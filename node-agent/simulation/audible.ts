/** What people must hear of at a node, compared from step to step: only what has been replaced since is looked at again. */
import type { NodeId } from "../../protocol/units.ts"
import type { NodeState } from "../core/state.ts"

export interface Audible {
  readonly events: number
  readonly quarantine: string | undefined
  readonly activations: NodeState["activations"]
  readonly failed: number
  /** As coordinator only: the others leave it to that one. */
  readonly members: readonly NodeId[] | undefined
  readonly tickets: NodeState["tickets"]
  /** Which of them are held, and which are not. */
  readonly held: string
}

/** `before` itself while nothing that may show in it has changed. */
export function audibleOf(node: NodeState, before: Audible | undefined): Audible {
  const { view, activations, tickets, nextEvent: events } = node
  const { quarantine } = node.witness
  const coordinates = view?.coordinator === node.self.id && node.membership.kind === "operational"
  const members = coordinates ? view.members : undefined
  const isSame =
    before?.activations === activations &&
    before.tickets === tickets &&
    before.members === members &&
    before.events === events &&
    before.quarantine === quarantine
  if (isSame) return before
  const failed = before?.activations === activations ? before.failed : failuresIn(activations)
  const held = before?.tickets === tickets ? before.held : heldOf(tickets)
  return { events, quarantine, activations, failed, members, tickets, held }
}

/** Something changed that people must hear of, and no event came with it. */
export function isUnsaid(before: Audible, audible: Audible): boolean {
  if (audible === before || audible.events > before.events) return false
  const quarantined = audible.quarantine !== undefined && before.quarantine === undefined
  return quarantined || audible.failed > before.failed || isChanged(before, audible)
}

function isChanged(before: Audible, { members, held }: Audible): boolean {
  if (members === undefined || before.members === undefined) return false
  return held !== before.held || (members !== before.members && `${members}` !== `${before.members}`)
}

function failuresIn(activations: NodeState["activations"]): number {
  let failed = 0
  for (const activation of activations.values()) if (activation.failed) failed += 1
  return failed
}

function heldOf(tickets: NodeState["tickets"]): string {
  let held = ""
  for (const { ticket, gainedAt } of tickets.values()) held += `${ticket} ${gainedAt !== undefined} `
  return held
}

export const toldOf = ({ quarantine, failed, members, held }: Audible): string =>
  JSON.stringify({ quarantine, failed, members, held })
