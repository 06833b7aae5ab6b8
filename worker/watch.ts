/**
 * What the witness notices about a cluster, for alerts and the dashboard: who was heard when, which nodes their site calls
 * down, and the events that follow when that changes. Pure, and without any power: no lease rests on anything here, the
 * wall clock included (SPEC W3).
 *
 * A site that stays silent for `dead_man_ms` raises `site-silent` once, and `site-back` when it is heard again. "Not heard"
 * after a restart of the object is not "silent": the object may have been away itself. So what is recalled from storage
 * first gets one whole period (`assumed`), and that is stored, or an object that is woken by its alarm only would begin
 * anew each time.
 *
 *   heard, recalled, assumed, silent  -- post --------------------> heard      (silent: site-back)
 *   heard                             -- object restarts ---------> recalled
 *   heard, assumed                    -- dead_man_ms without post -> silent     (site-silent)
 *   recalled                          -- dead_man_ms without post -> assumed
 */

import type { LeaseHolder } from "../protocol/lease.ts"
import type { PeerState, Summary } from "../protocol/summaries.ts"
import type { Epoch, Incarnation, NodeId, SiteId, WallTime } from "../protocol/units.ts"
import { wallTime } from "../protocol/units.ts"
import type { PlacedEvent } from "./alerts/incidents.ts"
import { nameOfNode } from "./alerts/places.ts"
import { type ArbiterState, entryOf, isSetBack } from "./arbiter.ts"
import { siteOf, type WitnessConfiguration } from "./configuration.ts"
import { noteServices, type ServiceWatches } from "./service-watch.ts"

export interface SiteWatch {
  readonly kind: "heard" | "recalled" | "assumed" | "silent"
  /** When it was last heard, or taken as heard; `silent`: when it was last heard. */
  readonly at: WallTime
  /** Ring sequence of the view whose reports count: of two halves of a site one speaks about its nodes. */
  readonly speaker: number
  readonly speakerAt: WallTime
  /** `lost`: told as an event. `heldAt`: when a view of it last said that it speaks for the site. */
  readonly voice?: { readonly kind: "held" | "lost"; readonly heldAt: WallTime } | undefined
}

export interface NodeWatch {
  /** As its site reports it; `undefined` until then. */
  readonly state: PeerState | undefined
  /** When its own last document came. */
  readonly heardAt: WallTime | undefined
  /** While it was last alive; `undefined`: its site does not say. */
  readonly incarnation?: Incarnation | undefined
}

export interface Watch {
  readonly sites: Readonly<Record<string, SiteWatch>>
  readonly nodes: Readonly<Record<string, NodeWatch>>
  /** Absent in records of earlier versions. */
  readonly services?: ServiceWatches | undefined
}

export interface Watched {
  readonly watch: Watch
  readonly events: readonly PlacedEvent[]
}

export const emptyWatch: Watch = { sites: {}, nodes: {} }

/** The watch as a restarted object finds it in storage: it does not know what was heard since. */
export function recalled(watch: Watch): Watch {
  const sites = Object.entries(watch.sites).map(([site, each]) => {
    return [site, each.kind === "heard" ? { ...each, kind: "recalled" as const } : each] as const
  })
  return { ...watch, sites: Object.fromEntries(sites) }
}

