/**
 * The Durable Object of one cluster: loads the record, decides purely (`record.ts`), writes and answers.
 *
 * Why a grant from here can be relied on (SPEC W1, W2):
 * 1. The decision and its write stand in one synchronous transaction; nothing is awaited between them.
 * 2. Every answer but a refusal comes with a write, as compare-and-set on the record's revision. An instance that was
 *    replaced elsewhere learns so by that write, and what it wanted to say is discarded with it.
 * 3. The platform holds the answer back until the write is durable (output gate). `setAlarm` is the only other write here,
 *    and none of them uses `allowUnconfirmed`.
 * No lease ends by a clock here: `readClock` serves alerts, deliveries and day counters only (W3).
 *
 * One instance, named `registryName`, keeps no cluster but the list of those that there are, for the cron's pokes. It is
 * an instance of this class because a second class would be a second migration and binding in every deployment, for one
 * table of names.
 */
import { DurableObject } from "cloudflare:workers"
import { assert } from "../protocol/assert.ts"
import { encodeReply, type ReportedEvent, type Summary } from "../protocol/summaries.ts"
import type { WallTime } from "../protocol/units.ts"
import { dispose } from "./alerts/delivery.ts"
import { classify, type Receiver, requestFor, traitsOf } from "./alerts/receivers/receiver.ts"
import { deliveryFailedKind, receiversFor } from "./alerts/route.ts"
import type { TargetPolicy } from "./alerts/target.ts"
import { readClock } from "./clock.ts"
import { parseConfiguration, type WitnessConfiguration } from "./configuration.ts"
import { type DocumentAnswer, readDocument, type VerifiedDocument } from "./documents.ts"
import type { Environment } from "./environment.ts"
import type { RequestReason } from "./errors.ts"
import { metered } from "./meter.ts"
import { attempt, notificationOf } from "./notify.ts"
import { describeCluster, describeEvent } from "./overview.ts"
import {
  expire,
  mayMeetRivals,
  newRecord,
  type Outcome,
  type Receipt,
  receive,
  type WitnessRecord,
} from "./record.ts"
import { type Letter, type StoredEvent, Tables } from "./schema.ts"
import { nextSilenceCheck, recalled } from "./watch.ts"

/** The instance that lists the clusters; no cluster can have this name. */
export const registryName = ":registry"

export interface NodeKey {
  readonly node: number
  readonly key: string
}

export type PostAnswer =
  | { readonly kind: "unknown-cluster" }
  | { readonly kind: "answered"; readonly answers: readonly DocumentAnswer[] }

export type ConfigureAnswer =
  | { readonly kind: "configured"; readonly witness: string; readonly created: boolean }
  | { readonly kind: "refused"; readonly reason: RequestReason; readonly detail: string }

/** At most so many deliveries in one run of the alarm: six outgoing connections are allowed at a time. */
const lettersPerAlarm = 5
/** An alarm that is this late was lost: the platform promises a minute. */
const alarmOverdueMs = 60_000
/** Never in the past, or the alarm fires in a loop. */
const alarmSoonestMs = 50
const eventsShown = 200

/** The cluster as this instance knows it; replaced whole after each write, and only then. */
interface Memory {
  readonly cluster: string
  readonly configuration: WitnessConfiguration
  readonly record: WitnessRecord
  /** Of the stored record: what a write must find. */
  readonly revision: number
}

interface PendingPost {
  readonly summaries: readonly Summary[]
  outcomes: readonly Outcome[] | undefined
}

export class ClusterWitness extends DurableObject<Environment> {
  readonly #tables: Tables
  #memory: Memory | undefined
  /** Posts with a claim to a voice, waiting for their rivals. */
  #rivals: readonly PendingPost[] = []
  #nextLetterAt: WallTime | undefined

