/**
 * The timings of a cluster: how each is written in the configuration, in which bounds it makes sense alone, and the
 * inequalities between them (SPEC T). A set that breaks one is refused: T1 to T5 keep a healthy ring from losing its
 * lease and a failed node from holding it up, T6 to T11 keep one lost message or one failed node from costing a right,
 * T12 to T15 keep what people see and what sites do in a sensible order, T16 bounds each figure alone, T17 ties the pass to
 * the number of nodes. None is needed
 * for exclusivity, which rests on deadlines and on `rho` being true; they are what lets a set of timings make progress.
 */
import type { Timings } from "./cluster.ts"
import { millis, stretched } from "./units.ts"

/** How one timing is written: its key under `[timings]` and the bounds (inclusive) in which it makes sense alone (T16). */
export interface TimingKey {
  readonly key: string
  readonly min: number
  readonly max: number
}

/** `rho_ppm` counts millionths; `misses` is a count; all others are whole milliseconds. */
const partsPerMillion = 1_000_000

/** Shorter than 10 ms a timer says nothing (SCHED_FIFO, loaded: p99.9 7.6 ms late); an hour is a mistyped unit. */
const ringMin = 10
const ringMax = 60_000
const wideMin = 100
const wideMax = 3_600_000

export const timingKeys: readonly TimingKey[] = [
  { key: "heartbeat_ms", min: ringMin, max: ringMax },
  { key: "retransmit_ms", min: ringMin, max: ringMax },
  // One lost datagram accuses nobody, so two at least.
  { key: "misses", min: 2, max: 10 },
  { key: "lease_ms", min: ringMin, max: ringMax },
  { key: "pass_ms", min: 1, max: ringMax },
  { key: "lateness_ms", min: 1, max: ringMax },
  // 0 would claim that clocks are perfect; a kernel may slew one by a tenth at most.
  { key: "rho_ppm", min: 1, max: 100_000 },
  { key: "gather_wait_ms", min: ringMin, max: ringMax },
  { key: "voice_ttl_ms", min: wideMin, max: wideMax },
  { key: "mandate_ttl_ms", min: wideMin, max: wideMax },
  { key: "renewal_ms", min: wideMin, max: wideMax },
  { key: "wan_heartbeat_ms", min: wideMin, max: wideMax },
  { key: "wan_silent_ms", min: wideMin, max: wideMax },
  { key: "claim_stagger_ms", min: wideMin, max: wideMax },
  { key: "summary_interval_ms", min: wideMin, max: wideMax },
]

/** The profile's timings with what the configuration overrides; `written` is keyed and counted as in the file. */
export function timingsFrom(profile: Timings, written: ReadonlyMap<string, number>): Timings {
  const ms = (key: string, otherwise: number) => millis(written.get(key) ?? otherwise)
  const ppm = written.get("rho_ppm")
  return {
    heartbeat: ms("heartbeat_ms", profile.heartbeat),
    retransmit: ms("retransmit_ms", profile.retransmit),
    misses: written.get("misses") ?? profile.misses,
    lease: ms("lease_ms", profile.lease),
    pass: ms("pass_ms", profile.pass),
    lateness: ms("lateness_ms", profile.lateness),
    rho: ppm === undefined ? profile.rho : ppm / partsPerMillion,
    gatherWait: ms("gather_wait_ms", profile.gatherWait),
    voiceTtl: ms("voice_ttl_ms", profile.voiceTtl),
    mandateTtl: ms("mandate_ttl_ms", profile.mandateTtl),
    renewal: ms("renewal_ms", profile.renewal),
    wanHeartbeat: ms("wan_heartbeat_ms", profile.wanHeartbeat),
    wanSilent: ms("wan_silent_ms", profile.wanSilent),
    claimStagger: ms("claim_stagger_ms", profile.claimStagger),
    summaryInterval: ms("summary_interval_ms", profile.summaryInterval),
  }
}

/** One inequality: `left` must be at least the sum of `right`. */
export interface TimingRule {
  /** As SPEC.md and test names quote it. */
  readonly id: string
  /** In the keys of the configuration. */
  readonly text: string
  /** What goes wrong without it. */
  readonly why: string
  /** The keys in it, the one to blame first: an error is reported at the first of them that the file sets. */
  readonly keys: readonly string[]
  readonly left: (timings: Timings) => number
  readonly right: (timings: Timings) => readonly number[]
}

