/**
 * What the figures of a link come to (SPEC LN): its level by silence, loss, jitter and round trip, each against its
 * threshold. Pure. Silence is counted in looks and not in time: a node that was stopped has looked once since.
 */
import type { LinkThresholds } from "../../protocol/cluster.ts"
import { lossMax } from "../../protocol/frame.ts"
import { type Millis, millis } from "../../protocol/units.ts"
import type { Link, LinkLevel } from "./link-state.ts"

/** Looks without a frame, where a frame is due at each. One look may fall between two frames. */
const silentQuiet = 2
const silentDown = 4

export interface Judgement {
  readonly level: LinkLevel
  /** For people; empty for `up`. */
  readonly reason: string
}

const well: Judgement = { level: "up", reason: "" }

/** By what came in. `stride`: looks from one frame that is due to the next. */
export function judgeIncoming(
  link: Pick<Link, "silent" | "expected" | "lost" | "samples" | "jitter" | "rtt" | "incoming">,
  thresholds: LinkThresholds,
  stride: number,
): Judgement {
  if (link.silent >= silentDown * stride) return { level: "down", reason: "nothing is heard" }
  const jitter = link.samples.length < samplesMin ? 0 : link.jitter
  const rtt = link.samples.length < samplesMin ? 0 : (link.rtt ?? 0)
  const wasWell = link.incoming === "up" || link.incoming === "quiet"
  const share = wasWell ? 1 : betterShare
  const jitterReason = (): string => `jitter ${figure(jitter)} ms`
  if (jitter >= thresholds.jitterCritical * share) return { level: "alarming", reason: jitterReason() }
  if (isLossBeyond(link, thresholds.lossPpm, wasWell))
    return { level: "suspect", reason: `loss ${figure((100 * link.lost) / link.expected)} %` }
  if (rtt >= thresholds.rtt * share) return { level: "suspect", reason: `round trip ${figure(rtt)} ms` }
  if (jitter >= thresholds.jitter * share) return { level: "suspect", reason: jitterReason() }
  return link.silent >= silentQuiet * stride ? { level: "quiet", reason: "frames are missing" } : well
}

/** A suspect link is well again this far below a threshold, so that one at the threshold does not come and go. */
const betterShare = 0.8

/** A link that works one way is down for both (SPEC R6): the worse of what comes in and what the peer tells. */
export function judgeLink(incoming: Judgement, told: Link["told"], thresholds: LinkThresholds): Judgement {
  if (incoming.level === "down" || told === undefined || told.state === "up") return incoming
  if (told.state === "down") return { level: "down", reason: "the peer hears nothing" }
  if (incoming.level !== "up") return incoming
  if (told.jitter >= thresholds.jitterCritical)
    return { level: "alarming", reason: `the peer sees jitter ${figure(told.jitter)} ms` }
  const seen = told.loss >= thresholds.lossPpm ? ` (loss ${figure((100 * told.loss) / lossMax)} %)` : ""
  return { level: "suspect", reason: `the peer suspects it${seen}` }
}

/**
 * More than the threshold, twice the deviation that chance alone gives to so many frames, and those that may just be on
 * their way, having been overtaken by the probe that told of them.
 */
function isLossBeyond(
  { expected, lost }: Pick<Link, "expected" | "lost">,
  ppm: number,
  wasWell: boolean,
): boolean {
  const usual = (expected * ppm) / lossMax
  return lost > (wasWell ? usual + 2 * Math.sqrt(usual) + underWayMax : usual)
}

export const underWayMax = 3

/** As many round trips are looked at; fewer than these are shown and not judged. */
const samplesMax = 16
const samplesMin = 8

/**
 * Medians: of the latest round trips, and of how far each was from the one before. A node that pauses makes some of them
 * long, which says nothing of its links; mean deviations (RFC 3550, RFC 6298) would show it for a minute.
 */
export function withSample(
  samples: readonly Millis[],
  sample: Millis,
): Pick<Link, "samples" | "rtt" | "jitter"> {
  const latest = [...samples, sample].slice(-samplesMax)
  const differences = latest.slice(1).map((each, index) => Math.abs(each - (latest[index] ?? each)))
  return { samples: latest, rtt: millis(median(latest)), jitter: millis(median(differences)) }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2
}

/** Frames after which what was counted is halved: old losses are forgotten, and 0.1 % can be told from 0.2 %. */
const lossWindow = 10_000

/** The peer had sent `sent` frames when it wrote this; `received` had come. Only differences are compared. */
export function compareCounts(
  link: Pick<Link, "compared" | "expected" | "lost" | "received">,
  sent: number,
): Pick<Link, "compared" | "expected" | "lost"> {
  const { compared, received } = link
  const now = { sent, received }
  if (compared === undefined) return { compared: now, expected: link.expected, lost: link.lost }
  // Overtaken by a later one, which has told all that this one could.
  if (sent <= compared.sent) return { compared, expected: link.expected, lost: link.lost }
  const due = sent - compared.sent
  const expected = link.expected + due
  // Below zero for a moment if one that counted as lost has come.
  const lost = link.lost + due - (received - compared.received)
  const share = expected > lossWindow ? 0.5 : 1
  return { compared: now, expected: expected * share, lost: lost * share }
}

function figure(value: number): string {
  return String(Math.round(value * 100) / 100)
}
