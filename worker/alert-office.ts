/**
 * Everything about alerts that the object of a cluster does: the desk that decides, the outbox that sends, the secrets of
 * receivers, the heartbeat to a second monitor, and what operators ask. Each command stores all of it or nothing.
 */
import { never } from "../protocol/assert.ts"
import type { WallTime } from "../protocol/units.ts"
import { wallTime } from "../protocol/units.ts"
import { type AlertAnswer, type AlertCommand, refused } from "./alert-commands.ts"
import { AlertDesk, silencesMax } from "./alert-desk.ts"
import { AlertOutbox } from "./alert-outbox.ts"
import { describeIncident, describeLetter, describeSilence, explain } from "./alert-overview.ts"
import type { Letter } from "./alert-tables.ts"
import { notifiedIncident } from "./alerts/groups.ts"
import { incidentId } from "./alerts/identity.ts"
import { isFiring, type PlacedEvent } from "./alerts/incidents.ts"
import type { Notification } from "./alerts/notification.ts"
import { describeReceiver, type Receiver } from "./alerts/receivers/receiver.ts"
import { type AlertSecrets, formatRulesError, noSecrets, parseRules } from "./alerts/rules.ts"
import { isSealedByNewest, type KeyRing, openText, readKeyRing, sealText } from "./alerts/sealing.ts"
import type { TargetPolicy } from "./alerts/target.ts"
import { readClock } from "./clock.ts"
import type { Environment } from "./environment.ts"
import { Heartbeat } from "./heartbeat.ts"
import type { Tables } from "./schema.ts"
import type { CountedSql } from "./sql.ts"

export interface OfficeSurroundings {
  readonly cluster: () => string
  readonly environment: Environment
  readonly events: Tables
  /** One transaction: `work`, and the events it returns. */
  readonly commit: (now: WallTime, work: () => readonly PlacedEvent[]) => void
  /** There may be something for the alarm to do that it was not set for. */
  readonly changed: () => void
  /** The earliest thing that the alarm has to do. */
  readonly dueAt: () => WallTime | undefined
}

const eventsListedMs = 7 * 86_400_000
/** Fifty requests are allowed in one run on the free plan; the next alarm goes on. */
const requestsPerRun = 40
/** So long a run of the alarm may be, and some attempts longer. */
const runMs = 30_000
/** How long a run waits until it looks around again, whatever is due: a post may have brought something. */
const movementMinMs = 50
const movementMaxMs = 1_000

export class AlertOffice {
  readonly desk: AlertDesk
  readonly outbox: AlertOutbox
  readonly #surroundings: OfficeSurroundings
  #secrets: AlertSecrets | undefined
  readonly #heartbeat: Heartbeat

  constructor(sql: CountedSql, surroundings: OfficeSurroundings) {
    this.#surroundings = surroundings
    const { cluster, environment } = surroundings
    this.desk = new AlertDesk(sql, {
      cluster,
      publicUrl: () => pageOf(environment.PUBLIC_URL, cluster()),
      post: (notification, now) => this.outbox.post(notification, now),
    })
    this.outbox = new AlertOutbox(this.desk.tables, {
      receivers: async () => (await this.#opened()).receivers,
      groups: () => this.desk.groups,
      dedupKey: (lead) => `${cluster()}:${lead}`,
      policy: () => this.#policy(),
      commit: surroundings.commit,
      changed: surroundings.changed,
    })
    this.#heartbeat = new Heartbeat({
      cluster,
      target: async () => (await this.#opened()).heartbeat,
      policy: () => this.#policy(),
      changed: surroundings.changed,
    })
  }

  load(now: WallTime): void {
    this.desk.load(now)
    this.outbox.load()
    const every = this.desk.tables.setting("heartbeat_every_ms")
    this.#heartbeat.every = every === undefined || every === "" ? undefined : Number(every)
    this.#secrets = undefined
  }

  /** When the alarm has something to do here. */
  nextAt(): WallTime | undefined {
    const due = [this.desk.nextAt(), this.outbox.nextAt(), this.#heartbeat.nextAt()].filter(
      (each) => each !== undefined,
    )
    return due.length === 0 ? undefined : wallTime(Math.min(...due))
  }

