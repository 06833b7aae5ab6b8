/**
 * A configuration that is a fact (SPEC LC5, LC6): stored, then taken up with all that follows from it, and told to peers that
 * do not have it. A node of another version is in no view with this one, so it is told as soon as it asks to join.
 */

import { canonicalJson } from "../../protocol/canonical.ts"
import type { ClusterConfig } from "../../protocol/cluster.ts"
import type { ConfigurationMark } from "../../protocol/frame.ts"
import {
  after,
  type Instant,
  instant,
  type Millis,
  millis,
  type NodeId,
  stretched,
} from "../../protocol/units.ts"
import { siteLayout } from "../../protocol/votes.ts"
import { giveUp } from "./activations.ts"
import type { Obligations, Prepared } from "./configuration-state.ts"
import { configureLinks } from "./link-state.ts"
import { enterGather, leaveRing } from "./membership.ts"
import { piecesMax, piecesOf, withPiece } from "./messages.ts"
import { newPeer, setPeer } from "./peers.ts"
import { updateTicket } from "./pledges.ts"
import { configurePeers } from "./session.ts"
import { type SiteMessage, sendSiteMessage } from "./site-messages.ts"
import type { NodeState, TicketState } from "./state.ts"
import { log, persist, report, type Turn, withEntry, withoutEntry } from "./turn.ts"

/** A peer that is behind is told again after this long: the pieces may have been lost. */
const tellingPause = millis(500)

/** Orders the write of what this node knows of configurations; returns its number. */
export function storeConfiguration(turn: Turn): number {
  const { node } = turn
  const { document, adopting, longest } = node.configuration
  const prepared = preparedBeyond(node, adopting?.config ?? node.config)
  return persist(turn, {
    configuration: {
      document: adopting?.document ?? document ?? null,
      prepared:
        prepared === undefined
          ? null
          : { document: prepared.document, voice: prepared.voice, ring: prepared.ring },
      longest,
    },
  })
}

function preparedBeyond(node: NodeState, { version }: ClusterConfig): Prepared | undefined {
  const { prepared } = node.configuration
  return prepared !== undefined && prepared.config.version > version ? prepared : undefined
}

/**
 * It is a fact that this configuration is active: stored first, taken up when that is done. Until then views of the old one go
 * on, so what this node has prepared is still brought into them. Older ones change nothing.
 */
export function takeUp(turn: Turn, config: ClusterConfig, document: string): void {
  const { node } = turn
  const { adopting, document: own } = node.configuration
  const known = adopting?.config ?? node.config
  // What only this node's file says gives way to what a ring has ordered.
  const isOther = own === undefined && adopting === undefined && config.checksum !== known.checksum
  if (config.version < known.version || (config.version === known.version && !isOther)) return
  node.configuration = {
    ...node.configuration,
    longest: longestOf(turn, config),
    adopting: { config, document, write: 0 },
  }
  const write = storeConfiguration(turn)
  node.configuration = { ...node.configuration, adopting: { config, document, write } }
}

/** Of both; of those before, until they are settled; and of one that was to be taken up, and is not, as this one comes first. */
function longestOf({ node, now }: Turn, { timings }: ClusterConfig): Obligations {
  const { longest, settledAt, adopting } = node.configuration
  const isRunning = adopting !== undefined || (settledAt !== undefined && settledAt > now)
  const all: readonly Obligations[] = [node.config.timings, timings, ...(isRunning ? [longest] : [])]
  return {
    lease: millis(Math.max(...all.map(({ lease }) => lease))),
    mandateTtl: millis(Math.max(...all.map(({ mandateTtl }) => mandateTtl))),
    voiceTtl: millis(Math.max(...all.map(({ voiceTtl = 0 }) => voiceTtl))),
  }
}

/** After a write: what was to be taken up and is stored. The ring of the old configuration is left for good. */
export function adoptStored(turn: Turn): void {
  const { node, now } = turn
  const { adopting } = node.configuration
  if (adopting === undefined || adopting.write > node.durable.written) return
  const { config, document } = adopting
  const before = node.config
  leaveRing(turn)
  node.configuration = {
    ...node.configuration,
    document,
    prepared: preparedBeyond(node, config),
    adopting: undefined,
    incoming: undefined,
    settledAt: settledAt(node, before, config, now),
  }
  const self = config.nodes.find(({ id }) => id === node.self.id)
  turn.effects.push({ kind: "reconfigure", config, document })
  report(turn, "info", "configuration-active", `version ${config.version}`, config.checksum.slice(0, 8))
  if (self === undefined) return leaveForGood(turn)
  node.config = config
  node.self = self
  followConfiguration(turn, before)
  enterGather(turn, "configuration-changed", undefined)
}

