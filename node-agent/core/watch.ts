/**
 * Watching the witness's leases (SPEC W11): every member notes when it first saw each (object, epoch, seq), on its own
 * clock and in memory only. Who sees one unchanged for TTL' of the entry's own TTL may claim it.
 */
import {
  isOlderTag,
  type LeaseName,
  type LeaseSummary,
  type LeaseTag,
  sameTag,
  type Waited,
} from "../../protocol/lease.ts"
import { elapsed, type Instant, stretched } from "../../protocol/units.ts"
import type { NodeState } from "./state.ts"
import { type Turn, withEntry } from "./turn.ts"
import type { Watch } from "./witness-state.ts"

/** A tag was shown, by a reply or by a member that read one. Later tags start the wait anew; older ones say nothing. */
export function noteWatch(
  turn: Turn,
  name: LeaseName,
  tag: LeaseTag,
  witness: string,
  lease?: LeaseSummary,
): void {
  const { node, now } = turn
  const known = node.witness.watches.get(name)
  const sameObject = known !== undefined && known.witness.slice(0, 8) === witness.slice(0, 8)
  const same = sameObject && sameTag(known, tag)
  if (sameObject && !same && isOlderTag(tag, known)) return
  if (same && lease === undefined && known.witness === witness) return
  const watch: Watch = {
    lease: lease ?? (same ? known.lease : undefined),
    epoch: tag.epoch,
    seq: tag.seq,
    witness,
    since: same ? known.since : now,
  }
  node.witness = { ...node.witness, watches: withEntry(node.witness.watches, name, watch) }
}

/** The proof of waiting to put into a claim; undefined: the lease is not known, or not waited out yet. */
export function waitedOut(node: NodeState, name: LeaseName, now: Instant): Waited | undefined {
  const watch = node.witness.watches.get(name)
  if (watch?.lease === undefined) return undefined
  const waited = elapsed(watch.since, now)
  if (waited < stretched(watch.lease.ttl, node.config.timings.rho)) return undefined
  return { epoch: watch.epoch, seq: watch.seq, waited }
}

/** When it will be waited out, if nothing changes. */
export function waitedOutAt(node: NodeState, name: LeaseName): Instant | undefined {
  const watch = node.witness.watches.get(name)
  if (watch?.lease?.holder === undefined) return undefined
  return (watch.since + stretched(watch.lease.ttl, node.config.timings.rho)) as Instant
}
