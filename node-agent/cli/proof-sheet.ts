/**
 * The proof sheet of a configuration: why it is safe and live, in its own numbers. Each inequality of SPEC T, Q and V, how
 * long each service is away at most after each kind of fault, and what the witness costs.
 */
import type { ClusterConfig, ServiceConfig } from "../../protocol/cluster.ts"
import { assumed, type FaultBound, faultBounds } from "../../protocol/failover.ts"
import { gradeOf } from "../../protocol/grade.ts"
import { figure, timingProofs } from "../../protocol/timings.ts"
import { type Millis, stretched } from "../../protocol/units.ts"
import { expectedVotes, mandateMajority, mandateVoters, siteLayout } from "../../protocol/votes.ts"
import { freePlan, type WitnessUse, witnessCost } from "../../protocol/workers-plan.ts"

export function proofSheet(config: ClusterConfig): string {
  return [
    ...section("time: what others wait where a holder counts (Q1)", stretchedTimes(config)),
    ...section("timings", timings(config)),
    ...section("votes", [...siteVotes(config), ...ticketVotes(config)]),
    ...config.services.flatMap((service) =>
      section(`worst time without ${service.name}, start not counted`, [
        ...proof(config, service),
        ...faults(config, service),
      ]),
    ),
    `assuming passes of ${config.timings.pass} ms, loops late by ${config.timings.lateness} ms at most; witness ${assumed.witnessAnswer} ms, WAN ${assumed.wanDelay} ms one way, disk ${assumed.write} ms`,
    ...section("witness", cost(config)),
  ].join("\n")
}

function section(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : ["", title, ...lines.map((line) => `  ${line}`)]
}

function stretchedTimes({ timings: t }: ClusterConfig): readonly string[] {
  const line = (key: string, duration: Millis) =>
    `${key}' = ${duration} * (1 + ${t.rho}) / (1 - ${t.rho}) = ${figure(stretched(duration, t.rho))} ms`
  return [line("lease", t.lease), line("voice_ttl", t.voiceTtl), line("mandate_ttl", t.mandateTtl)]
}

function timings(config: ClusterConfig): readonly string[] {
  return timingProofs(config.timings).map(
    ({ rule, figures }) => `${rule.id.padEnd(4)} ${rule.text}: ${figures}`,
  )
}

function siteVotes(config: ClusterConfig): readonly string[] {
  return config.sites.map(({ name, policy, tieBreaker }) => {
    const { weight, majority, voters } = siteLayout(config, name)
    const expected = expectedVotes(config, name)
    const breaker = config.nodes.find(({ id }) => id === tieBreaker)
    const extra = breaker === undefined ? "" : `, tie-breaker ${breaker.name} included`
    return `V6   ${name} (${policy}): nodes ${expected - weight}${extra} + witness ${weight} = ${expected}, majority ${majority}: 2 * ${majority} > ${expected}${voters.length === 1 ? ", one node: it speaks or nobody" : ""}`
  })
}

function ticketVotes(config: ClusterConfig): readonly string[] {
  if (config.sites.length < 2) return []
  return config.tickets.map(({ name }) => {
    const voters = mandateVoters(config, name).map((each) => (each.kind === "site" ? each.site : "witness"))
    return `V10  ticket ${name}: ${mandateMajority(config, name)} of ${voters.length}: ${voters.join(", ")}`
  })
}

/** What would prove its old owner out, and what that makes of a takeover. */
function proof(config: ClusterConfig, service: ServiceConfig): readonly string[] {
  const { word, takeover, problem } = gradeOf(config, service)
  const { node, site } = takeover
  const times = [
    ...(node === undefined ? [] : [`by another node within ${Math.ceil(node)} ms`]),
    ...(site === undefined ? [] : [`by another site within ${Math.ceil(site)} ms`]),
  ]
  const grade = word === "operator-only" ? "OPERATOR ONLY" : word.replace("-", " ")
  return [
    `S21  proof ${grade}: takeover ${times.length === 0 ? "by nobody by itself" : times.join(", ")}`,
    ...(problem === undefined ? [] : [`     ${problem}`]),
  ]
}

function faults(config: ClusterConfig, service: ServiceConfig): readonly string[] {
  const bounds = faultBounds(config, service)
  const width = Math.max(...bounds.map(({ fault }) => fault.length))
  return bounds.flatMap((bound) => {
    const line = `${bound.fault.padEnd(width)}  ${worst(bound).padStart(9)}  ${bound.outcome}`
    return bound.figures === "" ? [line] : [line, `${" ".repeat(width + 13)}= ${bound.figures}`]
  })
}

function worst({ worst: wait, outcome }: FaultBound): string {
  if (wait !== undefined) return `${Math.ceil(wait)} ms`
  return outcome.startsWith("blocked") ? "blocked" : "stops"
}

function cost(config: ClusterConfig): readonly string[] {
  if (config.witness === undefined) return []
  const { healthy, degraded, fitsFreePlan, fittingInterval, paidMonth, paidMonthMore } = witnessCost(config)
  const longest = Math.floor(Math.min(config.timings.voiceTtl, config.timings.mandateTtl) / 3)
  const free = fitsFreePlan
    ? "fits the Workers free plan"
    : `beyond the Workers free plan at summary_interval_ms ${config.timings.summaryInterval}: ${
        fittingInterval <= longest
          ? `fits from ${fittingInterval} on; near the quota the witness asks for up to ${longest} by itself (A5)`
          : `it would need ${fittingInterval}, the TTLs allow ${longest} (T8, T9): use the paid plan`
      }`
  return [
    useLine("healthy ", healthy),
    useLine("degraded", degraded),
    `${free} (a day: ${count(freePlan.requests)} requests, ${count(freePlan.rowsWritten)} rows written, for the account)`,
    `paid plan, degraded all month: $${paidMonth.toFixed(2)} with the base price; one more cluster at most $${paidMonthMore.toFixed(2)}`,
  ]
}

function useLine(state: string, { posts, alarms, rowsWritten }: WitnessUse): string {
  const month = (daily: number): string => count(daily * 30)
  return `${state}  a month: ${month(posts)} requests to the Worker, ${month(posts + alarms)} to its object, ${month(rowsWritten)} rows written (a day: ${count(posts + alarms)} and ${count(rowsWritten)})`
}

function count(value: number): string {
  return value.toLocaleString("en-US")
}