function settledAt(
  node: NodeState,
  before: ClusterConfig,
  next: ClusterConfig,
  now: Instant,
): Instant | undefined {
  const { settledAt: known, longest } = node.configuration
  // One that was to be taken up between the two never was.
  const { lease, mandateTtl, voiceTtl } = next.timings
  const isLonger =
    longest.lease > lease || longest.mandateTtl > mandateTtl || (longest.voiceTtl ?? 0) > voiceTtl
  const isSkipped = isLonger && (known === undefined || known <= now)
  return isSkipped || timingsDiffer(before, next) ? settlingEnd(node, now) : known
}

/** In what obligations are counted by: such a change has to settle before the next one. */
export function timingsDiffer({ timings: a }: ClusterConfig, { timings: b }: ClusterConfig): boolean {
  return a.lease !== b.lease || a.mandateTtl !== b.mandateTtl || a.voiceTtl !== b.voiceTtl
}

/** Obligations of the configuration before have run out by then. */
export function settlingEnd(node: NodeState, now: Instant): Instant {
  const { lease, mandateTtl, voiceTtl = 0 } = node.configuration.longest
  return after(now, stretched(millis(Math.max(lease, mandateTtl, voiceTtl)), node.config.timings.rho))
}

/**
 * Views without this node may have pledged the site's vote under a longer TTL than it ever had in use: it is bound for as long
 * (SPEC LC5, M4), and its amnesia lasts as long (M9).
 */
export function learnLongest(turn: Turn, mandateTtl: Millis): void {
  const { node, now } = turn
  const { longest } = node.configuration
  if (mandateTtl <= longest.mandateTtl) return
  const more = millis(mandateTtl - Math.max(longest.mandateTtl, node.config.timings.mandateTtl))
  if (node.durable.state.forgot === true && more > 0)
    node.amnesiaUntil = after(node.amnesiaUntil ?? now, stretched(more, node.config.timings.rho))
  node.configuration = { ...node.configuration, longest: { ...longest, mandateTtl } }
  node.configuration = { ...node.configuration, settledAt: settlingEnd(node, now) }
  storeConfiguration(turn)
}

function leaveForGood(turn: Turn): void {
  const { node } = turn
  report(turn, "critical", "node-removed", node.self.name, "not a node of the active configuration")
  for (const activation of node.activations.values()) {
    if (activation.phase !== "stopped" && activation.phase !== "stopping") giveUp(turn, activation, "removed")
  }
  turn.effects.push({ kind: "exit", reason: "removed from the configuration" })
}

/** All that was made of the old configuration and is not a right. */
function followConfiguration(turn: Turn, before: ClusterConfig): void {
  const { node, now } = turn
  const { config, self } = node
  const { longest } = node.configuration
  node.leaseStretched = stretched(longest.lease, config.timings.rho)
  const others = config.nodes.filter(({ id }) => id !== self.id)
  configurePeers(
    node.sessions,
    others.map(({ id }) => id),
  )
  configureLinks(node.links, self, others, now)
  node.peers = new Map(
    others.map((peer) => {
      const known = node.peers.get(peer.id)
      return [peer.id, known === undefined ? newPeer(peer, self, now) : { ...known, node: peer }]
    }),
  )
  node.health = { ...node.health, configChecksum: config.checksum.slice(0, 8) }
  // A vote that is asked for under one TTL is not counted under another, and the rest of a longer one is given up (SPEC W9).
  const less = before.timings.mandateTtl - config.timings.mandateTtl
  for (const ticket of node.tickets.keys())
    updateTicket(node, ticket, ({ votes }) => ({ requests: new Map(), votes: shortened(votes, less) }))
  node.witness = { ...node.witness, interval: config.timings.summaryInterval, nextPost: now }
}

/** As if they had been asked for under a TTL that is by so much shorter. */
function shortened(votes: TicketState["votes"], less: number): TicketState["votes"] {
  if (less <= 0) return votes
  return new Map([...votes].map(([voter, vote]) => [voter, { ...vote, until: instant(vote.until - less) }]))
}

export function markOf(node: NodeState): ConfigurationMark {
  const { version, checksum } = node.config
  const mark = {
    version,
    checksum: checksum.slice(0, 8),
    confirmed: node.configuration.document !== undefined,
  }
  // A live change has the next version: no ring has ordered the first one.
  const mayHaveChanged = node.durable.state.configurationForgot === true && version > 1
  return !mark.confirmed && mayHaveChanged ? { ...mark, forgot: true } : mark
}

