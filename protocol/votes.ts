/**
 * Vote arithmetic (SPEC V): which view may speak for a site, and who votes on a mandate. Pure numbers; who holds what
 * lease is decided elsewhere.
 *
 * A site has S votes among its configured nodes; the witness weighs w. Expected votes are E = S + w, the majority is
 * m = floor(E / 2) + 1. A view with V votes speaks alone if V >= m, with the witness if V + w >= m. Why no two disjoint
 * views speak: 2m > E = S + w, hence
 *
 * - both alone: V1 + V2 >= 2m > S, more votes than there are;
 * - one alone, one with the witness: V1 + V2 >= 2m - w > S, again more than there are;
 * - both with the witness: it lends its voice to one view at a time (SPEC W).
 *
 * This holds for every S and w. What w does is choose how few nodes may go on: 1 makes an even site as good as an odd
 * one; S - 1 gives m = S, so that any single vote is enough together with the witness and only the whole site is
 * enough without it.
 */
import { assert } from "./assert.ts"
import type { ClusterConfig, SiteConfig, SplitPolicy } from "./cluster.ts"
import type { NodeId, SiteId, Ticket } from "./units.ts"

/** The parts of a configuration that decide votes. */
export type VotingConfig = Pick<ClusterConfig, "nodes" | "sites" | "witness">

export type ViewStanding =
  | { readonly kind: "majority-alone" }
  /** Speaks only while it holds the witness's voice lease. */
  | { readonly kind: "needs-witness" }
  /** Does not speak, whatever the witness says. */
  | { readonly kind: "minority" }

/** May the view of `members` speak for `site`? Members of other sites, unknown ones and repetitions count nothing. */
export function viewStanding(config: VotingConfig, site: SiteId, members: readonly NodeId[]): ViewStanding {
  return standingOf(votesOf(config, site, members), siteLayout(config, site))
}

/** V: the votes of `members` in `site`, the tie-breaker's extra one included, the witness's not. */
export function votesOf(config: VotingConfig, site: SiteId, members: readonly NodeId[]): number {
  return sum(siteLayout(config, site).voters.filter((voter) => members.includes(voter.node)))
}

/** E: the votes of all configured nodes of the site, the tie-breaker's extra one and the witness's weight. */
export function expectedVotes(config: VotingConfig, site: SiteId): number {
  const { voters, weight } = siteLayout(config, site)
  return sum(voters) + weight
}

/** The smallest number of votes that is more than half of `expected`. */
export function majority(expected: number): number {
  return Math.floor(expected / 2) + 1
}

/**
 * w, for a site whose nodes have `siteVotes` votes together (a tie-breaker's extra one not counted: there is none
 * beside a witness).
 */
export function witnessWeight(siteVotes: number, policy: SplitPolicy, witnessExists: boolean): number {
  assert(Number.isInteger(siteVotes) && siteVotes >= 1, "a site has a whole, positive number of votes")
  if (!witnessExists) return 0
  if (policy === "last-man-standing") return siteVotes - 1
  return siteVotes % 2 === 0 ? 1 : 0
}

export interface Voter {
  readonly node: NodeId
  readonly votes: number
}

/** All numbers that decide who speaks for one site. */
export interface VoteLayout {
  readonly voters: readonly Voter[]
  /** w. */
  readonly weight: number
  /** m, counted over all voters and w. */
  readonly majority: number
}

/** The site must be configured. */
export function siteLayout(config: VotingConfig, site: SiteId): VoteLayout {
  const siteConfig = config.sites.find((each) => each.name === site)
  assert(siteConfig !== undefined, `site ${site} is configured`)
  const nodes = config.nodes.filter((node) => node.site === site)
  const weight = witnessWeight(sum(nodes), siteConfig.policy, config.witness !== undefined)
  const voters = nodes.map((node) => ({ node: node.id, votes: node.votes + extraVote(siteConfig, node.id) }))
  return { voters, weight, majority: majority(sum(voters) + weight) }
}

