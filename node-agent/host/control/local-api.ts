/**
 * The local API: HTTP over a Unix socket that only the agent's user may open. `GET /v1/status` gives the newest
 * picture and its age, so that a real-time process that hangs is seen to hang; `POST /v1/commands` hands an operator's
 * command to the core and waits for its answer.
 */
import { chmodSync, rmSync } from "node:fs"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import { join } from "node:path"
import type { ClusterConfig } from "../../../protocol/cluster.ts"
import { type Instant, nodeId, serviceName, siteId, ticketName } from "../../../protocol/units.ts"
import type { CommandResult } from "../../core/effects.ts"
import type { OperatorCommand } from "../../core/events.ts"
import type { NodeStatus } from "../../core/status.ts"
import { monotonicNow } from "../clock.ts"
import type { HostStatus, StatusReport } from "./messages.ts"
import { http } from "./node-http.ts"

export const apiSocketPath = (runtimeDirectory: string): string => join(runtimeDirectory, "agent.sock")

/** What `GET /v1/status` answers. */
export interface StatusAnswer {
  /** How old the picture is; more than some seconds: the real-time process hangs. */
  readonly age_ms: number
  readonly status: NodeStatus
  readonly host: HostStatus
}

/** An ordered message takes some token rounds, a switchover's acceptance no longer. */
const commandPatience = 20_000
/** The longest one brings a whole configuration. */
const commandBytesMax = 20_000
/** Commands that wait for their answer at the same time; an operator has a few at most. */
const commandsMax = 16

export class LocalApi {
  readonly #server: Server
  readonly #command: (request: number, command: OperatorCommand) => void
  readonly #keepRecord: (request: number) => void
  readonly #waiting = new Map<number, (result: CommandResult) => void>()
  #status: StatusReport | undefined
  /** The one in use. */
  configuration: ClusterConfig | undefined
  #requests = 0

  constructor(
    command: (request: number, command: OperatorCommand) => void,
    keepRecord: (request: number) => void,
  ) {
    this.#command = command
    this.#keepRecord = keepRecord
    this.#server = http.createServer((request, response) => void this.#serve(request, response))
  }

  /** A socket file of a former control process is replaced: the agent's lock says that nobody listens there. */
  listen(path: string): Promise<void> {
    rmSync(path, { force: true })
    return new Promise((resolve, reject) => {
      const before = process.umask(0o177)
      this.#server.once("error", reject)
      this.#server.listen(path, () => {
        chmodSync(path, 0o600)
        resolve()
      })
      process.umask(before)
    })
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  set status(report: StatusReport) {
    this.#status = report
  }

  answered(request: number, result: CommandResult): void {
    this.#waiting.get(request)?.(result)
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const route = `${request.method} ${request.url}`
    if (route === "GET /v1/status") this.#answerStatus(response)
    else if (route === "GET /v1/configuration") answer(response, 200, this.configuration ?? {})
    else if (route === "POST /v1/commands") await this.#answerCommand(request, response)
    else if (route === "POST /v1/blackbox") await this.#answerWith(response, this.#keepRecord)
    else answer(response, 404, { error: "no such resource" })
  }

  #answerStatus(response: ServerResponse): void {
    if (this.#status === undefined) {
      answer(response, 503, { error: "the agent is starting" })
      return
    }
    const { at, status, host } = this.#status
    const body: StatusAnswer = { age_ms: Math.round(age(at)), status, host }
    answer(response, 200, body)
  }

  async #answerCommand(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const command = parseCommand(await readBody(request))
    if (command === undefined) {
      answer(response, 400, { error: "not a command" })
      return
    }
    await this.#answerWith(response, (number) => this.#command(number, command))
  }

  async #answerWith(response: ServerResponse, ask: (request: number) => void): Promise<void> {
    if (this.#waiting.size >= commandsMax) {
      answer(response, 429, { error: "too many commands wait for their answer" })
      return
    }
    const result = await this.#run(ask)
    if (result === undefined) answer(response, 504, { error: "no answer; the command may still take effect" })
    else answer(response, 200, result)
  }

  async #run(ask: (request: number) => void): Promise<CommandResult | undefined> {
    this.#requests += 1
    const request = this.#requests
    const result = await new Promise<CommandResult | undefined>((resolve) => {
      const timer = setTimeout(() => resolve(undefined), commandPatience)
      this.#waiting.set(request, (given) => {
        clearTimeout(timer)
        resolve(given)
      })
      ask(request)
    })
    this.#waiting.delete(request)
    return result
  }
}

/** Any text gives a command or nothing. */
export function parseCommand(text: string): OperatorCommand | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== "object" || value === null || !("kind" in value)) return undefined
  const service = "service" in value && isName(value.service) ? serviceName(value.service) : undefined
  switch (value.kind) {
    case "service-start":
    case "service-stop":
    case "service-automatic":
    case "service-manual":
    case "service-cleanup":
      return service === undefined ? undefined : { kind: value.kind, service }
    case "service-move":
      return service !== undefined && "to" in value && isNodeNumber(value.to)
        ? { kind: "service-move", service, to: nodeId(value.to) }
        : undefined
    case "ticket-move":
      return "ticket" in value && isName(value.ticket) && "to" in value && isName(value.to)
        ? { kind: "ticket-move", ticket: ticketName(value.ticket), to: siteId(value.to) }
        : undefined
    case "fence-confirm":
      return "node" in value && isNodeNumber(value.node)
        ? { kind: "fence-confirm", node: nodeId(value.node) }
        : undefined
    case "node-standby":
    case "node-online":
      return "node" in value && isNodeNumber(value.node)
        ? { kind: value.kind, node: nodeId(value.node) }
        : undefined
    case "maintenance-on":
    case "maintenance-off":
      return "service" in value && service === undefined ? undefined : { kind: value.kind, service }
    case "configure":
      return "document" in value && isName(value.document)
        ? { kind: "configure", document: value.document }
        : undefined
    case "witness-accept":
      return { kind: "witness-accept" }
    default:
      return undefined
  }
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== ""
}

function isNodeNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65_535
}

function age(at: Instant): number {
  return Math.max(monotonicNow() - at, 0)
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request) {
    length += chunk.length
    if (length > commandBytesMax) return ""
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString("utf8")
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" })
  response.end(`${JSON.stringify(body)}\n`)
}