/**
 * May two nodes be in one view? With the same configuration; or if neither has a configuration that a ring has ordered: files
 * differ as they may, and lock the services (SPEC S11). Who lost its record may have had one.
 */
export function compatible(a: ConfigurationMark | undefined, b: ConfigurationMark | undefined): boolean {
  // Who names none is of an older version, and of a cluster that never changed live.
  if (!isExacting(a) && !isExacting(b)) return true
  return a !== undefined && a.version === b?.version && a.checksum === b.checksum
}

/** Its sender is in a view only with nodes of the very same configuration. */
export function isExacting(mark: ConfigurationMark | undefined): boolean {
  return mark?.confirmed === true || mark?.forgot === true
}

function isSameMark(a: ConfigurationMark | undefined, b: ConfigurationMark | undefined): boolean {
  return (
    a?.version === b?.version &&
    a?.checksum === b?.checksum &&
    a?.confirmed === b?.confirmed &&
    a?.forgot === b?.forgot
  )
}

/** A peer that named its configuration: told of a newer one; and one that this node has stored already is taken up. */
export function notePeerConfiguration(turn: Turn, from: NodeId, mark: ConfigurationMark | undefined): void {
  const { node, now } = turn
  const peer = node.peers.get(from)
  if (peer === undefined) return
  if (!isSameMark(peer.configuration, mark)) setPeer(node, from, { configuration: mark })
  if (mark === undefined) return
  const { prepared, document } = node.configuration
  const same = prepared?.config.version === mark.version && prepared.config.checksum.startsWith(mark.checksum)
  if (mark.confirmed && same && prepared !== undefined)
    return takeUp(turn, prepared.config, prepared.document)
  if (!isBehind(mark, markOf(node)) || document === undefined || peer.nextTelling > now) return
  setPeer(node, from, { nextTelling: after(now, tellingPause) })
  const { checksum: of } = markOf(node)
  for (const { part, parts, text } of piecesOf("configure", document))
    sendSiteMessage(turn, from, { kind: "configuration", part, parts, text, of })
}

export function isBehind(mark: ConfigurationMark, own: ConfigurationMark): boolean {
  const isOther = !mark.confirmed && mark.checksum !== own.checksum
  return mark.version < own.version || (mark.version === own.version && isOther)
}

/** A piece of a newer configuration, told by a peer that has it as a fact. */
export function onConfigurationTold(
  turn: Turn,
  from: NodeId,
  piece: SiteMessage & { readonly kind: "configuration" },
): void {
  const { node } = turn
  if (piece.parts < 1 || piece.parts > piecesMax || piece.part < 0 || piece.part >= piece.parts) return
  const { of } = piece
  const { told } = node.configuration
  const known = told.get(from)
  const { pieces, whole } = withPiece(known?.of === of ? (known?.pieces ?? []) : [], piece)
  node.configuration = {
    ...node.configuration,
    told: whole === undefined ? withEntry(told, from, { of, pieces }) : withoutEntry(told, from),
  }
  if (whole !== undefined) takeUpTold(turn, whole, node.peers.get(from)?.sameSite ?? false)
}

/**
 * Without a witness, which orders the versions of all sites, another site's word does not change the votes of this one:
 * only its own ring does (SPEC LC6).
 */
function takeUpTold(turn: Turn, document: string, sameSite: boolean): void {
  const { node } = turn
  const config = node.readConfiguration(document)
  if (config === undefined) return log(turn, "error", "configuration-unreadable", { chars: document.length })
  const { site } = node.self
  const here = config.nodes.some((each) => each.site === site)
  const layout = (each: ClusterConfig) => canonicalJson({ ...siteLayout(each, site) })
  if (!sameSite && node.config.witness === undefined && (!here || layout(config) !== layout(node.config)))
    return log(turn, "error", "configuration-conflict", { version: config.version })
  takeUp(turn, config, document)
}

/** From the witness: what it has registered is a fact as well. */
export function onRegistered(
  turn: Turn,
  registered: { readonly version: number; readonly checksum: string; readonly document?: string | undefined },
): void {
  const { node } = turn
  const { version, checksum, document } = registered
  node.configuration = { ...node.configuration, registered: { version, checksum } }
  const config =
    version > node.config.version && document !== undefined ? node.readConfiguration(document) : undefined
  if (config?.version === version && config.checksum === checksum && document !== undefined)
    takeUp(turn, config, document)
}
