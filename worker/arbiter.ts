/**
 * The witness's decision (SPEC W): the documents that met in, lease entries and answers out. Pure: no clock,
 * no storage, no chance. The rules for one claim stand in `lease-rules.ts`; here is what surrounds them: which documents
 * count at all, who may claim what, which of several rivals goes first, and what a verdict makes of an entry.
 *
 * The caller stores the new state before it speaks any answer that is not a refusal (SPEC W1, W2).
 */

import { assert, never } from "../protocol/assert.ts"
import type {
  ClaimId,
  LeaseAnswer,
  LeaseClaim,
  LeaseHolder,
  LeaseName,
  LeaseSummary,
  Memo,
  RefusalReason,
} from "../protocol/lease.ts"
import { isOlderTag, mandateLease, voiceLease } from "../protocol/lease.ts"
import type { NamedTag, Summary } from "../protocol/summaries.ts"
import type { Incarnation, Millis, NodeId, SiteId, Ticket } from "../protocol/units.ts"
import { epoch } from "../protocol/units.ts"
import { type ClaimOf, judgeClaim, type LeaseEntry, refuse, type Verdict } from "./lease-rules.ts"

/** What the arbiter needs of the cluster's configuration. */
export interface ArbiterRules {
  /** Of the configuration: claims made under another one are refused, but for a proposal to follow it (SPEC W14). */
  readonly version: number
  /** Two proposals may have the same version: one of them is what was registered (SPEC W14). */
  readonly checksum: string
  readonly sites: readonly SiteId[]
  readonly tickets: readonly Ticket[]
  readonly nodes: readonly { readonly node: NodeId; readonly site: SiteId }[]
  /** Nodes whose view is preferred when rival claims meet, best first. Policy, never safety. */
  readonly preferredNodes: readonly NodeId[]
  /** Bound on the clock rate error, a fraction. */
  readonly rho: number
  /** TTLs shown for leases that were never granted. */
  readonly voiceTtl: Millis
  readonly mandateTtl: Millis
}

/** The last document taken from a node: what is older is a replay (W5). */
export interface LastDocument {
  readonly incarnation: Incarnation
  readonly counter: number
}

export interface ArbiterState {
  /** The object's incarnation, and the challenge that claims must carry (W5, W6). */
  readonly witness: string
  readonly rules: ArbiterRules
  readonly leases: Readonly<Record<string, LeaseEntry>>
  readonly lastDocuments: Readonly<Record<string, LastDocument>>
}

/** The claims of one verified document. `id.node` is the node whose key signed it. */
export interface Submission {
  readonly id: ClaimId
  readonly challenge: string
  /** Version of the cluster configuration the node claims by. */
  readonly configuration: number
  readonly checksum: string
  /** The version in use, where it claims by a proposal that members of its view have stored. */
  readonly active: number | undefined
  /** The highest tags the node ever saw: above what stands here, they tell that this object was set back (W6). */
  readonly highest: readonly NamedTag[]
  readonly claims: readonly LeaseClaim[]
}

export function submissionOf(summary: Summary): Submission {
  const { node, incarnation, counter, challenge, configuration, highest, claims } = summary
  const id = { node, incarnation, counter }
  const { version, checksum, active } = configuration
  return { id, challenge, configuration: version, checksum, active, highest, claims }
}

export interface Arbitration {
  readonly state: ArbiterState
  /** One list for each submission, one answer for each of its claims, in order. */
  readonly answers: readonly (readonly LeaseAnswer[])[]
  /** For each submission, why nothing in it counts; `undefined` if it does. */
  readonly inadmissible: readonly (RefusalReason | undefined)[]
}

/**
 * Decides all claims that met. Renewals, releases and mandates first, as they came; then the claims that would change
 * the holder of a voice, best first: of those one wins for each lease, the others are told `lost-arbitration`.
 */
