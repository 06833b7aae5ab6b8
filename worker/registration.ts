/**
 * A configuration that a running cluster changed (SPEC LC4, W15): registered by the view that changed it, as
 * compare-and-set on the version, so that views that do not know of it are refused from then on (W14). Pure.
 */
import { voiceLease } from "../protocol/lease.ts"
import type { Registration, Reply, Summary } from "../protocol/summaries.ts"
import { sameRing } from "../protocol/units.ts"
import { isOtherProposal, submissionOf } from "./arbiter.ts"
import { parseConfiguration, type WitnessConfiguration } from "./configuration.ts"
import type { LeaseEntry } from "./lease-rules.ts"

/** The configuration from now on; undefined: as it was. What only the operator sets (receivers, windows) stays. */
export function registered(
  stored: WitnessConfiguration,
  leases: Readonly<Record<string, LeaseEntry>>,
  summary: Summary,
): WitnessConfiguration | undefined {
  const { registration } = summary
  if (registration === undefined || !mayRegister(leases, summary, registration)) return undefined
  const next = merged(stored, registration)
  return next !== undefined && next.version > stored.version ? next : undefined
}

/** A view that speaks alone says so itself, as for a release (W13); any other holds the site's voice now. */
function mayRegister(
  leases: Readonly<Record<string, LeaseEntry>>,
  { view, site }: Summary,
  { majorityAlone }: Registration,
): boolean {
  if (view === undefined) return false
  const holder = leases[voiceLease(site)]?.grant?.holder
  return majorityAlone || (holder?.kind === "view" && sameRing(holder.ring, view.ring))
}

function merged(
  stored: WitnessConfiguration,
  { text, document }: Registration,
): WitnessConfiguration | undefined {
  const told = objectOf(text)
  if (told === undefined) return undefined
  const parsed = parseConfiguration(JSON.stringify({ ...stored, ...told, document }))
  return parsed.kind === "ok" ? parsed.value : undefined
}

function objectOf(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null ? value : undefined
  } catch {
    // Not JSON: it registers nothing, and the reply shows that.
    return undefined
  }
}

/** Who has an older one, or a proposal that did not become active, is told the whole, if a live change brought it. */
export function configurationTold(
  { version, checksum, document }: Pick<WitnessConfiguration, "version" | "checksum" | "document">,
  summary: Summary,
): Reply["configuration"] {
  const isOutdated =
    summary.configuration.version < version || isOtherProposal({ version, checksum }, submissionOf(summary))
  return isOutdated && document !== undefined ? { version, checksum, document } : { version, checksum }
}
