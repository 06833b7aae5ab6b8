/**
 * The witness of the world: the real arbiter over its stored state. What surrounds it is made up: the arbitration
 * window, restarts that lose what was under way, an object that was set back or replaced, a stale twin that still answers,
 * and a clock that steps, which nothing may depend on.
 */

import { assert } from "../../protocol/assert.ts"
import type { ClusterConfig } from "../../protocol/cluster.ts"
import type { LeaseName, LeaseTag } from "../../protocol/lease.ts"
import { registrationOf } from "../../protocol/registration.ts"
import type { Reply, Summary } from "../../protocol/summaries.ts"
import { millis } from "../../protocol/units.ts"
import {
  type ArbiterState,
  arbitrate,
  documentAge,
  isSetBack,
  leaseSummaries,
  submissionOf,
  wantsArbitration,
} from "../../worker/arbiter.ts"
import { arbiterRules, parseConfiguration, type WitnessConfiguration } from "../../worker/configuration.ts"
import { configurationTold, registered } from "../../worker/registration.ts"
import { draw, type Random } from "../core/random.ts"

interface Waiting {
  readonly summary: Summary
  readonly answer: (reply: Reply) => void
}

export class WorldWitness {
  state: ArbiterState
  up = true
  /** How long claims that would change a voice's holder wait for rivals; 0: they are decided at once. */
  window = 0
  /** What the object's own clock is off by: it moves between machines. */
  clockOffset = 0
  /** An instance that was replaced and does not know it yet: its state stands still, its share of the posts goes there. */
  twin: { readonly state: ArbiterState; readonly share: number } | undefined
  /** Grants and renewals, all told. */
  granted = 0
  /** The highest tags ever told by this object, for mandates also by those that it took the place of. */
  readonly #told = new Map<string, LeaseTag>()
  #waiting: Waiting[] = []
  #objects = 0
  /** All that were ever registered, by version. */
  readonly #configurations = new Map<number, WitnessConfiguration>()
  readonly #schedule: (delay: number, run: () => void) => void

  readonly #now: () => number