/** Takes a genuine, current summary into account. */
export function noteSummary(
  watch: Watch,
  configuration: WitnessConfiguration,
  summary: Summary,
  now: WallTime,
): Watched {
  const known = watch.sites[summary.site]
  const events: PlacedEvent[] = []
  if (known?.kind === "silent") events.push(siteBack(summary.site, known.at, now))
  const speaks = isSpeaker(known, configuration, summary, now)
  const { voice, events: voiceEvents } = noteVoice(known?.voice, summary, now)
  events.push(...voiceEvents)
  const site: SiteWatch = {
    kind: "heard",
    at: now,
    speaker: speaks ? (summary.view?.ring.sequence ?? 0) : (known?.speaker ?? 0),
    speakerAt: speaks || known === undefined ? now : known.speakerAt,
    voice,
  }
  let nodes: Watch["nodes"] = {
    ...watch.nodes,
    [summary.node]: { ...watch.nodes[summary.node], state: watch.nodes[summary.node]?.state, heardAt: now },
  }
  for (const { node, state, incarnation } of speaks ? summary.state.nodes : []) {
    if (siteOf(configuration, node) !== summary.site) continue
    const before = nodes[node]
    const moved = { node, before, after: state, name: nameOfNode(configuration, node) }
    events.push(...nodeMoved(moved, { summary, now }))
    const alive = state === "alive" ? incarnation : undefined
    nodes = {
      ...nodes,
      [node]: { state, heardAt: before?.heardAt, incarnation: alive ?? before?.incarnation },
    }
  }
  const noted = noteServices(
    watch.services ?? {},
    speaks ? summary : { ...summary, state: { ...summary.state, services: [] } },
    (node) => nameOfNode(configuration, node),
    now,
  )
  events.push(...noted.events)
  return {
    watch: { sites: { ...watch.sites, [summary.site]: site }, nodes, services: noted.services },
    events,
  }
}

/** Which sites have been silent for too long at `now`. */
export function checkSilence(watch: Watch, configuration: WitnessConfiguration, now: WallTime): Watched {
  const events: PlacedEvent[] = []
  const sites = { ...watch.sites }
  for (const site of configuration.sites) {
    const known = sites[site]
    if (known === undefined || known.kind === "silent" || now - known.at < configuration.dead_man_ms) continue
    if (known.kind === "recalled") {
      sites[site] = { ...known, kind: "assumed", at: now }
      continue
    }
    sites[site] = { ...known, kind: "silent" }
    events.push(siteSilent(site, known.at, now))
  }
  return { watch: { ...watch, sites }, events }
}

/** When to look for silence next; `undefined` if no site is watched that could still become silent. */
export function nextSilenceCheck(watch: Watch, configuration: WitnessConfiguration): WallTime | undefined {
  const deadlines = configuration.sites.flatMap((site) => {
    const known = watch.sites[site]
    return known === undefined || known.kind === "silent" ? [] : [known.at + configuration.dead_man_ms]
  })
  return deadlines.length === 0 ? undefined : wallTime(Math.min(...deadlines))
}

/** One event for each lease that was given to somebody, or given up. */
export function leaseMoves(before: ArbiterState, after: ArbiterState, now: WallTime): readonly PlacedEvent[] {
  return Object.values(after.leases).flatMap((entry) => {
    const { epoch, grant } = entryOf(before, entry.name)
    if (entry.epoch === epoch && (entry.grant === undefined) === (grant === undefined)) return []
    const [right] = entry.name.split(":")
    const moved = entry.grant !== undefined
    return [
      {
        id: `${right}-${moved ? "granted" : "released"}:${entry.name}:${entry.epoch}`,
        kind: `${right}-${moved ? "granted" : "released"}`,
        subject: entry.name,
        severity: "info",
        at: now,
        detail: moved ? `epoch ${entry.epoch}: ${holderText(entry.grant?.holder)}` : `epoch ${entry.epoch}`,
      },
      ...mandateMoved(entry.name, grant?.holder, entry.grant?.holder, { epoch: entry.epoch, now }),
    ]
  })
}

/** A node has seen a higher tag than is stored: the object was restored or recreated (W6). Nodes judge; this pages. */
export function rollbackSeen(state: ArbiterState, summary: Summary, now: WallTime): readonly PlacedEvent[] {
  return summary.highest.flatMap((seen) => {
    if (!isSetBack(state, seen)) return []
    const { name } = seen
    const stored = entryOf(state, name)
    return [
      {
        id: `witness-rolled-back:${name}:${seen.epoch}-${seen.seq}`,
        kind: "witness-rolled-back",
        subject: name,
        severity: "critical",
        at: now,
        detail: `node ${summary.node} saw (${seen.epoch}, ${seen.seq}); stored is (${stored.epoch}, ${stored.seq})`,
      },
    ]
  })
}

/** The view with the highest ring sequence speaks for the site, until it has not been heard for a dead-man period. */
function isSpeaker(
  known: SiteWatch | undefined,
  configuration: WitnessConfiguration,
  { view }: Summary,
  now: WallTime,
): boolean {
  if (view === undefined) return false
  if (known === undefined || view.ring.sequence >= known.speaker) return true
  return now - known.speakerAt > configuration.dead_man_ms
}

