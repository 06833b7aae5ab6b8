/**
 * The real-time side of the control process: starts it, feeds it, and lives without it. The control process may be
 * slow, stopped or killed; nothing here waits for it, and nothing it fails to do extends a right.
 *
 * - What waits to be sent is bounded. Past `backlogSoft` log lines, status and trace are dropped and counted; past
 *   `backlogHard`, or when it has not answered a ping for `pingPatience`, it is killed.
 * - Whenever it ends it is started again, after a delay that doubles while it keeps dying young.
 * - What it was asked and never answered fails then: the core gets one outcome for each post and each operation.
 */
import type { Instant, Millis } from "../../protocol/units.ts"
import { after, elapsed, instant, millis } from "../../protocol/units.ts"
import type { NodeEvent, OperatorCommand } from "../core/events.ts"
import { LineReader } from "./control/line-reader.ts"
import type {
  ControlEffect,
  ControlEvent,
  ControlSetup,
  FromControl,
  HealthSample,
  LogLine,
  Report,
  ToControl,
} from "./control/messages.ts"

/** One running control process, as this file needs it; `spawnControl` makes a real one. */
export interface ControlProcess {
  /** Bytes accepted but not yet taken by the other side. */
  readonly backlog: number
  write(line: string): void
  /** No more lines will come; a sound control process then stops what it runs, and ends. */
  end(): void
  kill(): void
  received: (chunk: Buffer) => void
  /** Called once, when it is gone for good. */
  ended: (reason: string) => void
}

export interface ControlLinkOptions {
  readonly start: () => ControlProcess
  readonly setup: ControlSetup
  readonly now: () => Instant
  readonly event: (event: NodeEvent) => void
  readonly command: (request: number, command: OperatorCommand) => void
  readonly keepRecord: (request: number) => void
  readonly health: (sample: HealthSample) => void
  /** The last resort for log lines when there is no control process at the end. */
  readonly stderr: (line: LogLine) => void
  readonly log: (level: LogLine["level"], event: string, fields: LogLine["fields"]) => void
}

export const backlogSoft = 256 * 1024
export const backlogHard = 2 * 1024 * 1024
export const pingPatience = millis(10_000)
const pingInterval = millis(1_000)
/** Log lines kept while it is away: what an operator needs to see what happened around its death. */
const linesKeptMax = 200
const restartDelayMin = millis(100)
const restartDelayMax = millis(5_000)
/** Having lived this long it counts as sound: the delay starts anew. */
const soundAfter = millis(10_000)

export class ControlLink {
  readonly #options: ControlLinkOptions
  #setup: ControlSetup
  #process: ControlProcess | undefined
  #connected = false
  #ending: (() => void) | undefined
  #startedAt = instant(0)
  #delay: Millis = restartDelayMin
  #restart: NodeJS.Timeout | undefined
  /** Asked and not yet answered: what to tell the core if no answer can come any more. */
  readonly #unanswered = new Map<string, NodeEvent>()
  readonly #kept: LogLine[] = []
  #pinged: { readonly id: number; readonly at: Instant } | undefined
  #pingId = 0
  #nextPing = instant(0)
  droppedLines = 0
  starts = 0

  constructor(options: ControlLinkOptions) {
    this.#options = options
    this.#setup = options.setup
  }

  /** `true` once the present control process has said what runs. */
  get connected(): boolean {
    return this.#connected
  }