export function arbitrate(state: ArbiterState, submissions: readonly Submission[]): Arbitration {
  const admitted = admit(state, submissions)
  const answers: LeaseAnswer[][] = submissions.map(() => [])
  let current = admitted.state
  const settle = (pending: PendingClaim, verdict: Verdict): void => {
    const settled = apply(current, pending, verdict)
    current = settled.state
    const list = answers[pending.position]
    assert(list !== undefined, "every claim belongs to a submission")
    list[pending.index] = settled.answer
  }

  const rivals: PendingClaim[] = []
  for (const pending of admitted.claims) {
    const verdict = judge(current, pending)
    if (verdict.kind === "grant" && pending.claim.kind === "voice") rivals.push(pending)
    else settle(pending, verdict)
  }
  const won = new Set<LeaseName>()
  for (const rival of rivals.toSorted((a, b) => comparePreference(state.rules, a, b))) {
    const verdict = won.has(rival.claim.name) ? refuse("lost-arbitration") : judge(current, rival)
    if (verdict.kind === "grant") won.add(rival.claim.name)
    settle(rival, verdict)
  }
  assertNothingFell(state, current)
  return { state: current, answers, inadmissible: admitted.inadmissible }
}

/** Whether a claim here would give a voice to another view by rule 1 or 3: such claims wait so that rivals can meet. */
export function wantsArbitration(state: ArbiterState, submission: Submission): boolean {
  if (inadmissible(state, submission) !== undefined) return false
  return submission.claims.some((claim) => {
    if (claim.kind !== "voice") return false
    const verdict = judge(state, { id: submission.id, claim, inadmissible: undefined })
    return verdict.kind === "grant" && verdict.rule !== 4
  })
}

/** How a document relates to the last one taken from its node. `same` is a retry; `older` must leave no trace. */
export function documentAge(state: ArbiterState, id: ClaimId): "newer" | "same" | "older" {
  const last = state.lastDocuments[id.node]
  if (last === undefined || id.incarnation > last.incarnation) return "newer"
  if (id.incarnation < last.incarnation || id.counter < last.counter) return "older"
  return id.counter === last.counter ? "same" : "newer"
}

/** All configured leases as a reply tells them. */
export function leaseSummaries(state: ArbiterState): readonly LeaseSummary[] {
  const { sites, tickets } = state.rules
  return [...sites.map(voiceLease), ...tickets.map(mandateLease)].map((name) =>
    summaryOf(entryOf(state, name)),
  )
}

/** The entry of a lease, also of one never claimed. */
export function entryOf({ leases, rules }: ArbiterState, name: LeaseName): LeaseEntry {
  const stored = leases[name]
  if (stored !== undefined) return stored
  const ttl = isVoice(name) ? rules.voiceTtl : rules.mandateTtl
  const memo = { version: 0, text: "" }
  return { name, epoch: epoch(0), seq: 0, grant: undefined, ttl, memo, releasedEpoch: epoch(0) }
}

interface JudgedClaim {
  readonly id: ClaimId
  readonly claim: LeaseClaim
  /** Why nothing in its document counts, if so. */
  readonly inadmissible: RefusalReason | undefined
}

interface PendingClaim extends JudgedClaim {
  /** Which submission, and which claim of it. */
  readonly position: number
  readonly index: number
}

interface Admitted {
  readonly state: ArbiterState
  readonly claims: readonly PendingClaim[]
  readonly inadmissible: readonly (RefusalReason | undefined)[]
}

/** Notes each document as its node's last, in order of arrival, and lists the claims. */
function admit(state: ArbiterState, submissions: readonly Submission[]): Admitted {
  let current = state
  const reasons = submissions.map((submission) => {
    const reason = inadmissible(current, submission)
    if (isNoted(reason)) current = noteDocument(current, submission.id)
    return reason
  })
  const claims = submissions.flatMap(({ id, claims }, position) =>
    claims.map((claim, index) => ({ position, index, id, claim, inadmissible: reasons[position] })),
  )
  return { state: current, claims, inadmissible: reasons }
}

/** Whether a document counts as its node's latest, though its claims may not. */
export const isNoted = (reason: RefusalReason | undefined): boolean =>
  reason !== "challenge-mismatch" && reason !== "counter-not-rising"

