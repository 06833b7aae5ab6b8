/**
 * What rides on the token besides ordered messages (SPEC L8, W11): rights as remaining durations, tags of witness leases,
 * health. Each entry is rewritten or removed by its owner at each visit.
 */
import { sameBytes } from "../../protocol/bytes.ts"
import type { HealthSlot, RightEntry, TokenFrame, WatchEntry } from "../../protocol/frame.ts"
import { fitting, inTurn } from "../../protocol/frame-fields.ts"
import { decodeHealth, encodeHealth, type HealthEntry } from "../../protocol/health.ts"
import type { LeaseName } from "../../protocol/lease.ts"
import { tokenLists } from "../../protocol/token-frame.ts"
import { after, elapsed, epoch, type Instant, sameRing, ticketName } from "../../protocol/units.ts"
import { setPeer } from "./peers.ts"
import type { TokenEntries, TokenVisit } from "./ring.ts"
import type { NodeState, Vote } from "./state.ts"
import { type Turn, withEntry } from "./turn.ts"
import { noteWatch } from "./watch.ts"

/** Rights count from this node's own previous sending on this ring; health and tags from now. */
export function learnEntries(turn: Turn, visit: TokenVisit): void {
  const { node } = turn
  for (const entry of visit.token.rights) {
    if (entry.owner !== node.self.id && visit.previousSending !== undefined)
      learnRight(turn, entry, visit.previousSending)
  }
  for (const entry of visit.token.watches) {
    if (entry.owner !== node.self.id)
      noteWatch(turn, entry.name as LeaseName, { epoch: epoch(entry.epoch), seq: entry.seq }, entry.witness)
  }
  for (const slot of visit.token.health) {
    const health = decodeHealth(slot.bytes)
    if (slot.owner !== node.self.id && health.kind === "ok")
      setPeer(node, slot.owner, { health: health.value })
  }
}

function learnRight({ node, now }: Turn, entry: RightEntry, from: Instant): void {
  const until = after(from, entry.remaining)
  if (entry.right === "voice") {
    const { view, ring } = node
    if (view === undefined || ring === undefined || !sameRing(view.ring, ring.id) || view.voice.own) return
    // What others must have waited for counts from receipt, and anew when the voice was lost and got back.
    const isKnown = view.voice.epoch === entry.epoch
    const grantedAt = isKnown ? (view.voice.grantedAt ?? now) : now
    // How another one was come by this node does not know, whatever it knows of its own former one.
    const waitedOut = !isKnown || view.voice.waitedOut
    node.view = {
      ...view,
      voice: { deadline: until, own: false, epoch: epoch(entry.epoch), grantedAt, waitedOut },
    }
    return
  }
  const [, ticket, voter] = /^vote:([^:]+):(.+)$/.exec(entry.right) ?? []
  if (ticket !== undefined && voter !== undefined) {
    learnVote(node, ticket, voter, { epoch: epoch(entry.epoch), until, own: false })
  }
}

/** A vote pledged to this site, learnt from a member. What this node learnt itself stays, unless it is older. */
export function learnVote(node: NodeState, ticket: string, voter: string, vote: Vote): void {
  const name = ticketName(ticket)
  const state = node.tickets.get(name)
  if (state === undefined || vote.epoch <= state.givenUp) return
  const known = state.votes.get(voter)
  const better =
    known === undefined ||
    vote.epoch > known.epoch ||
    (vote.epoch === known.epoch && vote.until > known.until)
  if (!better) return
  const claimed = vote.epoch > state.epoch ? { epoch: vote.epoch, gainedAt: undefined, proven: [] } : {}
  node.tickets = withEntry(node.tickets, name, {
    ...state,
    ...claimed,
    votes: withEntry(state.votes, voter, vote),
  })
}

export function entriesFor(turn: Turn, token: TokenFrame): TokenEntries {
  const { node } = turn
  const own = node.self.id
  const visit = Math.floor(token.number / (node.ring?.members.length ?? 1))
  return {
    rights: fitting(
      [...token.rights.filter((entry) => entry.owner !== own), ...inTurn(ownRights(turn), visit)],
      tokenLists.rights,
    ),
    watches: fitting(
      [...token.watches.filter((entry) => entry.owner !== own), ...inTurn(ownWatches(node), visit)],
      tokenLists.watches,
    ),
    health: withOwnHealth(node, token),
  }
}

function ownRights(turn: Turn): readonly RightEntry[] {
  const { node, now } = turn
  const owner = node.self.id
  const entries: RightEntry[] = []
  const voice = node.view?.voice
  if (voice?.own && voice.deadline !== undefined && voice.deadline > now) {
    entries.push({ owner, right: "voice", epoch: voice.epoch, remaining: elapsed(now, voice.deadline) })
  }
  for (const state of node.tickets.values()) {
    for (const [voter, vote] of state.votes) {
      if (!vote.own || vote.until <= now || vote.epoch !== state.epoch) continue
      entries.push({
        owner,
        right: `vote:${state.ticket}:${voter}`,
        epoch: vote.epoch,
        remaining: elapsed(now, vote.until),
      })
    }
  }
  return entries
}

/** Only who talks to the witness tells its tags, so that one change is told once. */
function ownWatches(node: NodeState): readonly WatchEntry[] {
  if (node.view?.coordinator !== node.self.id) return []
  return [...node.witness.watches].map(([name, watch]) => {
    return {
      owner: node.self.id,
      name,
      witness: watch.witness.slice(0, 8),
      epoch: watch.epoch,
      seq: watch.seq,
    }
  })
}

/** Own health when it changed, and otherwise in turn. */
function withOwnHealth(node: NodeState, token: TokenFrame): readonly HealthSlot[] {
  const slots = token.health.filter((slot) => slot.owner !== node.self.id)
  const { ring, health, activations } = node
  if (ring === undefined) return slots
  const told = ring.healthTold
  const myTurn =
    Math.floor(token.number / ring.members.length) % (4 * ring.members.length) ===
    ring.members.indexOf(node.self.id)
  if (told?.health === health && told.activations === activations && !myTurn) return slots
  const bytes = encodeHealth({ ...health, services: serviceHealth(node) })
  const isKnown = told !== undefined && sameBytes(bytes, told.bytes)
  const all =
    isKnown && !myTurn ? slots : fitting([...slots, { owner: node.self.id, bytes }], tokenLists.health)
  if (isKnown || all.length > slots.length)
    node.ring = { ...ring, healthTold: { bytes, health, activations } }
  return all
}

function serviceHealth(node: NodeState): HealthEntry["services"] {
  return node.config.services.flatMap(({ name, mode }, index) => {
    const phase = node.activations.get(name)?.phase
    return phase === undefined || phase === "unknown" ? [] : [{ index, state: phase, mode }]
  })
}