export const timingRules: readonly TimingRule[] = [
  {
    id: "T1",
    text: "lease_ms >= heartbeat_ms + 2 * pass_ms + misses * retransmit_ms + lateness_ms",
    why: "A lease counted from one rotation must last until the evidence of the next is in, though a hop needs all its sendings and a loop is late.",
    keys: ["lease_ms", "heartbeat_ms", "pass_ms", "misses", "retransmit_ms", "lateness_ms"],
    left: (t) => t.lease,
    right: (t) => [t.heartbeat, 2 * t.pass, t.misses * t.retransmit, t.lateness],
  },
  {
    id: "T2",
    text: "(misses - 1) * retransmit_ms >= pass_ms + lateness_ms",
    why: "A successor within its budgets has acknowledged before the last sending: lateness alone accuses nobody.",
    keys: ["retransmit_ms", "misses", "pass_ms", "lateness_ms"],
    left: (t) => (t.misses - 1) * t.retransmit,
    right: (t) => [t.pass, t.lateness],
  },
  {
    id: "T3",
    text: "heartbeat_ms >= 2 * pass_ms",
    why: "Both passes are over before the next interval releases the token again.",
    keys: ["heartbeat_ms", "pass_ms"],
    left: (t) => t.heartbeat,
    right: (t) => [2 * t.pass],
  },
  {
    id: "T4",
    text: "gather_wait_ms >= retransmit_ms + lateness_ms",
    why: "A live node is not left out of the next view because one join was lost and its loop was late.",
    keys: ["gather_wait_ms", "retransmit_ms", "lateness_ms"],
    left: (t) => t.gatherWait,
    right: (t) => [t.retransmit, t.lateness],
  },
  {
    id: "T5",
    text: "lease_ms >= gather_wait_ms",
    why: "Waiting for a silent node never holds up a view for longer than that node's lease does.",
    keys: ["gather_wait_ms", "lease_ms"],
    left: (t) => t.lease,
    right: (t) => [t.gatherWait],
  },
  {
    id: "T6",
    text: "voice_ttl_ms >= 3 * renewal_ms",
    why: "Two renewals in a row may be lost without losing the voice.",
    keys: ["voice_ttl_ms", "renewal_ms"],
    left: (t) => t.voiceTtl,
    right: (t) => [3 * t.renewal],
  },
  {
    id: "T7",
    text: "mandate_ttl_ms >= 3 * renewal_ms",
    why: "Two renewals in a row may be lost without losing the mandate.",
    keys: ["mandate_ttl_ms", "renewal_ms"],
    left: (t) => t.mandateTtl,
    right: (t) => [3 * t.renewal],
  },
  {
    id: "T8",
    text: "voice_ttl_ms >= 3 * summary_interval_ms",
    why: "Whoever may want the voice sees its tag (epoch, seq) several times a TTL, so that its waiting starts in time.",
    keys: ["summary_interval_ms", "voice_ttl_ms"],
    left: (t) => t.voiceTtl,
    right: (t) => [3 * t.summaryInterval],
  },
  {
    id: "T9",
    text: "mandate_ttl_ms >= 3 * summary_interval_ms",
    why: "As T8, for the mandate.",
    keys: ["summary_interval_ms", "mandate_ttl_ms"],
    left: (t) => t.mandateTtl,
    right: (t) => [3 * t.summaryInterval],
  },
  {
    id: "T10",
    text: "voice_ttl_ms >= lease_ms * (1 + rho) / (1 - rho) + gather_wait_ms + renewal_ms",
    why: "A voice granted at once must still stand when its view becomes effective (activateAt), until its first renewal.",
    keys: ["voice_ttl_ms", "lease_ms", "gather_wait_ms", "renewal_ms", "rho_ppm"],
    left: (t) => t.voiceTtl,
    right: (t) => [stretched(t.lease, t.rho), t.gatherWait, t.renewal],
  },
  {
    id: "T11",
    text: "mandate_ttl_ms >= heartbeat_ms + misses * retransmit_ms + gather_wait_ms + lease_ms * (1 + rho) / (1 - rho) + renewal_ms",
    why: "A node failure inside the holding site (detect, gather, wait for activateAt, renew) must not cost it the mandate.",
    keys: [
      "mandate_ttl_ms",
      "heartbeat_ms",
      "misses",
      "retransmit_ms",
      "gather_wait_ms",
      "lease_ms",
      "renewal_ms",
      "rho_ppm",
    ],
    left: (t) => t.mandateTtl,
    right: (t) => [t.heartbeat, t.misses * t.retransmit, t.gatherWait, stretched(t.lease, t.rho), t.renewal],
  },
  {
    id: "T12",
    text: "wan_silent_ms >= 3 * wan_heartbeat_ms",
    why: "Two lost datagrams on a WAN are no news.",
    keys: ["wan_silent_ms", "wan_heartbeat_ms"],
    left: (t) => t.wanSilent,
    right: (t) => [3 * t.wanHeartbeat],
  },
  {
    id: "T13",
    text: "mandate_ttl_ms >= wan_silent_ms",
    why: "People hear that a site is silent before its mandate goes to another, not after.",
    keys: ["wan_silent_ms", "mandate_ttl_ms"],
    left: (t) => t.mandateTtl,
    right: (t) => [t.wanSilent],
  },
  {
    id: "T14",
    text: "claim_stagger_ms >= wan_heartbeat_ms",
    why: "A site of the next rank has heard, by the next heartbeat, that a better one claims.",
    keys: ["claim_stagger_ms", "wan_heartbeat_ms"],
    left: (t) => t.claimStagger,
    right: (t) => [t.wanHeartbeat],
  },
  {
    id: "T15",
    text: "claim_stagger_ms >= summary_interval_ms",
    why: "With the WAN cut, vacancy is learnt from the witness's replies, up to one interval later by the better site.",
    keys: ["claim_stagger_ms", "summary_interval_ms"],
    left: (t) => t.claimStagger,
    right: (t) => [t.summaryInterval],
  },
]