  /**
   * One run of the alarm: what time brings, the letters that are due and the sign of life, and what becomes due while answers
   * are awaited. What hangs holds up nothing of it; a run that is long enough leaves it to the next one.
   * `expire`: what time brings outside of alerts.
   */
  async work(expire: () => void): Promise<void> {
    const from = readClock()
    for (let requests = 0; ; ) {
      expire()
      this.#advance()
      requests += this.outbox.start(requestsPerRun - requests)
      requests += this.#heartbeat.start()
      const isIdle = this.outbox.isIdle && this.#heartbeat.underWay === undefined
      if (isIdle || requests >= requestsPerRun || readClock() - from >= runMs) return
      await this.#movement()
    }
  }

  #advance(): void {
    const now = readClock()
    const next = this.desk.nextAt()
    if (next !== undefined && next <= now) this.#surroundings.commit(now, () => [])
  }

  /** An answer, a new letter, or the time of something else. */
  async #movement(): Promise<void> {
    const due = (this.#surroundings.dueAt() ?? Number.POSITIVE_INFINITY) - readClock()
    const wait = Math.min(Math.max(due, movementMinMs), movementMaxMs)
    const stop = new AbortController()
    const time = scheduler.wait(wait, { signal: stop.signal }).catch(() => undefined)
    try {
      await Promise.race([time, this.outbox.moved(), this.#heartbeat.underWay ?? time])
    } finally {
      stop.abort()
    }
  }

  async run(command: AlertCommand): Promise<AlertAnswer> {
    const now = readClock()
    switch (command.kind) {
      case "list-incidents":
        return this.#listIncidents(command)
      case "explain":
        return this.#explain(command.incident)
      case "acknowledge":
      case "resolve":
        return this.#change(command, now)
      case "list-silences":
        return ok({ silences: this.desk.silences.map((silence) => describeSilence(silence, now)) })
      case "silence":
        return this.#silence(command, now)
      case "end-silence":
        return this.#endSilence(command.id, now)
      case "show-rules":
        return ok(await this.#showRules())
      case "check-rules":
      case "replace-rules":
        return this.#takeRules(command.kind, command.text)
      case "list-events":
        return this.#listEvents(command, now)
      case "list-deliveries":
        return this.#listDeliveries(command)
      case "replay":
        return this.#replay([command.id], now)
      case "replay-dead":
        return this.#replay(this.#deadOf(command.receiver), now)
      case "test":
        return this.#test(command.receiver, now)
      default:
        return never(command)
    }
  }

  #listIncidents({ state, limit }: AlertCommand & { readonly kind: "list-incidents" }): AlertAnswer {
    const all = state === "all" ? this.desk.tables.newestIncidents(limit) : this.desk.incidents
    const shown = state === "all" ? all : all.filter(({ phase }) => phase !== "resolved").slice(-limit)
    return ok({ incidents: shown.map(describeIncident) })
  }

  #explain(id: string): AlertAnswer {
    const incident = this.desk.find(id) ?? this.desk.tables.incident(id)
    if (incident === undefined) return refused("unknown-incident", id)
    const letters = this.desk.tables.lettersAbout(incident.id)
    const { rules, silences, incidents, groups } = this.desk
    return ok(explain(incident, { rules, silences, incidents, groups, letters, now: readClock() }))
  }

  #change(
    { kind, incident: id, by }: AlertCommand & { readonly kind: "acknowledge" | "resolve" },
    now: WallTime,
  ): AlertAnswer {
    const incident = this.desk.find(id)
    if (incident === undefined) return refused("unknown-incident", id)
    if (!isFiring(incident)) return refused("incident-not-open", `${incident.title}: ${incident.phase}`)
    this.#surroundings.commit(now, () => {
      if (kind === "acknowledge") this.desk.acknowledge(incident.id, by, now)
      else this.desk.resolve(incident.id, by, now)
      return []
    })
    return this.#explain(incident.id)
  }

  #silence({ silence }: AlertCommand & { readonly kind: "silence" }, now: WallTime): AlertAnswer {
    const { starts_at_ms: startsAt = now, ends_at_ms: endsAt, ...rest } = silence
    if (endsAt <= now || endsAt <= startsAt)
      return refused("body-malformed", "ends_at_ms: it is over already")
    if (this.desk.silences.length >= silencesMax) return refused("limit-reached", `${silencesMax} silences`)
    const id = crypto.randomUUID().slice(0, 8)
    const set = { ...rest, id, startsAt: wallTime(startsAt), endsAt: wallTime(endsAt) }
    this.#surroundings.commit(now, () => {
      this.desk.silence(set, now)
      return []
    })
    return ok(describeSilence(set, now))
  }

  #endSilence(id: string, now: WallTime): AlertAnswer {
    const silence = this.desk.silences.find((each) => each.id === id && each.endsAt > now)
    if (silence === undefined) return refused("unknown-silence", id)
    this.#surroundings.commit(now, () => {
      this.desk.endSilence(id, now)
      return []
    })
    return ok(describeSilence({ ...silence, endsAt: now }, now))
  }

  async #showRules(): Promise<object> {
    const { receivers, heartbeat } = await this.#opened()
    const shown = receivers.map((receiver) => ({
      ...describeReceiver(receiver),
      failing: this.outbox.paces.failing(receiver.name, readClock()),
    }))
    const beat = heartbeat && { origin: new URL(heartbeat.url).origin, every_ms: heartbeat.every }
    return { rules: { ...this.desk.rules, receiver: undefined }, receivers: shown, heartbeat: beat }
  }

  async #takeRules(kind: "replace-rules" | "check-rules", text: string): Promise<AlertAnswer> {
    const parsed = parseRules(text, this.#policy())
    if (parsed.kind === "error")
      return refused("rules-malformed", parsed.error.map(formatRulesError).join("\n"))
    const { rules, secrets } = parsed.value
    if (kind === "replace-rules") {
      const sealed = await sealText(
        await this.#keyRing(),
        JSON.stringify(secrets),
        this.#surroundings.cluster(),
      )
      const now = readClock()
      this.#surroundings.commit(now, () => {
        this.desk.tables.storeSetting("secrets", sealed)
        this.desk.tables.storeSetting("heartbeat_every_ms", String(secrets.heartbeat?.every ?? ""))
        this.outbox.paces.learn(secrets.receivers)
        this.desk.replaceRules(rules, now)
        return []
      })
      this.#secrets = secrets
      this.#heartbeat.every = secrets.heartbeat?.every
    }
    const receivers = secrets.receivers.map(({ name, kind: of }) => ({ name, kind: of }))
    return ok({ receivers, routes: rules.route.length, stored: kind === "replace-rules" })
  }

  #listEvents({ after, limit }: AlertCommand & { readonly kind: "list-events" }, now: WallTime): AlertAnswer {
    const events = this.#surroundings.events.eventsAfter(after, wallTime(now - eventsListedMs), limit)
    const last = events.length < limit ? undefined : events.at(-1)
    return ok({
      events: events.map(({ recordedAt, at, ...event }) => ({
        ...event,
        at_ms: at,
        recorded_at_ms: recordedAt,
      })),
      next: last?.id,
    })
  }

  #listDeliveries({ state, limit }: AlertCommand & { readonly kind: "list-deliveries" }): AlertAnswer {
    const known = (["pending", "delivered", "dead", "dropped"] as const).find((each) => each === state)
    if (known === undefined && state !== "") return refused("body-malformed", `state: no state ${state}`)
    return ok({ deliveries: this.desk.tables.newestLetters(limit, known).map(describeLetter) })
  }

  #deadOf(receiver: string): readonly string[] {
    const dead = this.desk.tables.newestLetters(1_000, "dead")
    return dead.filter(({ notification }) => notification.receiver === receiver).map(({ id }) => id)
  }

  #replay(ids: readonly string[], now: WallTime): AlertAnswer {
    const letters: Letter[] = []
    for (const id of ids) {
      const letter = this.desk.tables.letter(id)
      if (letter === undefined) return refused("unknown-delivery", id)
      if (letter.state === "pending") return refused("delivery-pending", id)
      letters.push(letter)
    }
    this.#surroundings.commit(now, () => {
      for (const letter of letters) this.outbox.replay(letter, now)
      return []
    })
    return ok({ replayed: letters.map(({ id }) => id) })
  }

  async #test(name: string, now: WallTime): Promise<AlertAnswer> {
    const receiver = (await this.#opened()).receivers.find((each) => each.name === name)
    if (receiver === undefined) return refused("unknown-receiver", name)
    const [opened, ended] = testNotifications(this.#surroundings.cluster(), name, now)
    return ok({ receiver: name, attempts: await this.outbox.test(receiver, opened, ended) })
  }

  async #opened(): Promise<AlertSecrets> {
    if (this.#secrets !== undefined) return this.#secrets
    const sealed = this.desk.tables.setting("secrets")
    if (sealed === undefined) return noSecrets
    const ring = await this.#keyRing()
    const opened = await openText(ring, sealed, this.#surroundings.cluster())
    if (opened.kind === "error") throw new Error(`the receivers' secrets cannot be opened: ${opened.error}`)
    const secrets: AlertSecrets = JSON.parse(opened.value)
    this.#secrets = secrets
    if (!isSealedByNewest(ring, sealed)) await this.#seal(ring, secrets, sealed)
    return secrets
  }

  /** With the newest key, unless the rules were replaced meanwhile. */
  async #seal(ring: KeyRing, secrets: AlertSecrets, former: string): Promise<void> {
    const anew = await sealText(ring, JSON.stringify(secrets), this.#surroundings.cluster())
    const { tables } = this.desk
    if (tables.setting("secrets") === former) tables.storeSetting("secrets", anew)
  }

  async #keyRing(): Promise<KeyRing> {
    const { RECEIVER_KEY, WITNESS_KEY } = this.#surroundings.environment
    const ring = await readKeyRing(RECEIVER_KEY, WITNESS_KEY)
    if (ring.kind === "error") throw new Error(`the secret RECEIVER_KEY cannot be used: ${ring.error}`)
    return ring.value
  }

  #policy(): TargetPolicy {
    return this.#surroundings.environment.ALLOW_PRIVATE_RECEIVERS === "1" ? "private-allowed" : "public"
  }
}