  constructor(config: ClusterConfig, schedule: (delay: number, run: () => void) => void, now: () => number) {
    this.#schedule = schedule
    this.#now = now
    this.state = emptyState(this.#noted(config), 0)
  }

  /** `quorumbeat witness register`: an operator's word. */
  register(config: ClusterConfig): void {
    this.state = { ...this.state, rules: arbiterRules(this.#noted(config)) }
  }

  #noted(config: ClusterConfig): WitnessConfiguration {
    const told = JSON.stringify({ ...registrationOf(config), preferred_nodes: [] })
    const parsed = parseConfiguration(told)
    assert(parsed.kind === "ok", "a configuration registers itself")
    this.#configurations.set(config.version, parsed.value)
    return parsed.value
  }

  /** What the object's own clock shows. No decision may ask. */
  clock(): number {
    return this.#now() + this.clockOffset
  }

  /** A restart: what was stored is kept, what waited for rivals is never answered. */
  restart(): void {
    this.#waiting = []
  }

  /** A backup restored: the same object, set back to `state`. */
  rollBack(state: ArbiterState): void {
    this.restart()
    this.state = state
    this.forgot()
  }

  /** Every lease of what was forgotten has run out, and an operator knows: from here on the object is what it says. */
  accept(): void {
    this.#told.clear()
    this.state = { ...this.state, rules: arbiterRules(this.#newest()) }
  }

  /** The object was deleted and made anew from the newest file: another incarnation, nothing known of leases. */
  replace(): void {
    this.restart()
    this.#objects += 1
    this.state = emptyState(this.#newest(), this.#objects)
    this.forgot()
  }

  /** Called when what was stored is gone. */
  forgot: () => void = () => undefined

  /** `random` decides which instance gets it, while there are two. */
  receive(summary: Summary, answer: (reply: Reply) => void, random?: Random): void {
    if (this.#isBeyondDetection(summary)) return
    const { twin } = this
    if (twin !== undefined && random !== undefined && draw(random) < twin.share)
      return this.#askTwin(twin.state, { summary, answer })
    if (this.window > 0 && wantsArbitration(this.state, submissionOf(summary))) {
      if (this.#waiting.length === 0) this.#schedule(this.window, () => this.#decideWaiting())
      this.#waiting.push({ summary, answer })
    } else {
      this.#decide([{ summary, answer }])
    }
  }

  /**
   * Nobody can tell that the object was set back, if the claimant never heard of what it forgot, nor at a site that never met the
   * one before that it was made anew: that is beyond what SPEC W6 promises, so such a claim is lost on its way.
   */
  #isBeyondDetection({ challenge, highest, claims, configuration }: Summary): boolean {
    // Registered, and forgotten since: who never heard of that configuration speaks by an older one.
    if (configuration.version < this.#newest().version && this.state.rules.version < this.#newest().version)
      return true
    // Who names another object is granted nothing, and learns from the answer that this is not the one.
    const knows = challenge !== this.state.witness || highest.some((seen) => isSetBack(this.state, seen))
    return !knows && claims.some(({ name }) => this.#hasForgotten(name))
  }

  #hasForgotten(name: LeaseName): boolean {
    const told = this.#told.get(this.#toldUnder(name))
    return told !== undefined && isSetBack(this.state, { name, ...told })
  }

  /** Within a site each view that speaks alone knows the one before (V6); who else meets a new one does not believe it. */
  #toldUnder(name: LeaseName): string {
    return name.startsWith("voice:") ? `${this.state.witness} ${name}` : name
  }

  #decideWaiting(): void {
    this.#decide(this.#waiting.splice(0))
  }

  #configuration(): WitnessConfiguration {
    const configuration = this.#configurations.get(this.state.rules.version)
    assert(configuration !== undefined, "what rules was registered")
    return configuration
  }

  /** What views have changed is registered before anything is decided. */
  #register({ summary }: Waiting): void {
    const isOlder = documentAge(this.state, submissionOf(summary).id) === "older"
    if (summary.challenge !== this.state.witness || isOlder) return
    const next = registered(this.#configuration(), this.state.leases, summary)
    if (next === undefined) return
    this.#configurations.set(next.version, next)
    this.state = { ...this.state, rules: arbiterRules(next) }
  }

  #newest(): WitnessConfiguration {
    const newest = this.#configurations.get(Math.max(...this.#configurations.keys()))
    assert(newest !== undefined, "the first one is registered")
    return newest
  }

  #decide(waiting: readonly Waiting[]): void {
    for (const each of waiting) this.#register(each)
    const { state, answers } = arbitrate(
      this.state,
      waiting.map(({ summary }) => submissionOf(summary)),
    )
    this.state = state
    for (const lease of leaseSummaries(state)) {
      if (!this.#hasForgotten(lease.name)) this.#told.set(this.#toldUnder(lease.name), lease)
    }
    for (const [index, { summary, answer }] of waiting.entries()) {
      const mine = answers[index] ?? []
      this.granted += mine.filter(({ kind }) => kind === "granted" || kind === "renewed").length
      answer(this.#replyTo(summary, state, mine))
    }
  }

  #replyTo(summary: Summary, state: ArbiterState, answers: Reply["answers"]): Reply {
    return {
      node: summary.node,
      incarnation: summary.incarnation,
      counter: summary.counter,
      cluster: summary.cluster,
      witness: state.witness,
      leases: leaseSummaries(state),
      answers,
      interval: millis(2000),
      quotaPercent: 1,
      configuration: configurationTold(this.#configuration(), summary),
    }
  }

  /** What it would have to write fails, and is never answered; a mere no is believed to be harmless (SPEC W2). */
  #askTwin(stale: ArbiterState, { summary, answer }: Waiting): void {
    const { answers } = arbitrate(stale, [submissionOf(summary)])
    const mine = answers[0] ?? []
    if (mine.every(({ kind }) => kind === "refused")) answer(this.#replyTo(summary, stale, mine))
  }
}

function emptyState(configuration: WitnessConfiguration, object: number): ArbiterState {
  return {
    witness: `00112233445566778899aabbccddee${object.toString(16).padStart(2, "0")}`,
    rules: arbiterRules(configuration),
    leases: {},
    lastDocuments: {},
  }
}
