import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { LeaseAnswer, LeaseClaim, LeaseHolder, LeaseName } from "../../../protocol/lease.ts"
import { epoch, millis, sameRing } from "../../../protocol/units.ts"
import { type ArbiterState, arbitrate, entryOf, type Submission } from "../../../worker/arbiter.ts"
import type { LeaseEntry } from "../../../worker/lease-rules.ts"
import {
  emptyState,
  mandate,
  releaseOfMandate,
  releaseOfVoice,
  submission,
  voice,
} from "./arbiter-builder.ts"

/** How a claim speaks of the entry's tag: as it is, of the one before, or of none. */
type Sight = "current" | "older" | "none"

interface Step {
  readonly node: number
  readonly counter: number
  readonly kind: "voice" | "mandate" | "release-voice" | "release-mandate"
  readonly members: readonly number[]
  readonly sequence: number
  /** Added to the entry's epoch to make the one that the claim names. */
  readonly named: number
  readonly seen: Sight
  readonly waited: Sight
  readonly waitedMs: number
  readonly flag: boolean
}

const sight = fc.constantFrom<Sight>("current", "current", "older", "none")
const step: fc.Arbitrary<Step> = fc.record({
  node: fc.constantFrom(1, 2, 3, 4, 11, 12),
  counter: fc.integer({ min: 0, max: 40 }),
  kind: fc.constantFrom("voice", "voice", "mandate", "mandate", "release-voice", "release-mandate"),
  members: fc.constantFrom([1, 2, 3, 4], [1, 2], [3, 4], [1], [2, 3], [11, 12], [11], [12]),
  sequence: fc.integer({ min: 1, max: 6 }),
  named: fc.integer({ min: -1, max: 2 }),
  seen: sight,
  waited: sight,
  waitedMs: fc.constantFrom(0, 9_999, 10_020, 10_021, 60_000),
  flag: fc.boolean(),
})
/** Documents that meet: mostly one, sometimes rivals. */
const run = fc.array(fc.array(step, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 40 })

describe("under any sequence of claims", () => {
  it("[W1] epochs and seqs never fall, and every change raises seq", () => {
    fc.assert(
      fc.property(run, (batches) => {
        play(batches, ({ before, after }) => {
          for (const name of names) {
            const [old, next] = [entryOf(before, name), entryOf(after, name)]
            expect(next.epoch).toBeGreaterThanOrEqual(old.epoch)
            expect(next.seq).toBeGreaterThanOrEqual(old.seq)
            if (next.seq === old.seq) expect(next).toEqual(old)
          }
        })
      }),
      { numRuns: 400, seed: 20261121 },
    )
  })

  it("[W8] [W10] [W11] a lease changes its holder by these rules only, and then its epoch rises", () => {
    let grants = 0
    fc.assert(
      fc.property(run, (batches) => {
        play(batches, ({ before, after, submissions, answers }) => {
          for (const name of names) {
            const [old, next] = [entryOf(before, name), entryOf(after, name)]
            if (next.grant === undefined || sameHolder(old.grant?.holder, next.grant.holder, old, next))
              continue
            grants += 1
            expect(next.epoch).toBeGreaterThan(old.epoch)
            const winners = submissions.filter((_, index) => wasGranted(answers[index], name))
            expect(winners).toHaveLength(1)
            const claim = winners[0]?.claims.find((each) => each.name === name)
            expect(mayChange(old, winners[0], claim) || releasedIn(submissions, answers, name)).toBe(true)
          }
        })
      }),
      { numRuns: 400, seed: 20261122 },
    )
    expect(grants).toBeGreaterThan(500)
  })

  it("[W9] every grant that is told names the claim that stands in the entry", () => {
    fc.assert(
      fc.property(run, (batches) => {
        play(batches, ({ after, answers }) => {
          for (const answer of answers.flat()) {
            if (answer.kind === "refused" || answer.kind === "released") continue
            const entry = entryOf(after, answer.name)
            if (entry.seq === answer.seq) expect(entry.grant?.claim).toEqual(answer.claim)
          }
        })
      }),
      { numRuns: 200, seed: 20261123 },
    )
  })
})

const names: readonly LeaseName[] = ["voice:a", "voice:b", "mandate:main"]

interface Played {
  readonly before: ArbiterState
  readonly after: ArbiterState
  readonly submissions: readonly Submission[]
  readonly answers: readonly (readonly LeaseAnswer[])[]
}

function play(batches: readonly (readonly Step[])[], check: (played: Played) => void): void {
  let state = emptyState
  for (const batch of batches) {
    const submissions = batch.map((each) => submission(each.node, each.counter, [claimOf(state, each)]))
    const { state: after, answers } = arbitrate(state, submissions)
    check({ before: state, after, submissions, answers })
    state = after
  }
}

function claimOf(state: ArbiterState, each: Step): LeaseClaim {
  const { name } = each.kind.endsWith("voice") ? voice(each.members, 1) : mandate("a", 1)
  const entry = entryOf(state, name)
  const named = Math.max(0, entry.epoch + each.named)
  const seen = tagSeen(entry, each.seen)
  const waitedTag = tagSeen(entry, each.waited)
  const waited = waitedTag && { ...waitedTag, waited: millis(each.waitedMs) }
  const site = each.node > 10 ? "b" : "a"
  switch (each.kind) {
    case "voice":
      return voice(each.members, each.sequence, { seen, waited, ownsService: each.flag })
    case "mandate":
      return mandate(site, named, { seen, waited })
    case "release-voice":
      return releaseOfVoice(each.members, each.sequence, named, each.flag)
    case "release-mandate":
      return releaseOfMandate(site, named, each.flag)
  }
}

function tagSeen({ epoch: current, seq }: LeaseEntry, seen: Sight) {
  if (seen === "none") return undefined
  return seen === "current" ? { epoch: current, seq } : { epoch: epoch(current), seq: seq - 1 }
}

function sameHolder(a: LeaseHolder | undefined, b: LeaseHolder, old: LeaseEntry, next: LeaseEntry): boolean {
  if (a === undefined) return false
  if (a.kind === "site") return b.kind === "site" && a.site === b.site && old.epoch === next.epoch
  return b.kind === "view" && sameRing(a.ring, b.ring)
}

function wasGranted(answers: readonly LeaseAnswer[] | undefined, name: LeaseName): boolean {
  return answers?.some((answer) => answer.kind === "granted" && answer.name === name) ?? false
}

function releasedIn(
  submissions: readonly Submission[],
  answers: readonly (readonly LeaseAnswer[])[],
  name: LeaseName,
): boolean {
  return submissions.some((_, index) =>
    answers[index]?.some((each) => each.kind === "released" && each.name === name),
  )
}

/** The rules said once more, independently of the arbiter. */
function mayChange(old: LeaseEntry, by: Submission | undefined, claim: LeaseClaim | undefined): boolean {
  if (by === undefined || claim === undefined || claim.kind === "release") return false
  if (old.grant === undefined) return true
  const { holder } = old.grant
  const isFormer = holder.kind === "view" && holder.members.includes(by.id.node)
  const isLater =
    claim.kind === "voice" && holder.kind === "view" && claim.ring.sequence > holder.ring.sequence
  const hasSeen = claim.waited?.epoch === old.epoch && claim.waited.seq === old.seq
  const hasWaited = hasSeen && (claim.waited?.waited ?? 0) >= (old.ttl * 1.001) / 0.999
  return (isFormer && isLater) || hasWaited
}