  start(): void {
    const process = this.#options.start()
    const reader = new LineReader<FromControl>((message) => this.#received(process, message))
    process.received = (chunk) => {
      try {
        reader.push(chunk)
      } catch (cause) {
        this.#options.log("error", "control-unreadable", { reason: String(cause) })
        process.kill()
      }
    }
    process.ended = (reason) => this.#ended(process, reason)
    this.#process = process
    this.#startedAt = this.#options.now()
    this.#pinged = undefined
    this.#nextPing = after(this.#startedAt, pingInterval)
    this.starts += 1
    this.#write({ kind: "setup", setup: this.#setup })
    for (const line of this.#kept.splice(0)) this.#write({ kind: "log", line })
  }

  /** What the present control process, and each one after it, works with from now on. */
  reconfigure(config: ControlSetup["config"]): void {
    this.#setup = { ...this.#setup, config }
    if (this.#process !== undefined) this.#write({ kind: "reconfigure", config })
  }

  /** Hands an effect over. If nobody is there to carry it out, its failure is reported as an event instead. */
  effect(effect: ControlEffect): void {
    const failure = failureOf(effect)
    const isService = effect.kind === "start-service" || effect.kind === "stop-service"
    const isThere = isService ? this.#connected : this.#process !== undefined
    if (!isThere) {
      this.#options.event(failure)
      return
    }
    this.#unanswered.set(questionOf(failure), failure)
    this.#write({ kind: "effect", effect })
  }

  answer(message: Extract<ToControl, { kind: "answer" }>): void {
    if (this.#process !== undefined) this.#write(message)
  }

  /** Log, status or trace: dropped and counted when the control process does not keep up. */
  report(report: Report): void {
    if (this.#process === undefined) {
      if (report.kind === "log") this.#keep(report.line)
      return
    }
    if (this.#process.backlog > backlogSoft) this.droppedLines += 1
    else this.#write(report)
  }

  /** To be called about every second: asks whether it is alive, and ends one that is not. */
  supervise(now: Instant): void {
    if (this.#process === undefined) return
    if (this.#pinged !== undefined) {
      if (elapsed(this.#pinged.at, now) > pingPatience) this.#kill("control-unresponsive")
    } else if (now >= this.#nextPing) {
      this.#pingId += 1
      this.#pinged = { id: this.#pingId, at: now }
      this.#nextPing = after(now, pingInterval)
      this.#write({ kind: "ping", id: this.#pingId })
    }
  }

  /** Lets it end in good order; at most `patience`, then kills it. Lines it never took are written here. */
  async finish(patience: Millis): Promise<void> {
    clearTimeout(this.#restart)
    const process = this.#process
    if (process !== undefined) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => process.kill(), patience)
        this.#ending = () => {
          clearTimeout(timer)
          resolve()
        }
        process.end()
      })
    }
    for (const line of this.#kept.splice(0)) this.#options.stderr(line)
  }

  #received(process: ControlProcess, message: FromControl): void {
    if (process !== this.#process) return
    switch (message.kind) {
      case "event":
        this.#eventReceived(message.event)
        break
      case "health":
        this.#options.health(message.sample)
        break
      case "command":
        this.#options.command(message.request, message.command)
        break
      case "keep-record":
        this.#options.keepRecord(message.request)
        break
      case "pong":
        if (message.id === this.#pinged?.id) this.#pinged = undefined
        break
    }
  }

  #eventReceived(event: ControlEvent): void {
    if (event.kind === "control-connected") this.#connected = true
    this.#unanswered.delete(questionOf(event))
    this.#options.event(event)
  }

  #ended(process: ControlProcess, reason: string): void {
    if (process !== this.#process) return
    this.#process = undefined
    const wasConnected = this.#connected
    this.#connected = false
    const unanswered = [...this.#unanswered.values()]
    this.#unanswered.clear()
    if (this.#ending !== undefined) {
      this.#ending()
      return
    }
    this.#options.log("warn", "control-ended", { reason })
    for (const failure of unanswered) this.#options.event(failure)
    if (wasConnected) this.#options.event({ kind: "control-lost" })
    if (elapsed(this.#startedAt, this.#options.now()) >= soundAfter) this.#delay = restartDelayMin
    this.#restart = setTimeout(() => this.start(), this.#delay)
    this.#delay = millis(Math.min(this.#delay * 2, restartDelayMax))
  }

  #write(message: ToControl): void {
    const process = this.#process
    if (process === undefined) return
    process.write(`${JSON.stringify(message)}\n`)
    if (process.backlog > backlogHard) this.#kill("control-backlog")
  }

  #kill(event: string): void {
    this.#options.log("error", event, { backlog: this.#process?.backlog ?? 0 })
    this.#pinged = undefined
    this.#process?.kill()
  }

  #keep(line: LogLine): void {
    this.#kept.push(line)
    if (this.#kept.length <= linesKeptMax) return
    this.#kept.shift()
    this.droppedLines += 1
  }
}

/** What the core is told if this effect can never be answered. */
function failureOf(effect: ControlEffect): NodeEvent {
  const reason = "control-away"
  switch (effect.kind) {
    case "post-summary":
      return { kind: "witness-failed", post: effect.post, reason }
    case "start-service":
      return {
        kind: "service-start-failed",
        operation: effect.operation,
        service: effect.service,
        reason,
      }
    case "stop-service":
      return { kind: "service-stop-failed", operation: effect.operation, service: effect.service, reason }
    case "fence-node":
      return { kind: "fence-failed", operation: effect.operation, reason }
  }
}

/** Names the question that an event answers. */
function questionOf(event: NodeEvent): string {
  if ("post" in event) return `post ${event.post}`
  if ("operation" in event) return `operation ${event.operation}`
  return ""
}
