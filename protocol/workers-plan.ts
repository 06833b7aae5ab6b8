/**
 * What Cloudflare allows and charges for what a witness uses (Workers and Durable Objects pricing, as of November 2026). The object
 * keeps below the free plan's day by itself (SPEC A5); `config check` says what a month costs. Look the prices up again
 * before a release.
 */
import type { ClusterConfig } from "./cluster.ts"
import { siteLayout } from "./votes.ts"

/** A day of the free plan, for the whole account. What is beyond it fails until midnight UTC. */
export const freePlan = { rowsWritten: 100_000, requests: 100_000 } as const

/** A month of the paid plan: what the base price includes, and dollars for each million beyond. */
const paidPlan = {
  base: 5,
  workerRequests: { included: 10_000_000, perMillion: 0.3 },
  objectRequests: { included: 1_000_000, perMillion: 0.15 },
  rowsWritten: { included: 50_000_000, perMillion: 1 },
} as const

const dayMs = 86_400_000
const monthDays = 30
/** The alarm by which the object notices a silent site: one row and one request for each. */
const alarmEveryMs = 30_000

/** What a cluster uses in a day. */
export interface WitnessUse {
  /** Summaries posted: each is one request to the Worker and one to the object. */
  readonly posts: number
  readonly alarms: number
  /** Posts that renew a lease, which are written (SPEC W2), and the alarms. */
  readonly rowsWritten: number
}

export interface WitnessCost {
  /** Every view speaks alone: only mandates are renewed at the witness. */
  readonly healthy: WitnessUse
  /** Every site that the witness may speak for lives on its voice. */
  readonly degraded: WitnessUse
  readonly fitsFreePlan: boolean
  /** Summary interval from which on it would fit. */
  readonly fittingInterval: number
  /** Dollars a month on the paid plan, degraded all the time; the first cluster of an account. */
  readonly paidMonth: number
  /** The same for one more cluster of an account that has used up what is included. */
  readonly paidMonthMore: number
}

/** Each site has one reporter. Alerts and their deliveries come on top: some rows and requests for each. */
export function witnessCost(config: ClusterConfig): WitnessCost {
  const sites = config.sites.length
  const { summaryInterval } = config.timings
  const renewing = Math.min(sites, config.tickets.filter(({ sites: of }) => of.length % 2 === 0).length)
  const spokenFor = config.sites.filter(({ name }) => siteLayout(config, name).weight > 0).length
  const healthy = use(sites, renewing, summaryInterval)
  const degraded = use(sites, Math.max(renewing, spokenFor), summaryInterval)
  const fits = ({ posts, alarms, rowsWritten }: WitnessUse) =>
    posts + alarms <= freePlan.requests && rowsWritten <= freePlan.rowsWritten
  return {
    healthy,
    degraded,
    fitsFreePlan: fits(degraded),
    fittingInterval: Math.ceil((sites * dayMs) / (freePlan.requests - dayMs / alarmEveryMs)),
    paidMonth: paidPlan.base + monthlyDollars(degraded, "beyond-included"),
    paidMonthMore: monthlyDollars(degraded, "all"),
  }
}

function use(reporters: number, renewing: number, interval: number): WitnessUse {
  const postsOf = (sites: number): number => Math.ceil((sites * dayMs) / interval)
  const alarms = dayMs / alarmEveryMs
  return { posts: postsOf(reporters), alarms, rowsWritten: postsOf(renewing) + alarms }
}

function monthlyDollars(
  { posts, alarms, rowsWritten }: WitnessUse,
  charged: "all" | "beyond-included",
): number {
  const parts = [
    { plan: paidPlan.workerRequests, used: posts },
    { plan: paidPlan.objectRequests, used: posts + alarms },
    { plan: paidPlan.rowsWritten, used: rowsWritten },
  ]
  const dollars = parts.map(({ plan, used }) => {
    const free = charged === "all" ? 0 : plan.included
    return (Math.max(0, used * monthDays - free) / 1_000_000) * plan.perMillion
  })
  return dollars.reduce((sum, each) => sum + each, 0)
}