function noteDocument(state: ArbiterState, { node, incarnation, counter }: ClaimId): ArbiterState {
  return { ...state, lastDocuments: { ...state.lastDocuments, [node]: { incarnation, counter } } }
}

/** Made for another object, replayed, of another configuration, or by one that saw what this object has forgotten. */
function inadmissible(state: ArbiterState, submission: Submission): RefusalReason | undefined {
  if (submission.challenge !== state.witness) return "challenge-mismatch"
  if (documentAge(state, submission.id) === "older") return "counter-not-rising"
  if (submission.configuration < state.rules.version) return "configuration-older"
  if (isOtherProposal(state.rules, submission)) return "configuration-older"
  if (submission.highest.some((seen) => isSetBack(state, seen))) return "set-back"
  if (submission.configuration > state.rules.version && submission.active !== state.rules.version)
    return "configuration-newer"
  return undefined
}

/** By a proposal of the version in use that is not the one which came to be in use. */
export function isOtherProposal(
  rules: Pick<ArbiterRules, "version" | "checksum">,
  { configuration, checksum, active }: Pick<Submission, "configuration" | "checksum" | "active">,
): boolean {
  return active !== undefined && configuration === rules.version && checksum !== rules.checksum
}

/** Whether a node saw a higher tag than stands here: a true object has stored each before it told it (W2). */
export function isSetBack(state: ArbiterState, seen: NamedTag): boolean {
  return isOlderTag(entryOf(state, seen.name), seen)
}

function judge(state: ArbiterState, { id, claim, inadmissible }: JudgedClaim): Verdict {
  if (inadmissible !== undefined) return refuse(inadmissible)
  if (!isConfigured(state.rules, claim.name)) return refuse("unknown-lease")
  if (!isEntitled(state.rules, id.node, claim)) return refuse("not-entitled")
  return judgeClaim(entryOf(state, claim.name), id, claim, state.rules.rho)
}

const isVoice = (name: LeaseName): boolean => name.startsWith("voice:")

function isConfigured(rules: ArbiterRules, name: LeaseName): boolean {
  if (rules.sites.some((site) => voiceLease(site) === name)) return true
  return rules.tickets.some((ticket) => mandateLease(ticket) === name)
}

/** A node speaks for its own site only, and for a view only as one of its members (SPEC W5, W10). */
function isEntitled(rules: ArbiterRules, signer: NodeId, claim: LeaseClaim): boolean {
  const site = rules.nodes.find(({ node }) => node === signer)?.site
  if (site === undefined) return false
  const claimant = claimantOf(claim)
  if (claimant.kind === "site") return !isVoice(claim.name) && claimant.site === site
  return claim.name === voiceLease(site) && claimant.members.includes(signer)
}

function claimantOf(claim: LeaseClaim): LeaseHolder {
  switch (claim.kind) {
    case "voice":
      return { kind: "view", ring: claim.ring, members: claim.members }
    case "mandate":
      return { kind: "site", site: claim.site }
    case "release":
      return claim.by
    default:
      return never(claim)
  }
}

interface Settled {
  readonly state: ArbiterState
  readonly answer: LeaseAnswer
}

function apply(state: ArbiterState, { id, claim }: JudgedClaim, verdict: Verdict): Settled {
  const { name } = claim
  if (verdict.kind === "refuse") {
    const current = isConfigured(state.rules, name) ? summaryOf(entryOf(state, name)) : undefined
    return { state, answer: { kind: "refused", name, reason: verdict.reason, current } }
  }
  const entry = entryOf(state, name)
  const next = nextEntry(entry, id, claim, verdict)
  return { state: { ...state, leases: { ...state.leases, [name]: next } }, answer: answerOf(next, verdict) }
}

type Positive = Exclude<Verdict, { kind: "refuse" }>