/** One inequality with its numbers: `figures` as `400 >= 200 + 20 + 150 + 30 = 400`. */
export interface TimingProof {
  readonly rule: TimingRule
  readonly holds: boolean
  readonly figures: string
}

export function timingProofs(timings: Timings): readonly TimingProof[] {
  return timingRules.map((rule) => {
    const left = rule.left(timings)
    const terms = rule.right(timings)
    const right = terms.reduce((sum, term) => sum + term, 0)
    const sum = terms.length === 1 ? "" : `${terms.map(figure).join(" + ")} = `
    return { rule, holds: left >= right, figures: `${figure(left)} >= ${sum}${figure(right)}` }
  })
}

export interface BrokenTimingRule {
  readonly rule: TimingRule
  /** The rule and its numbers, as `[T3] heartbeat_ms >= 2 * pass_ms: 100 >= 120 is false`. */
  readonly message: string
}

export function brokenTimingRules(timings: Timings): readonly BrokenTimingRule[] {
  return timingProofs(timings)
    .filter(({ holds }) => !holds)
    .map(({ rule, figures }) => ({ rule, message: `[${rule.id}] ${rule.text}: ${figures} is false` }))
}

/** Hops in a millisecond that `pass_ms` counts on: a third of a millisecond each, as the profiles do. */
const hopsPerMilli = 3

/** T17: the budget of a pass is for the ring as it is with all nodes of its site; undefined: it is enough. */
export function passTooShort(timings: Timings, nodes: number): string | undefined {
  const needed = Math.ceil(nodes / hopsPerMilli)
  if (timings.pass >= needed) return undefined
  return `[T17] pass_ms >= nodes / ${hopsPerMilli}: ${figure(timings.pass)} >= ${nodes} / ${hopsPerMilli} is false: the token is not round in time; ${needed} is enough, and lease_ms grows by twice the difference (T1)`
}

/** Thousandths of a millisecond are enough to see why an inequality fails. */
export function figure(value: number): string {
  return String(Math.round(value * 1000) / 1000)
}
