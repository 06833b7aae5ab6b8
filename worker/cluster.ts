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
import { err } from "../protocol/result.ts"
import { encodeReply, type Summary } from "../protocol/summaries.ts"
import type { WallTime } from "../protocol/units.ts"
import { wallTime } from "../protocol/units.ts"
import type { AdminCommand } from "./admin-commands.ts"
import { type AdminAnswer, administer } from "./administration.ts"
import { Alarm, alarmLost } from "./alarm.ts"
import type { AlertAnswer, AlertCommand } from "./alert-commands.ts"
import { AlertOffice } from "./alert-office.ts"
import type { PlacedEvent } from "./alerts/incidents.ts"
import { readClock } from "./clock.ts"
import { parseConfiguration, type WitnessConfiguration } from "./configuration.ts"
import { type Authorization, Credentials } from "./credentials.ts"
import { type DocumentAnswer, readDocument, type VerifiedDocument } from "./documents.ts"
import type { Environment } from "./environment.ts"
import type { RequestReason } from "./errors.ts"
import { metered } from "./meter.ts"
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
import { Tables } from "./schema.ts"
import { CountedSql } from "./sql.ts"
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

/** What an operator's request came to; `body` is JSON. */
export type ObjectAnswer =
  | { readonly kind: "ok"; readonly body: string }
  | { readonly kind: "refused"; readonly reason: RequestReason; readonly detail: string }

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
  readonly #sql: CountedSql
  readonly #tables: Tables
  readonly #office: AlertOffice
  readonly #credentials: Credentials
  readonly #alarm: Alarm
  #memory: Memory | undefined
  /** Posts with a claim to a voice, waiting for their rivals. */
  #rivals: readonly PendingPost[] = []
  constructor(ctx: DurableObjectState, env: Environment) {
    super(ctx, env)
    this.#sql = new CountedSql(ctx.storage.sql)
    this.#tables = new Tables(this.#sql)
    this.#credentials = new Credentials(this.#sql)
    this.#office = new AlertOffice(this.#sql, {
      cluster: () => this.#memory?.cluster ?? "",
      environment: env,
      events: this.#tables,
      commit: (now, work) => this.#commitAlerts(now, work),
      changed: () => void this.#alarm.keep(),
      dueAt: () => this.#dueAt(),
    })
    this.#alarm = new Alarm(ctx.storage, {
      cluster: () => this.#memory?.cluster ?? "",
      dueAt: () => this.#dueAt(),
      count: (rowsWritten, now) => this.#count(rowsWritten, now),
    })
    if (!this.#tables.exist()) return
    ctx.storage.transactionSync(() => this.#tables.migrate())
    this.#recall()
  }

  /** Creates the cluster or replaces its configuration; never by an older one. Leases stay as they are. */
  async configure(cluster: string, text: string): Promise<ConfigureAnswer> {
    const parsed = parseConfiguration(text)
    if (parsed.kind === "error") {
      return { kind: "refused", reason: "configuration-malformed", detail: parsed.error.detail }
    }
    const stored = this.#memory?.configuration
    const reason = stored && refuseConfiguration(stored, parsed.value)
    if (reason !== undefined)
      return { kind: "refused", reason, detail: `stored is version ${stored?.version}` }
    this.ctx.storage.transactionSync(() => {
      this.#tables.migrate()
      this.#tables.storeConfiguration(cluster, keepingDocument(stored, parsed.value))
      if (stored === undefined) this.#createRecord()
    })
    this.#recall()
    assert(this.#memory !== undefined, "what was stored can be loaded")
    return { kind: "configured", witness: this.#memory.record.witness, created: stored === undefined }
  }

  /** The public keys of the cluster's nodes, for the Worker's verification; `undefined`: no such cluster. */
  async nodeKeys(): Promise<readonly NodeKey[] | undefined> {
    const revoked = this.#memory === undefined ? [] : this.#revokedKeys()
    return this.#memory?.configuration.nodes
      .filter((node) => !revoked.includes(node.public_key))
      .map((node) => ({ node: node.node, key: node.public_key }))
  }

  /** Takes the verified documents of one post, and answers each. Idempotent: a repeated document is told the same grant. */
  async post(documents: readonly VerifiedDocument[]): Promise<PostAnswer> {
    const memory = this.#memory
    if (memory === undefined) return { kind: "unknown-cluster" }
    const revoked = this.#revokedKeys()
    const read = documents.map((document) =>
      revoked.includes(document.key)
        ? err("unknown-key" as const)
        : readDocument(memory.cluster, memory.configuration, document),
    )
    const summaries = read.flatMap((result) => (result.kind === "ok" ? [result.value] : []))
    const outcomes = summaries.length === 0 ? [] : await this.#outcomes(memory, summaries)
    await this.#alarm.keep()
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
    const { incidents, tables } = this.#office.desk
    const letters = tables.newestLetters(eventsShown)
    return JSON.stringify(describeCluster({ ...this.#memory, events, incidents, letters }, readClock()))
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

  /** The registry's: the cluster is no more. */
  async unregisterCluster(name: string): Promise<void> {
    if (this.#tables.exist()) this.#tables.unregisterCluster(name)
  }

  /** The registry's: all clusters there are. */
  async registeredClusters(): Promise<readonly string[]> {
    return this.#tables.exist() ? this.#tables.registeredClusters() : []
  }

  /** An operator's request about alerts; `undefined`: no such cluster. The body is JSON. */
  async alerts(command: AlertCommand): Promise<ObjectAnswer | undefined> {
    if (this.#memory === undefined) return undefined
    const answer = await this.#office.run(command)
    await this.#alarm.keep()
    return asText(answer)
  }

  /** An administrator's request; `undefined`: no such cluster. */
  async administer(command: AdminCommand): Promise<ObjectAnswer | undefined> {
    if (this.#memory === undefined) return undefined
    const { configuration } = this.#memory
    const revokedKeys = this.#revokedKeys()
    const revokeKey = (key: string): void => {
      const keys = JSON.stringify([...new Set([...revokedKeys, key])])
      this.#office.desk.tables.storeSetting("revoked_keys", keys)
    }
    const commit = this.#commitAlerts.bind(this)
    const cluster = { credentials: this.#credentials, configuration, revokedKeys, revokeKey, commit }
    const answer = await administer(command, cluster)
    await this.#alarm.keep()
    return asText(answer)
  }

  /** How far one of the cluster's own credentials reaches. */
  async authorize(credential: string): Promise<Authorization> {
    if (this.#memory === undefined) return { kind: "refused" }
    return this.#credentials.authorize(credential, readClock())
  }

  /**
   * Ends the cluster: its configuration, alerts and credentials go, its epochs stay, so that one of the same name never
   * grants an epoch twice. `configure` brings it back as another incarnation, which nodes quarantine (SPEC W6).
   */
  async remove(): Promise<boolean> {
    if (this.#memory === undefined) return false
    const { record, revision } = this.#memory
    this.#transact(() => {
      const tombstone: WitnessRecord = { ...newRecord(record.witness, readClock()), leases: record.leases }
      assert(
        this.#tables.replaceRecord(revision, JSON.stringify(tombstone)),
        "the stored record is the one known",
      )
      this.#tables.removeConfiguration()
      this.#office.desk.tables.clear()
    })
    this.#recall()
    await this.ctx.storage.deleteAlarm()
    return true
  }

  /** From the cron: a second source for an alarm that was lost, which is worth telling. */
  async poke(): Promise<void> {
    if (this.#memory !== undefined && (await this.#alarm.isLost())) {
      const now = readClock()
      this.#commitAlerts(now, () => [alarmLost(now)])
    }
    await this.#alarm.keep()
  }

  /** The dead-man check, what time brings to alerts, and the deliveries. Idempotent. */
  override async alarm(): Promise<void> {
    await this.#alarm.run(async () => {
      if (this.#memory !== undefined) await this.#office.work(() => this.#expire())
    })
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
    const ending = this.#credentials.nextAt()
    if (ending !== undefined && ending <= now) this.#commitAlerts(now, () => this.#credentials.tellEnds(now))
  }

  /** A new object; or one that was deleted, with its epochs, and as another than the nodes knew. */
  #createRecord(): void {
    const fresh = newRecord(crypto.randomUUID(), readClock())
    const tombstone = this.#tables.record()
    if (tombstone === undefined) return this.#tables.createRecord(JSON.stringify(fresh))
    const { leases }: WitnessRecord = JSON.parse(tombstone.text)
    this.#tables.replaceRecord(tombstone.revision, JSON.stringify({ ...fresh, leases }))
  }

  #revokedKeys(): readonly string[] {
    return JSON.parse(this.#office.desk.tables.setting("revoked_keys") ?? "[]")
  }

  /** One transaction around one pure decision (W2). If it throws, memory is what it was and nobody is told anything. */
  #commit<Decision extends Pick<Receipt, "record" | "events" | "storing" | "configuration">>(
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
      const configuration = decision.configuration ?? memory.configuration
      if (decision.configuration !== undefined)
        this.#tables.storeConfiguration(memory.cluster, JSON.stringify(decision.configuration))
      const next = { ...memory, configuration, record, revision: memory.revision + 1 }
      this.#storeEvents(events, now)
      return { decision, next }
    })
    const { decision, next } = committed
    const meter = metered(next.record.meter, now, { rowsWritten: this.#sql.takeRowsWritten() })
    this.#memory = { ...next, record: { ...next.record, meter } }
    return decision
  }

  /** Rolls back if `work` throws; what is stored is then the truth that the next request starts from. */
  #transact<T>(work: () => T): T {
    try {
      return this.ctx.storage.transactionSync(work)
    } catch (error) {
      this.#recall()
      throw error
    }
  }

  #storeEvents(events: readonly PlacedEvent[], now: WallTime): void {
    for (const event of events) this.#tables.storeEvent(event, now)
    if (events.length === 0) return
    this.#office.desk.take(events, now)
    this.#tables.trimEvents()
  }

  /** A change of alerts only: the leases' record is not touched by it. */
  #commitAlerts(now: WallTime, work: () => readonly PlacedEvent[]): void {
    this.#transact(() => {
      const events = this.#tables.unknownEvents(work())
      for (const event of events) this.#tables.storeEvent(event, now)
      this.#office.desk.take(events, now)
    })
    this.#count(this.#sql.takeRowsWritten(), now)
  }

  #count(rowsWritten: number, now: WallTime): void {
    if (this.#memory === undefined) return
    const { record } = this.#memory
    this.#memory = {
      ...this.#memory,
      record: { ...record, meter: metered(record.meter, now, { rowsWritten }) },
    }
  }

  /** The earliest thing that the alarm has to do. */
  #dueAt(): WallTime | undefined {
    if (this.#memory === undefined) return undefined
    const { record, configuration } = this.#memory
    const due = [
      nextSilenceCheck(record.watch, configuration),
      this.#credentials.nextAt(),
      this.#office.nextAt(),
    ]
    const known = due.filter((each) => each !== undefined)
    return known.length === 0 ? undefined : wallTime(Math.min(...known))
  }

  /** What is stored is the truth that the next request starts from. */
  #recall(): void {
    this.#memory = this.#load()
    if (this.#memory === undefined) return
    this.#office.load(readClock())
    this.#credentials.load()
  }

  #load(): Memory | undefined {
    const configuration = this.#tables.configuration()
    const stored = this.#tables.record()
    if (configuration === undefined || stored === undefined) return undefined
    const parsed = parseConfiguration(configuration.text)
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
}

function asText(answer: AlertAnswer | AdminAnswer): ObjectAnswer {
  return answer.kind === "ok" ? { kind: "ok", body: JSON.stringify(answer.body) } : answer
}

/** An operator registers the same version again without what a live change left with it: that stays. */
function keepingDocument(stored: WitnessConfiguration | undefined, next: WitnessConfiguration): string {
  const document = stored?.version === next.version ? stored.document : undefined
  return JSON.stringify({ ...next, document: next.document ?? document })
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
