/**
 * Every kind of event the product knows: how bad it is, what it is about, which incident it opens or ends, and how long
 * it must last. A kind that is not in here (a newer agent's) is taken by its own severity: `info` is noted, anything else
 * opens an incident that ends by itself.
 *
 *   opens     a condition: its incident lasts until an event of a kind that `ends` it
 *   happens   a moment that people should know of: its incident ends by itself after `lastsMs`
 *   ends      the condition is over
 *   noted     kept for the record; opens nothing
 */
import type { Severity } from "../../protocol/summaries.ts"
import type { Millis } from "../../protocol/units.ts"
import { millis } from "../../protocol/units.ts"

/** What an event's subject names; it stands before the name in texts. */
export type Noun =
  | "node"
  | "site"
  | "service"
  | "ticket"
  | "lease"
  | "link"
  | "receiver"
  | "witness"
  | "credential"
  | "cluster"

interface Described {
  readonly noun: Noun
  /** After the subject: `node a2 is down`. */
  readonly says: string
  readonly severity: Severity
}

export type CatalogueEntry =
  | (Described & {
      readonly effect: "opens"
      /** How long it must last before anybody hears of it. */
      readonly forMs: Millis
      /** How long it must be over before it counts as over. */
      readonly clearMs: Millis
    })
  | (Described & { readonly effect: "happens"; readonly lastsMs: Millis })
  | (Described & { readonly effect: "ends"; readonly ends: readonly string[] })
  | (Described & { readonly effect: "noted" })

const atOnce = millis(0)
/** Long enough that a node which restarts twice is one incident, short enough that "resolved" still means now. */
const settled = millis(30_000)
/** A takeover is news for a shift, not a condition. */
const aWhile = millis(900_000)

function opens(
  severity: Severity,
  noun: Noun,
  says: string,
  { forMs = atOnce, clearMs = settled }: { readonly forMs?: Millis; readonly clearMs?: Millis } = {},
): CatalogueEntry {
  return { effect: "opens", severity, noun, says, forMs, clearMs }
}
const happens = (severity: Severity, noun: Noun, says: string): CatalogueEntry => {
  return { effect: "happens", severity, noun, says, lastsMs: aWhile }
}
const ends = (noun: Noun, says: string, ...kinds: readonly string[]): CatalogueEntry => {
  return { effect: "ends", severity: "info", noun, says, ends: kinds }
}
const noted = (noun: Noun, says: string): CatalogueEntry => ({
  effect: "noted",
  severity: "info",
  noun,
  says,
})

