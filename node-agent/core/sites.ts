/** The other sites (SPEC M8): heartbeats out and in, pledges asked for and answered, mandates released. */
import {
  after,
  earlier,
  elapsed,
  epoch,
  type Instant,
  type Millis,
  millis,
  type NodeId,
  type ServiceName,
  type SiteId,
  type Ticket,
} from "../../protocol/units.ts"
import { markOf, notePeerConfiguration, onConfigurationTold } from "./configuration-spread.ts"
import { type ActiveElsewhere, activeServices, noteActiveElsewhere } from "./dual-active.ts"
import { answerPledge } from "./mandate.ts"
import { boundTo, updateTicket } from "./pledges.ts"
import { hasMandate, hasVoice } from "./rights.ts"
import { order } from "./ring.ts"
import { heartbeatWith, parseSiteMessage, type SiteMessage, sendToOtherSites } from "./site-messages.ts"
import { countVote } from "./spoken.ts"
import type { NodeState } from "./state.ts"
import { log, report, type Turn, withEntry } from "./turn.ts"
import { beginAct } from "./view.ts"

export interface RemoteSite {
  readonly site: SiteId
  readonly heard: Instant | undefined
  readonly silent: boolean
  /** Its view's members, by its own word. */
  readonly members: readonly NodeId[]
  /** Services that are active there, by its own word. */
  readonly active: ReadonlyMap<ServiceName, ActiveElsewhere>
  /** Where its vote goes, until when no other way, and whether it holds, by its own word; for choosing when to claim. */
  readonly bound: ReadonlyMap<Ticket, Bound>
}

interface Bound {
  readonly site: SiteId
  readonly until: Instant
  readonly held: boolean
}

export function onSiteFrame(turn: Turn, from: NodeId, text: string): void {
  const sameSite = turn.node.peers.get(from)?.sameSite ?? false
  const parsed = parseSiteMessage(text)
  if (parsed.kind === "error") {
    log(turn, "warn", "site-message-malformed", { from, detail: parsed.error })
    return
  }
  const message = parsed.value
  if (message.kind === "configuration") return onConfigurationTold(turn, from, message)
  if (sameSite) return
  noteSite(turn, from)
  switch (message.kind) {
    case "heartbeat":
      noteHeartbeatMark(turn, from, message)
      return onHeartbeat(turn, message)
    case "pledge-request":
      return answerPledge(turn, from, message)
    case "pledge-answer":
      return onAnswer(turn, message)
    case "mandate-released":
      return onReleased(turn, message)
  }
}

function noteSite(turn: Turn, from: NodeId): void {
  const { node, now } = turn
  const peer = node.peers.get(from)
  const site = peer === undefined ? undefined : node.sites.get(peer.node.site)
  if (site === undefined) return
  if (site.silent) report(turn, "info", "site-reachable", site.site, "its nodes are heard again")
  node.sites = withEntry(node.sites, site.site, { ...site, heard: now, silent: false })
}

function noteHeartbeatMark(
  turn: Turn,
  from: NodeId,
  { version, checksum, confirmed }: SiteMessage & { readonly kind: "heartbeat" },
): void {
  // Every node of this site hears the heartbeat; one of them answers it.
  if (version === undefined || confirmed === undefined || !isCoordinator(turn.node)) return
  notePeerConfiguration(turn, from, { version, checksum, confirmed })
}

function onHeartbeat(turn: Turn, message: SiteMessage & { readonly kind: "heartbeat" }): void {
  const { node, now } = turn
  const site = node.sites.get(message.site)
  if (site !== undefined)
    node.sites = withEntry(node.sites, message.site, {
      ...site,
      members: message.members,
      bound: boundElsewhere(turn, message),
    })
  for (const { ticket, epoch: at, held } of message.tickets) {
    updateTicket(node, ticket, (state) => ({
      heardEpoch: epoch(Math.max(state.heardEpoch, at)),
      otherSeen: held ? now : state.otherSeen,
    }))
  }
  noteActiveElsewhere(turn, message.site, message)
}

function boundElsewhere(
  { node, now }: Turn,
  { bound = [], tickets: told }: SiteMessage & { readonly kind: "heartbeat" },
): RemoteSite["bound"] {
  const { sites, tickets } = node.config
  return new Map(
    bound.flatMap(([ticket, to, remaining]) => {
      const [name, site] = [tickets[ticket]?.name, sites[to]?.name]
      if (name === undefined || site === undefined) return []
      const held = told.some((each) => each.ticket === name && each.held)
      return [[name, { site, until: after(now, remaining), held }]]
    }),
  )
}