  constructor(ctx: DurableObjectState, env: Environment) {
    super(ctx, env)
    this.#tables = new Tables(ctx.storage.sql)
    if (!this.#tables.exist()) return
    ctx.storage.transactionSync(() => this.#tables.migrate())
    this.#memory = this.#load()
    this.#nextLetterAt = this.#tables.nextLetterAt()
  }

  /** Creates the cluster or replaces its configuration; never by an older one. Leases stay as they are. */
  async configure(cluster: string, text: string): Promise<ConfigureAnswer> {
    const parsed = parseConfiguration(text, this.#targetPolicy())
    if (parsed.kind === "error") {
      return { kind: "refused", reason: "configuration-malformed", detail: parsed.error.detail }
    }
    const stored = this.#memory?.configuration
    const reason = stored && refuseConfiguration(stored, parsed.value)
    if (reason !== undefined)
      return { kind: "refused", reason, detail: `stored is version ${stored?.version}` }
    this.ctx.storage.transactionSync(() => {
      this.#tables.migrate()
      this.#tables.storeConfiguration(cluster, text)
      if (stored === undefined)
        this.#tables.createRecord(JSON.stringify(newRecord(crypto.randomUUID(), readClock())))
    })
    this.#memory = this.#load()
    assert(this.#memory !== undefined, "what was stored can be loaded")
    return { kind: "configured", witness: this.#memory.record.witness, created: stored === undefined }
  }

  /** The public keys of the cluster's nodes, for the Worker's verification; `undefined`: no such cluster. */
  async nodeKeys(): Promise<readonly NodeKey[] | undefined> {
    return this.#memory?.configuration.nodes.map((node) => ({ node: node.node, key: node.public_key }))
  }

  /** Takes the verified documents of one post, and answers each. Idempotent: a repeated document is told the same grant. */
  async post(documents: readonly VerifiedDocument[]): Promise<PostAnswer> {
    const memory = this.#memory
    if (memory === undefined) return { kind: "unknown-cluster" }
    const read = documents.map((document) => readDocument(memory.cluster, memory.configuration, document))
    const summaries = read.flatMap((result) => (result.kind === "ok" ? [result.value] : []))
    const outcomes = summaries.length === 0 ? [] : await this.#outcomes(memory, summaries)
    await this.#keepAlarm()
    const next = outcomes.values()
    const answers = read.map((result) => {
      if (result.kind === "error") return { kind: "refused" as const, reason: result.error }
      const outcome = next.next().value
      assert(outcome !== undefined, "every document that was read has an outcome")
      return outcome.kind === "refused"
        ? outcome
        : { kind: "reply" as const, payload: encodeReply(outcome.reply) }
    })
    return { kind: "answered", answers }
  }

  /** The cluster as JSON for its operator; `undefined`: no such cluster. */
  async describe(): Promise<string | undefined> {
    if (this.#memory === undefined) return undefined
    const events = this.#tables.newestEvents(eventsShown)
    const letters = this.#tables.newestLetters(eventsShown)
    return JSON.stringify(describeCluster({ ...this.#memory, events, letters }, readClock()))
  }

  /** The newest events as JSON; `undefined`: no such cluster. */
  async describeEvents(limit: number): Promise<string | undefined> {
    if (this.#memory === undefined) return undefined
    return JSON.stringify({ events: this.#tables.newestEvents(limit).map(describeEvent) })
  }

  /** The registry's: remembers a cluster for the cron. */
  async registerCluster(name: string): Promise<void> {
    this.ctx.storage.transactionSync(() => {
      this.#tables.migrate()
      this.#tables.registerCluster(name)
    })
  }

  /** The registry's: all clusters there are. */
  async registeredClusters(): Promise<readonly string[]> {
    return this.#tables.exist() ? this.#tables.registeredClusters() : []
  }

  /** From the cron: a second source for an alarm that was lost. */
  async poke(): Promise<void> {
    await this.#keepAlarm()
  }

  /** The dead-man check and the deliveries. Idempotent; catches everything, because a seventh failure would end it. */
  override async alarm(): Promise<void> {
    try {
      this.#expire()
      await this.#deliver()
    } catch (error) {
      console.error({ message: "the alarm failed", cluster: this.#memory?.cluster, error: String(error) })
    }
    await this.#arm(await this.ctx.storage.getAlarm())
  }

  async #outcomes(memory: Memory, summaries: readonly Summary[]): Promise<readonly Outcome[]> {
    const post: PendingPost = { summaries, outcomes: undefined }
    const window = memory.configuration.arbitration_window_ms
    if (window > 0 && mayMeetRivals(memory.configuration, memory.record, summaries)) {
      this.#rivals = [...this.#rivals, post]
      await scheduler.wait(window)
      // Whoever wakes first decides for all that wait; each can, so that none depends on another's request to live.
      if (post.outcomes === undefined) this.#decide([...this.#rivals.filter((each) => each !== post), post])
    } else {
      this.#decide([post])
    }
    assert(post.outcomes !== undefined, "a decision answers every post that met")
    return post.outcomes
  }

  #decide(posts: readonly PendingPost[]): void {
    const now = readClock()
    const summaries = [...posts].flatMap((post) => post.summaries)
    const receipt = this.#commit(now, ({ configuration, record }) => {
      const meter = metered(record.meter, now, { posts: posts.length })
      return receive(configuration, { ...record, meter }, summaries, now)
    })
    this.#rivals = this.#rivals.filter((each) => !posts.includes(each))
    let start = 0
    for (const post of posts) {
      post.outcomes = receipt.outcomes.slice(start, start + post.summaries.length)
      start += post.summaries.length
    }
  }

  #expire(): void {
    if (this.#memory === undefined) return
    const now = readClock()
    this.#commit(now, ({ configuration, record }) => expire(configuration, record, now))
  }

  /** One transaction around one pure decision (W2). If it throws, memory is what it was and nobody is told anything. */
  #commit<Decision extends Pick<Receipt, "record" | "events" | "storing">>(
    now: WallTime,
    decide: (memory: Memory) => Decision,
  ): Decision {
    const memory = this.#memory
    assert(memory !== undefined, "only a configured cluster decides")
    const committed = this.#transact(() => {
      const decision = decide(memory)
      const events = this.#tables.unknownEvents(decision.events)
      if (decision.storing === "not-needed" && events.length === 0) {
        return { decision, next: { ...memory, record: decision.record } }
      }
      const record = { ...decision.record, storedAt: now }
      const replaced = this.#tables.replaceRecord(memory.revision, JSON.stringify(record))
      assert(replaced, "the stored record is the one that was decided on")
      this.#storeEvents(memory, events, now)
      return { decision, next: { ...memory, record, revision: memory.revision + 1 } }
    })
    const { decision, next } = committed
    const meter = metered(next.record.meter, now, { rowsWritten: this.#tables.takeRowsWritten() })
    this.#memory = { ...next, record: { ...next.record, meter } }
    return decision
  }

  /** Rolls back if `work` throws; what is stored is then the truth that the next request starts from. */
  #transact<T>(work: () => T): T {
    try {
      return this.ctx.storage.transactionSync(work)
    } catch (error) {
      this.#memory = this.#load()
      throw error
    }
  }

  #storeEvents({ configuration }: Memory, events: readonly ReportedEvent[], now: WallTime): void {
    for (const event of events) {
      this.#tables.storeEvent(event, now)
      for (const receiver of receiversFor(event, configuration.receivers)) {
        this.#tables.postLetter(event.id, receiver, now)
        this.#nextLetterAt = now
      }
    }
    if (events.length > 0) this.#tables.trimEvents()
  }

  async #deliver(): Promise<void> {
    const now = readClock()
    if (this.#nextLetterAt === undefined || this.#nextLetterAt > now) return
    await Promise.all(this.#tables.dueLetters(now, lettersPerAlarm).map((letter) => this.#send(letter)))
    this.#nextLetterAt = this.#tables.nextLetterAt()
  }

  async #send(letter: Letter): Promise<void> {
    const memory = this.#memory
    const event = this.#tables.event(letter.eventId)
    const receiver = memory?.configuration.receivers.find(({ name }) => name === letter.receiver)
    if (memory === undefined || event === undefined || receiver === undefined) {
      this.#tables.settleLetter(letter, { state: "dead", nextAt: letter.nextAt, reason: "receiver removed" })
      return
    }
    const made = await this.#attempt(memory.cluster, letter, event, receiver)
    this.#settle(letter, event, dispose(made.outcome, { ...made, now: readClock(), chance: chance() }))
  }

  async #attempt(cluster: string, letter: Letter, event: StoredEvent, receiver: Receiver) {
    // What a rejected letter says next stands in no column yet: the word of the rejection does.
    const rendering = /^status (400|413|415|422)/.test(letter.reason)
      ? ("minimal" as const)
      : ("full" as const)
    const notification = notificationOf(cluster, receiver.name, event)
    const context = { now: readClock(), reference: undefined, rendering }
    const request = await requestFor(notification, receiver, context)
    assert(request !== undefined, "every service has a word for a trigger")
    const answer = await attempt(request, this.#targetPolicy())
    const outcome = classify(receiver, answer, readClock())
    const { lane } = traitsOf(receiver)
    return { outcome, lane, attempts: letter.attempts + 1, firstAt: event.recordedAt, rendering }
  }

  #settle(letter: Letter, event: ReportedEvent, disposition: ReturnType<typeof dispose>): void {
    const now = readClock()
    if (disposition.kind === "delivered") {
      this.#tables.settleLetter(letter, { state: "delivered", nextAt: now, reason: "" })
      return
    }
    if (disposition.kind === "again") {
      this.#tables.settleLetter(letter, {
        state: "pending",
        nextAt: disposition.at,
        reason: disposition.reason,
      })
      return
    }
    this.#commit(now, ({ record }) => {
      const died = this.#tables.settleLetter(letter, {
        state: "dead",
        nextAt: now,
        reason: disposition.reason,
      })
      // News about failed news stays a dead letter: it must not breed.
      const events =
        died && event.kind !== deliveryFailedKind ? [deliveryFailed(letter, disposition.reason, now)] : []
      return { record, events, storing: "not-needed" as const }
    })
  }