/**
 * Two disjoint sets of nodes that could speak at the same time without the witness choosing between them: both alone,
 * or the first alone and the second with the witness. `undefined`: there are none, as the proof above says for every
 * layout that `siteLayout` makes; `config.ts` asks all the same, so that a changed rule for w or m cannot go unnoticed.
 */
export function rivalQuorums(
  layout: VoteLayout,
): { readonly alone: readonly NodeId[]; readonly rival: readonly NodeId[] } | undefined {
  const alone = smallestSetReaching(layout.majority, layout.voters)
  if (alone === undefined) return undefined
  const rest = layout.voters.filter((voter) => !alone.includes(voter))
  // What a set leaves over is largest when the set is smallest, so this pair is the only one to look at.
  if (sum(rest) === 0 || sum(rest) + layout.weight < layout.majority) return undefined
  return { alone: alone.map((voter) => voter.node), rival: rest.map((voter) => voter.node) }
}

/** Votes on a mandate: each site's voice one, the witness's one. */
export type MandateVoter = { readonly kind: "site"; readonly site: SiteId } | { readonly kind: "witness" }

/** The ticket's sites and, when their number is even and there is one, the witness. The ticket must be configured. */
export function mandateVoters(
  config: Pick<ClusterConfig, "tickets" | "witness">,
  ticket: Ticket,
): readonly MandateVoter[] {
  const sites: readonly MandateVoter[] = sitesOf(config, ticket).map((site) => ({ kind: "site", site }))
  return witnessVotes(config, sites.length) ? [...sites, { kind: "witness" }] : sites
}

function sitesOf({ tickets }: Pick<ClusterConfig, "tickets">, ticket: Ticket): readonly SiteId[] {
  const found = tickets.find((each) => each.name === ticket)
  assert(found !== undefined, "a ticket that is asked for is configured")
  return found.sites
}

/** Its vote makes the number of voters odd. */
function witnessVotes({ witness }: Pick<ClusterConfig, "witness">, sites: number): boolean {
  return witness !== undefined && sites % 2 === 0
}

/** How many pledges of `mandateVoters` make a mandate. */
export function mandateMajority(config: Pick<ClusterConfig, "tickets" | "witness">, ticket: Ticket): number {
  const { length } = sitesOf(config, ticket)
  return majority(witnessVotes(config, length) ? length + 1 : length)
}

/** The standing of `members` in a layout: for one that is not of the own configuration. */
export function standingIn(layout: VoteLayout, members: readonly NodeId[]): ViewStanding {
  return standingOf(sum(layout.voters.filter((voter) => members.includes(voter.node))), layout)
}

function standingOf(votes: number, layout: VoteLayout): ViewStanding {
  if (votes >= layout.majority) return { kind: "majority-alone" }
  // Never without a vote of its own: w < S, so w alone is less than the majority of S + w.
  if (votes + layout.weight >= layout.majority) return { kind: "needs-witness" }
  return { kind: "minority" }
}

function extraVote(site: SiteConfig, node: NodeId): number {
  return site.tieBreaker === node ? 1 : 0
}

/** A subset with the least sum of votes that is at least `target`; exact, by dynamic programming over the sums. */
function smallestSetReaching(target: number, voters: readonly Voter[]): readonly Voter[] | undefined {
  const setOfSum = new Map<number, readonly Voter[]>([[0, []]])
  for (const voter of voters) {
    for (const [reached, set] of [...setOfSum]) {
      if (!setOfSum.has(reached + voter.votes)) setOfSum.set(reached + voter.votes, [...set, voter])
    }
  }
  const reaching = [...setOfSum.keys()].filter((reached) => reached >= target)
  return setOfSum.get(Math.min(...reaching))
}

function sum(voters: readonly { readonly votes: number }[]): number {
  return voters.reduce((total, voter) => total + voter.votes, 0)
}