interface NodeMove {
  readonly node: NodeId
  readonly name: string
  readonly before: NodeWatch | undefined
  readonly after: PeerState
}

interface Report {
  readonly summary: Summary
  readonly now: WallTime
}

function nodeMoved(
  { node, name, before, after }: NodeMove,
  { summary, now }: Report,
): readonly PlacedEvent[] {
  const wentDown = after === "down" && before?.state !== "down" && before?.state !== undefined
  const cameUp = after === "alive" && before?.state === "down"
  if (!wentDown && !cameUp) return []
  const kind = wentDown ? "node-down" : "node-up"
  const sequence = summary.view?.ring.sequence ?? 0
  return [
    {
      id: `${kind}:${node}:${sequence}-${summary.incarnation}`,
      kind,
      subject: name,
      severity: wentDown ? "critical" : "info",
      at: now,
      detail: `reported by site ${summary.site}, ring sequence ${sequence}`,
      // As the nodes that lost it call it.
      cause: before?.incarnation === undefined ? undefined : `i${before.incarnation}`,
      site: summary.site,
      node: name,
    },
  ]
}

/** A view without voice is no news while another of the site has it, or had it until just now. */
const voiceGraceMs = 10_000

function noteVoice(
  known: SiteWatch["voice"],
  { site, view, state }: Summary,
  now: WallTime,
): { readonly voice: SiteWatch["voice"]; readonly events: readonly PlacedEvent[] } {
  const sequence = view?.ring.sequence ?? 0
  const event = (kind: "voice-lost" | "voice-gained"): PlacedEvent => ({
    id: `${kind}:${site}:${sequence}-${now}`,
    kind,
    subject: site,
    severity: kind === "voice-lost" ? "critical" : "info",
    at: now,
    detail: `ring sequence ${sequence}`,
    cause: `r${sequence}`,
    site,
  })
  if (state.voice === "held") {
    const events = known?.kind === "lost" ? [event("voice-gained")] : []
    return { voice: { kind: "held", heldAt: now }, events }
  }
  if (known?.kind !== "held" || now - known.heldAt < voiceGraceMs) return { voice: known, events: [] }
  return { voice: { ...known, kind: "lost" }, events: [event("voice-lost")] }
}

function siteSilent(site: SiteId, heardAt: WallTime, now: WallTime): PlacedEvent {
  return {
    id: `site-silent:${site}:${heardAt}`,
    kind: "site-silent",
    subject: site,
    severity: "critical",
    at: now,
    detail: `no node of the site has posted for ${Math.round((now - heardAt) / 1_000)} s`,
    site,
  }
}

function siteBack(site: SiteId, heardAt: WallTime, now: WallTime): PlacedEvent {
  return {
    id: `site-back:${site}:${heardAt}`,
    kind: "site-back",
    subject: site,
    severity: "info",
    at: now,
    detail: `heard again after ${Math.round((now - heardAt) / 1_000)} s`,
    site,
  }
}

/** A mandate that went to another site without having been given up. */
function mandateMoved(
  name: string,
  from: LeaseHolder | undefined,
  to: LeaseHolder | undefined,
  { epoch, now }: { readonly epoch: Epoch; readonly now: WallTime },
): readonly PlacedEvent[] {
  if (from?.kind !== "site" || to?.kind !== "site" || from.site === to.site) return []
  const ticket = name.slice(name.indexOf(":") + 1)
  return [
    {
      id: `mandate-moved:${ticket}:${epoch}`,
      kind: "mandate-moved",
      subject: ticket,
      severity: "warning",
      at: now,
      detail: `from site ${from.site} to site ${to.site}, epoch ${epoch}`,
      cause: `e${epoch}`,
      // Of the site that lost it: what is wrong there explains it.
      site: from.site,
    },
  ]
}

function holderText(holder: LeaseHolder | undefined): string {
  if (holder === undefined) return "nobody"
  if (holder.kind === "site") return `site ${holder.site}`
  return `view ${holder.ring.sequence} of nodes ${holder.members.join(", ")}`
}