  /** Sees to it that an alarm is set. Alerts depend on it, rights do not: a failure here keeps no grant back. */
  async #keepAlarm(): Promise<void> {
    try {
      await this.#arm(await this.ctx.storage.getAlarm())
    } catch (error) {
      console.error({
        message: "the alarm could not be set",
        cluster: this.#memory?.cluster,
        error: String(error),
      })
    }
  }

  /** One lazy alarm: at the earliest thing due, moved only to be earlier or if it was lost. */
  async #arm(armed: number | null): Promise<void> {
    const memory = this.#memory
    if (memory === undefined) return
    const due = [nextSilenceCheck(memory.record.watch, memory.configuration), this.#nextLetterAt]
    const earliest = Math.min(...due.map((each) => each ?? Number.POSITIVE_INFINITY))
    if (earliest === Number.POSITIVE_INFINITY) return
    const now = readClock()
    const lost = armed === null || now - armed > alarmOverdueMs
    if (!lost && armed <= earliest) return
    const at = Math.max(earliest, now + alarmSoonestMs)
    if (!lost && armed <= at) return
    const meter = metered(memory.record.meter, now, { rowsWritten: 1 })
    this.#memory = { ...memory, record: { ...memory.record, meter } }
    await this.ctx.storage.setAlarm(at)
  }

  #load(): Memory | undefined {
    const configuration = this.#tables.configuration()
    const stored = this.#tables.record()
    if (configuration === undefined || stored === undefined) return undefined
    // Stored under the policy of its day; what a receiver's URL may be now is asked before each sending.
    const parsed = parseConfiguration(configuration.text, "private-allowed")
    assert(parsed.kind === "ok", "a configuration was checked before it was stored")
    const record: WitnessRecord = JSON.parse(stored.text)
    const known = { ...record, watch: recalled(record.watch) }
    return {
      cluster: configuration.cluster,
      configuration: parsed.value,
      record: known,
      revision: stored.revision,
    }
  }

  #targetPolicy(): TargetPolicy {
    return this.env.ALLOW_PRIVATE_RECEIVERS === "1" ? "private-allowed" : "public"
  }
}

/** In [0, 1), for the jitter of retries. */
function chance(): number {
  const [word] = crypto.getRandomValues(new Uint32Array(1))
  return (word ?? 0) / 2 ** 32
}

function refuseConfiguration(
  stored: WitnessConfiguration,
  next: WitnessConfiguration,
): RequestReason | undefined {
  if (next.version < stored.version) return "configuration-older"
  return next.version === stored.version && next.checksum !== stored.checksum
    ? "configuration-conflict"
    : undefined
}

function deliveryFailed(letter: Letter, reason: string, now: WallTime): ReportedEvent {
  return {
    id: `${deliveryFailedKind}:${letter.receiver}:${now}`,
    kind: deliveryFailedKind,
    subject: letter.receiver,
    severity: "warning",
    at: now,
    detail: `event ${letter.eventId} was given up: ${reason}`.slice(0, 512),
  }
}