/** Where this site's vote is bound, as positions in the configuration. */
function boundHere({ node, now }: Turn): readonly (readonly [number, number, Millis])[] {
  const { sites, tickets } = node.config
  return tickets.flatMap(({ name }, ticket) => {
    const state = node.tickets.get(name)
    const pledge = state === undefined ? undefined : boundTo(state, now)
    if (pledge === undefined) return []
    const to = sites.findIndex((site) => site.name === pledge.site)
    return [[ticket, to, millis(Math.ceil(elapsed(now, pledge.until)))] as const]
  })
}

/** A pledge counts from the first sending of the request; a refusal tells of an epoch to rise above. */
function onAnswer(turn: Turn, message: SiteMessage & { readonly kind: "pledge-answer" }): void {
  const { node, now } = turn
  if (message.granted) return countVote(turn, message.ticket, message.id, message.epoch)
  log(turn, "debug", "pledge-refused", { ticket: message.ticket, reason: message.reason })
  const state = node.tickets.get(message.ticket)
  if (state === undefined || hasMandate(node, state, now)) return
  updateTicket(node, message.ticket, () => ({
    heardEpoch: epoch(Math.max(state.heardEpoch, message.known)),
    // Of this claim, not of an earlier one whose answer comes late.
    ...(message.reason === "epoch-too-low" && message.epoch === state.epoch
      ? { epoch: epoch(0), nextClaim: now }
      : {}),
  }))
}

/** The holder gave up: this site's vote is free again, and if it was named it may claim at once. */
function onReleased(turn: Turn, message: SiteMessage & { readonly kind: "mandate-released" }): void {
  const { node, now } = turn
  const { ticket, site, epoch: at, stopped, next } = message
  forgetBound(node, ticket, site)
  updateTicket(node, ticket, () => (next === node.self.site ? { otherSeen: undefined, nextClaim: now } : {}))
  if (node.view?.coordinator !== node.self.id || !hasVoice(node, now)) return
  if (beginAct(node, `unpledge:${ticket}:${at}`))
    order(turn, { kind: "unpledge", ticket, site, epoch: at, stopped, next: undefined })
}

/** Votes that were bound to a site which gave up are free, whatever their last heartbeats said. */
function forgetBound(node: NodeState, ticket: Ticket, to: SiteId): void {
  for (const each of node.sites.values()) {
    if (each.bound.get(ticket)?.site !== to) continue
    const bound = new Map([...each.bound].filter(([name]) => name !== ticket))
    node.sites = withEntry(node.sites, each.site, { ...each, bound })
  }
}

/** The coordinator's heartbeat to the other sites, and who of them has fallen silent. */
export function tickSites(turn: Turn): void {
  const { node, now } = turn
  if (node.sites.size === 0) return
  for (const site of node.sites.values()) {
    const silent = site.heard !== undefined && elapsed(site.heard, now) > node.config.timings.wanSilent
    if (!silent || site.silent) continue
    node.sites = withEntry(node.sites, site.site, { ...site, silent: true })
    if (isCoordinator(node))
      report(turn, "warning", "site-unreachable", site.site, "none of its nodes is heard")
  }
  if (node.nextWanHeartbeat > now || !isCoordinator(node)) return
  node.nextWanHeartbeat = after(now, node.config.timings.wanHeartbeat)
  const tickets = [...node.tickets.values()].map((state) => {
    return {
      ticket: state.ticket,
      epoch: state.heardEpoch,
      held: hasVoice(node, now) && hasMandate(node, state, now),
    }
  })
  const { version, checksum, confirmed } = markOf(node)
  const heartbeat = {
    kind: "heartbeat",
    site: node.self.site,
    version,
    checksum,
    confirmed,
    members: node.view?.members ?? [],
    tickets,
    bound: boundHere(turn),
  } as const
  sendToOtherSites(turn, heartbeatWith(heartbeat, activeServices(turn)))
}

function isCoordinator(node: NodeState): boolean {
  return node.membership.kind === "operational" && node.view?.coordinator === node.self.id
}

export function nextSiteWork(node: NodeState): Instant | undefined {
  if (node.sites.size === 0) return undefined
  let next = isCoordinator(node) ? node.nextWanHeartbeat : undefined
  for (const { heard, silent } of node.sites.values())
    if (!silent && heard !== undefined) next = earlier(next, after(heard, node.config.timings.wanSilent))
  return next
}
