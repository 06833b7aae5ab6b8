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

import type { LeaseHolder, LeaseTag } from "../protocol/lease.ts"
import type { PeerState, ReportedEvent, Summary } from "../protocol/summaries.ts"
import type { NodeId, SiteId, WallTime } from "../protocol/units.ts"
import { wallTime } from "../protocol/units.ts"
import { type ArbiterState, entryOf } from "./arbiter.ts"
import { siteOf, type WitnessConfiguration } from "./configuration.ts"

export interface SiteWatch {
  readonly kind: "heard" | "recalled" | "assumed" | "silent"
  /** When it was last heard, or taken as heard; `silent`: when it was last heard. */
  readonly at: WallTime
  /** Ring sequence of the view whose reports count: of two halves of a site one speaks about its nodes. */
  readonly speaker: number
  readonly speakerAt: WallTime
}

export interface NodeWatch {
  /** As its site reports it; `undefined` until then. */
  readonly state: PeerState | undefined
  /** When its own last document came. */
  readonly heardAt: WallTime | undefined
}

export interface Watch {
  readonly sites: Readonly<Record<string, SiteWatch>>
  readonly nodes: Readonly<Record<string, NodeWatch>>
}

export interface Watched {
  readonly watch: Watch
  readonly events: readonly ReportedEvent[]
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
  const events: ReportedEvent[] = []
  if (known?.kind === "silent") events.push(siteBack(summary.site, known.at, now))
  const speaks = isSpeaker(known, configuration, summary, now)
  const site: SiteWatch = {
    kind: "heard",
    at: now,
    speaker: speaks ? (summary.view?.ring.sequence ?? 0) : (known?.speaker ?? 0),
    speakerAt: speaks || known === undefined ? now : known.speakerAt,
  }
  let nodes: Watch["nodes"] = {
    ...watch.nodes,
    [summary.node]: { state: watch.nodes[summary.node]?.state, heardAt: now },
  }
  for (const { node, state } of speaks ? summary.state.nodes : []) {
    if (siteOf(configuration, node) !== summary.site) continue
    const before = nodes[node]
    events.push(...nodeMoved(node, before?.state, state, { summary, now }))
    nodes = { ...nodes, [node]: { state, heardAt: before?.heardAt } }
  }
  return { watch: { sites: { ...watch.sites, [summary.site]: site }, nodes }, events }
}

/** Which sites have been silent for too long at `now`. */
export function checkSilence(watch: Watch, configuration: WitnessConfiguration, now: WallTime): Watched {
  const events: ReportedEvent[] = []
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
export function leaseMoves(
  before: ArbiterState,
  after: ArbiterState,
  now: WallTime,
): readonly ReportedEvent[] {
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
    ]
  })
}

/** A node has seen a higher tag than is stored: the object was restored or recreated (W6). Nodes judge; this pages. */
export function rollbackSeen(state: ArbiterState, summary: Summary, now: WallTime): readonly ReportedEvent[] {
  return summary.highest.flatMap(({ name, ...seen }) => {
    const stored = entryOf(state, name)
    if (!isHigher(seen, stored)) return []
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

function isHigher(a: LeaseTag, b: LeaseTag): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.seq > b.seq)
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

function nodeMoved(
  node: NodeId,
  before: PeerState | undefined,
  after: PeerState,
  { summary, now }: { readonly summary: Summary; readonly now: WallTime },
): readonly ReportedEvent[] {
  const wentDown = after === "down" && before !== "down" && before !== undefined
  const cameUp = after === "alive" && before === "down"
  if (!wentDown && !cameUp) return []
  const kind = wentDown ? "node-down" : "node-up"
  const sequence = summary.view?.ring.sequence ?? 0
  return [
    {
      id: `${kind}:${node}:${sequence}-${summary.incarnation}`,
      kind,
      subject: `node ${node}`,
      severity: wentDown ? "critical" : "info",
      at: now,
      detail: `reported by site ${summary.site}, ring sequence ${sequence}`,
    },
  ]
}

function siteSilent(site: SiteId, heardAt: WallTime, now: WallTime): ReportedEvent {
  return {
    id: `site-silent:${site}:${heardAt}`,
    kind: "site-silent",
    subject: `site ${site}`,
    severity: "critical",
    at: now,
    detail: `no node of the site has posted for ${Math.round((now - heardAt) / 1_000)} s`,
  }
}

function siteBack(site: SiteId, heardAt: WallTime, now: WallTime): ReportedEvent {
  return {
    id: `site-back:${site}:${heardAt}`,
    kind: "site-back",
    subject: `site ${site}`,
    severity: "info",
    at: now,
    detail: `heard again after ${Math.round((now - heardAt) / 1_000)} s`,
  }
}

function holderText(holder: LeaseHolder | undefined): string {
  if (holder === undefined) return "nobody"
  if (holder.kind === "site") return `site ${holder.site}`
  return `view ${holder.ring.sequence} of nodes ${holder.members.join(", ")}`
}