export const catalogue: Readonly<Record<string, CatalogueEntry>> = {
  // Nodes and sites.
  "node-down": opens("critical", "node", "is down"),
  "node-up": ends("node", "is back", "node-down"),
  "site-silent": opens("critical", "site", "is silent: none of its nodes reaches the witness"),
  "site-back": ends("site", "reaches the witness again", "site-silent"),
  // Longer than the dead-man check: a site that is gone altogether is told as that.
  "site-unreachable": opens("warning", "site", "cannot be reached", { forMs: millis(30_000) }),
  "site-reachable": ends("site", "can be reached again", "site-unreachable"),
  "wan-cut": opens("critical", "cluster", "is cut between two sites, both of which reach the witness"),
  "wan-healed": ends("cluster", "is whole again between two sites", "wan-cut"),
  "link-suspect": opens("warning", "link", "is bad: late, lossy or in one direction only", {
    forMs: millis(10_000),
  }),
  "link-down": opens("warning", "link", "is down", { forMs: millis(5_000) }),
  "link-up": ends("link", "works again", "link-suspect", "link-down"),
  // Rights.
  "voice-lost": opens("critical", "site", "has no voice: it may run nothing"),
  "voice-gained": ends("site", "has its voice", "voice-lost"),
  "voice-granted": noted("lease", "was granted"),
  "voice-released": noted("lease", "was released"),
  "mandate-lost": opens("critical", "ticket", "has lost its mandate", { forMs: millis(2_000) }),
  "mandate-gained": ends("ticket", "has its mandate", "mandate-lost"),
  "mandate-granted": noted("lease", "was granted"),
  "mandate-released": noted("lease", "was released"),
  "mandate-moved": happens("warning", "ticket", "moved to another site"),
  "dual-active": opens("critical", "service", "was active on two nodes"),
  "service-found-active": happens("warning", "service", "was active on a node that had not started it"),
  "dual-active-ended": ends("service", "is active once", "dual-active"),
  // Services and fencing.
  // Its cause is an incident of its own; a planned move is none.
  takeover: happens("info", "service", "runs on another node"),
  "service-assigned": noted("service", "was given to a node"),
  "service-started": ends(
    "service",
    "runs",
    "service-failed",
    "service-stop-failed",
    "service-blocked",
    "service-lapsed",
  ),
  "service-failed": opens("critical", "service", "has failed"),
  "service-stop-failed": opens("critical", "service", "cannot be stopped"),
  "service-lapsed": opens("critical", "service", "lost its rights"),
  "service-blocked": opens("critical", "service", "is blocked: no proof that it stopped elsewhere"),
  "service-unblocked": ends("service", "is not blocked any more", "service-blocked"),
  "service-cleared": ends("service", "was cleaned up", "service-failed", "service-stop-failed"),
  "fence-needed": opens("critical", "node", "must be fenced"),
  "fence-failed": opens("critical", "node", "could not be fenced"),
  "fence-confirmed": ends("node", "is fenced", "fence-needed", "fence-failed"),
  "fence-device-failed": opens("warning", "node", "has a fence device that does not answer"),
  "fence-device-ok": ends("node", "has a fence device that answers", "fence-device-failed"),
  "watchdog-missing": opens("warning", "node", "has no armed watchdog"),
  "watchdog-failed": opens("critical", "node", "cannot arm its watchdog"),
  "watchdog-not-fed": opens("critical", "node", "cannot feed its watchdog"),
  "watchdog-hungry": happens("critical", "node", "lets its watchdog reset it"),
  "watchdog-armed": ends(
    "node",
    "has an armed watchdog",
    ...["watchdog-missing", "watchdog-failed", "watchdog-not-fed"],
  ),
  "gate-missing": opens("critical", "node", "has lost its gate: addresses may pass without a lease"),
  "gate-restored": ends("node", "has its gate again", "gate-missing"),
  // Health and administration.
  // Nodes tell these two when they have lasted.
  "configuration-mismatch": opens("warning", "node", "has another configuration than its neighbours"),
  "configuration-agreed": ends(
    "node",
    "has the same configuration as its neighbours",
    "configuration-mismatch",
  ),
  "clock-out-of-bounds": opens("warning", "node", "has a clock out of bounds"),
  "clock-in-bounds": ends("node", "has a clock in bounds", "clock-out-of-bounds"),
  "node-late": happens("warning", "node", "is slow: its own loop runs late"),
  suspended: happens("critical", "node", "was suspended and has revoked its rights"),
  // The only key with an end: keys of nodes have none, certificates are the platform's and the receivers'.
  "credential-expiring": opens("warning", "credential", "is near its end", { clearMs: atOnce }),
  "credential-ended": ends("credential", "opens nothing any more", "credential-expiring"),
  "configuration-active": noted("cluster", "has a new configuration"),
  "node-removed": noted("node", "is not in the configuration any more"),
  "operator-command": noted("cluster", "was given a command"),
  // The witness and its own work.
  "witness-unreachable": opens("warning", "node", "cannot reach the witness", { forMs: millis(10_000) }),
  "witness-reachable": ends("node", "reaches the witness again", "witness-unreachable"),
  "witness-quarantined": opens("critical", "witness", "is quarantined: it is not the one this cluster knew"),
  "witness-accepted": ends("witness", "was accepted by an operator", "witness-quarantined"),
  "witness-rolled-back": happens("critical", "lease", "was set back at the witness"),
  "witness-alarm-lost": happens("warning", "witness", "had lost its alarm; it was set again"),
  "quota-near": happens("warning", "witness", "has used most of the day's quota"),
  "incidents-overflow": happens("warning", "witness", "has more incidents than it keeps"),
  "receiver-failing": opens("critical", "receiver", "does not take notifications"),
  "receiver-works": ends("receiver", "takes notifications again", "receiver-failing"),
  "delivery-failed": happens("warning", "receiver", "missed a notification for good"),
}

/** The entry of a kind; for one that is unknown, what its own severity says. */
export function entryOfKind(kind: string, severity: Severity): CatalogueEntry {
  const known = catalogue[kind]
  if (known !== undefined) return known
  const says = kind.replaceAll("-", " ")
  return severity === "info" ? noted("cluster", says) : happens(severity, "cluster", says)
}