function nextEntry(entry: LeaseEntry, id: ClaimId, claim: LeaseClaim, verdict: Positive): LeaseEntry {
  switch (verdict.kind) {
    case "grant":
      return raised({ ...entry, epoch: verdict.epoch }, id, claim, holderOf(claim))
    case "renew":
      assert(entry.grant !== undefined, "what is renewed is held")
      return raised(entry, id, claim, entry.grant.holder)
    case "release":
      assert(claim.kind === "release", "only a release releases")
      return released(entry, claim)
    case "repeat":
    case "released-before":
      return entry
    default:
      return never(verdict)
  }
}

function holderOf(claim: LeaseClaim): LeaseHolder {
  assert(claim.kind !== "release", "a release is never granted")
  return claimantOf(claim)
}

function raised(entry: LeaseEntry, id: ClaimId, claim: LeaseClaim, holder: LeaseHolder): LeaseEntry {
  assert(claim.kind !== "release", "a release raises no grant")
  const { node, incarnation, counter } = id
  return {
    ...entry,
    seq: entry.seq + 1,
    grant: { holder, claim: { node, incarnation, counter } },
    // A holder that asks for a shorter TTL gave up the rest of the longer one before it sent (SPEC W9).
    ttl: claim.ttl,
    memo: claim.kind === "voice" ? nextMemo(entry.memo, claim.memo) : entry.memo,
  }
}

/** Compare-and-set: with another base the stored memo stays, and comes back with the grant (SPEC VL4). */
function nextMemo(stored: Memo, written: ClaimOf<"voice">["memo"]): Memo {
  if (written === undefined || written.base !== stored.version) return stored
  return { version: stored.version + 1, text: written.text }
}

function released(entry: LeaseEntry, claim: ClaimOf<"release">): LeaseEntry {
  const proved = claim.by.kind === "site" && claim.stopped
  return {
    ...entry,
    seq: entry.seq + 1,
    grant: undefined,
    releasedEpoch: proved ? entry.epoch : entry.releasedEpoch,
  }
}

function answerOf(entry: LeaseEntry, verdict: Positive): LeaseAnswer {
  const { name, epoch, seq, ttl, grant } = entry
  if (verdict.kind === "release" || verdict.kind === "released-before")
    return { kind: "released", name, epoch, seq }
  assert(grant !== undefined, "a grant that is told stands in its entry")
  const memo = isVoice(name) ? entry.memo : undefined
  return { kind: answerKinds[verdict.kind], name, epoch, seq, ttl, claim: grant.claim, memo }
}

const answerKinds = { grant: "granted", renew: "renewed", repeat: "repeated" } as const

function summaryOf({ name, grant, epoch, seq, ttl, releasedEpoch }: LeaseEntry): LeaseSummary {
  return { name, holder: grant?.holder, epoch, seq, ttl, releasedEpoch }
}

/** Choice between rivals: current service owner, more votes, configured preference, lowest id (SPEC W10). */
function comparePreference(rules: ArbiterRules, a: JudgedClaim, b: JudgedClaim): number {
  assert(a.claim.kind === "voice" && b.claim.kind === "voice", "only voices are arbitrated")
  return (
    Number(b.claim.ownsService) - Number(a.claim.ownsService) ||
    b.claim.votes - a.claim.votes ||
    rankOf(rules, a.claim.members) - rankOf(rules, b.claim.members) ||
    Math.min(...a.claim.members) - Math.min(...b.claim.members)
  )
}

function rankOf({ preferredNodes }: ArbiterRules, members: readonly NodeId[]): number {
  const rank = preferredNodes.findIndex((node) => members.includes(node))
  return rank === -1 ? preferredNodes.length : rank
}

/** W1: whatever was decided, no epoch and no seq is lower than before. */
function assertNothingFell(before: ArbiterState, after: ArbiterState): void {
  for (const entry of Object.values(before.leases)) {
    const next = after.leases[entry.name]
    assert(next !== undefined, `the entry ${entry.name} is kept`)
    assert(next.epoch >= entry.epoch, `the epoch of ${entry.name} never falls`)
    assert(next.seq >= entry.seq, `the seq of ${entry.name} never falls`)
  }
}