function ok(body: object): AlertAnswer {
  return { kind: "ok", body }
}

function pageOf(publicUrl: string | undefined, cluster: string): string | undefined {
  return publicUrl === undefined ? undefined : `${publicUrl.replace(/\/+$/, "")}/clusters/${cluster}`
}

function testNotifications(
  cluster: string,
  receiver: Receiver["name"],
  now: WallTime,
): [Notification, Notification] {
  const id = incidentId(cluster, "test", receiver, String(now))
  const incident = notifiedIncident({
    id,
    kind: "test",
    severity: "info",
    subject: `receiver ${receiver}`,
    title: "this is a test: nothing is wrong",
    detail: "sent by quorumbeat alerts test; resolved by the next message",
    labels: {
      cluster,
      kind: "test",
      severity: "info",
      site: "",
      peer: "",
      node: "",
      subject: `receiver ${receiver}`,
    },
    phase: "open",
    acknowledged: undefined,
    since: now,
    openedAt: now,
    dueAt: undefined,
    resolvedAt: undefined,
    count: 1,
    beginnings: [now],
    notes: [],
  })
  const opened: Notification = {
    id: `${id.slice(0, 16)}-${receiver}-test-trigger`,
    action: "trigger",
    cluster,
    receiver,
    dedupKey: `${cluster}:${id}`,
    incidents: [incident],
    omitted: 0,
    repeat: 0,
    escalation: 0,
    at: now,
    link: undefined,
    test: true,
  }
  return [
    opened,
    {
      ...opened,
      id: `${id.slice(0, 16)}-${receiver}-test-resolve`,
      action: "resolve",
      incidents: [{ ...incident, phase: "resolved", resolvedAt: now }],
    },
  ]
}
