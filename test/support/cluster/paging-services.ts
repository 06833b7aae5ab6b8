/**
 * Paging services for tests, as far as telling one incident from another goes: what each does with a key that it knows, with a
 * resolve of something that is not open, with what comes twice. One server; the first part of a path says which service.
 * Sources: the services' own documentation; Alertmanager's is seen for itself in `test/e2e/alertmanager.test.ts`.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

export interface ServiceIncident {
  readonly key: string
  state: "open" | "acknowledged" | "resolved"
  /** How often it was triggered. */
  triggers: number
  /** Alertmanager: when it ends by itself. */
  endsAt: number
}

type Word = "trigger" | "acknowledge" | "resolve"

interface Request {
  readonly path: string
  readonly body: unknown
  readonly headers: IncomingMessage["headers"]
}

interface Answer {
  readonly status: number
  readonly body?: object
}

/** What becomes of a request besides: `lost`: it is taken and the answer never comes; `refused`: 500, and nothing is taken. */
export type Mischief = (service: string, word: Word, turn: number) => "none" | "lost" | "refused"

export type ServiceName = "pagerduty" | "opsgenie" | "incident-io" | "alertmanager" | "better-stack"

export class PagingServices {
  readonly #incidents = new Map<string, ServiceIncident[]>()
  readonly #turns = new Map<string, number>()
  readonly #webhooks = new Set<string>()
  readonly #mischief: Mischief
  readonly #server: Server

  constructor(mischief: Mischief = () => "none") {
    this.#mischief = mischief
    this.#server = createServer((request, response) => void this.#serve(request, response))
  }

  listen(): Promise<number> {
    return new Promise((resolve) => {
      this.#server.listen(0, "127.0.0.1", () => resolve((this.#server.address() as AddressInfo).port))
    })
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  /** All that the service ever opened. */
  incidents(service: ServiceName | "webhook"): readonly ServiceIncident[] {
    const now = Date.now()
    return this.#of(service).map((each) => (each.endsAt <= now ? { ...each, state: "resolved" } : each))
  }

  /** How many requests with that word came to the service. */
  asked(service: string, word: Word): number {
    return this.#turns.get(`${service} ${word}`) ?? 0
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const [, service = "", ...path] = (request.url ?? "").split("/")
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"))
    const asked = { path: path.join("/"), body, headers: request.headers }
    const word = wordOf(asked)
    const turn = this.asked(service, word)
    this.#turns.set(`${service} ${word}`, turn + 1)
    const mischief = this.#mischief(service, word, turn)
    if (mischief === "refused") return void response.writeHead(500).end()
    const { status, body: answer } = this.#take(service, word, asked)
    if (mischief === "lost") return void request.socket.destroy()
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer ?? {}))
  }

  #take(service: string, word: Word, { path, body, headers }: Request): Answer {
    const fields = body as Record<string, unknown>
    switch (service) {
      case "pagerduty":
        this.#byKey(service, word, String(fields.dedup_key))
        return { status: 202, body: { status: "success", dedup_key: fields.dedup_key } }
      case "opsgenie": {
        const alias = word === "trigger" ? String(fields.alias) : decodeURIComponent(path.split("/")[2] ?? "")
        this.#byKey(service, word, alias)
        // Also for an alias that is not known: what comes of it is decided later.
        return { status: 202, body: { result: "Request will be processed", requestId: "r" } }
      }
      case "incident-io":
        this.#byKey(service, word, String(fields.deduplication_key))
        return { status: 202, body: { status: "success", deduplication_key: fields.deduplication_key } }
      case "alertmanager":
        return this.#takeAlerts(body as readonly AlertmanagerAlert[])
      case "better-stack":
        return this.#takeIncident(word, path)
      case "webhook":
        return this.#takeWebhook(word, String(headers["webhook-id"]), fields)
      default:
        return { status: 404 }
    }
  }

  /** An open one of that key is triggered again; a resolved one never: the key opens another. What is not open takes no word. */
  #byKey(service: string, word: Word, key: string): void {
    const open = this.#of(service).find((each) => each.key === key && each.state !== "resolved")
    if (word === "trigger" && open === undefined) this.#open(service, key)
    else if (open !== undefined && word === "trigger") open.triggers += 1
    else if (open !== undefined) open.state = word === "resolve" ? "resolved" : "acknowledged"
  }

  /** An alert is its labels, and ends by its `endsAt`; one that has ended begins anew when it is sent again. */
  #takeAlerts(alerts: readonly AlertmanagerAlert[]): Answer {
    for (const { labels, endsAt } of alerts) {
      const key = JSON.stringify(Object.entries(labels).toSorted())
      const now = Date.now()
      const firing = this.#of("alertmanager").find((each) => each.key === key && each.endsAt > now)
      const end = Date.parse(endsAt)
      if (firing !== undefined) {
        firing.endsAt = end
        firing.triggers += 1
      } else if (end > now) this.#open("alertmanager", key, end)
    }
    return { status: 200 }
  }

  /** No key: every creation is another incident. */
  #takeIncident(word: Word, path: string): Answer {
    if (word === "trigger") {
      const id = String(this.#of("better-stack").length + 1)
      this.#open("better-stack", id)
      return { status: 201, body: { data: { id, type: "incident", attributes: {} } } }
    }
    const found = this.#of("better-stack").find(({ key }) => key === path.split("/")[3])
    if (found === undefined) return { status: 404 }
    const wanted = word === "resolve" ? "resolved" : "acknowledged"
    if (found.state === wanted || found.state === "resolved") return { status: 409 }
    found.state = wanted
    return { status: 200 }
  }

  /** As a consumer of Standard Webhooks is told to do: each id is taken once. */
  #takeWebhook(word: Word, id: string, fields: Record<string, unknown>): Answer {
    if (!this.#webhooks.has(id))
      this.#byKey("webhook", word, (fields.data as { dedup_key: string }).dedup_key)
    this.#webhooks.add(id)
    return { status: 204 }
  }

  #open(service: string, key: string, endsAt = Number.POSITIVE_INFINITY): void {
    this.#of(service).push({ key, state: "open", triggers: 1, endsAt })
  }

  #of(service: string): ServiceIncident[] {
    const known = this.#incidents.get(service)
    if (known !== undefined) return known
    const none: ServiceIncident[] = []
    this.#incidents.set(service, none)
    return none
  }
}

interface AlertmanagerAlert {
  readonly labels: Readonly<Record<string, string>>
  readonly endsAt: string
}

function wordOf({ path, body }: Request): Word {
  const { event_action, status, type } = body as Record<string, string>
  if (Array.isArray(body)) {
    const [first] = body as readonly AlertmanagerAlert[]
    return Date.parse(first?.endsAt ?? "") <= Date.now() ? "resolve" : "trigger"
  }
  if (event_action === "acknowledge" || path.includes("/acknowledge") || type === "incident.acknowledged")
    return "acknowledge"
  const ends = [event_action === "resolve", status === "resolved", type === "incident.resolved"]
  return ends.includes(true) || /\/(close|resolve)\b/.test(path) ? "resolve" : "trigger"
}
