/** Where the witness's alerts go in demo and tests: an HTTP server that checks each request as Standard Webhooks demands. */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto"
import { createServer, type IncomingMessage, type Server } from "node:http"
import type { AddressInfo } from "node:net"

export interface Alert {
  readonly id: string
  readonly kind: string
  readonly subject: string
  /** `<cluster>:<incident>`. */
  readonly dedupKey: string
  readonly type: string
}

/** A request older or newer than this is refused, as the specification advises. */
const toleranceSeconds = 300

export class WebhookReceiver {
  readonly secret = `whsec_${randomBytes(32).toString("base64")}`
  /** With a right signature, each id once. */
  readonly alerts: Alert[] = []
  /** Why the others were refused. */
  readonly refused: string[] = []
  readonly #server: Server

  constructor() {
    this.#server = createServer((request, response) => {
      void this.#receive(request).then((status) => response.writeHead(status).end())
    })
  }

  /** 0: a port that is free, and resolves with it. */
  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject)
      this.#server.listen(port, "127.0.0.1", () => resolve((this.#server.address() as AddressInfo).port))
    })
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  async #receive(request: IncomingMessage): Promise<number> {
    const body = await readBody(request)
    const fault = this.#faultOf(request, body)
    if (fault !== undefined) {
      this.refused.push(fault)
      return 401
    }
    const id = String(request.headers["webhook-id"])
    const { type, data } = JSON.parse(body)
    if (!this.alerts.some((alert) => alert.id === id))
      this.alerts.push({ id, type, kind: data.kind, subject: data.subject, dedupKey: data.dedup_key })
    return 204
  }

  #faultOf({ headers }: IncomingMessage, body: string): string | undefined {
    const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures } = headers
    if (typeof id !== "string" || typeof timestamp !== "string" || typeof signatures !== "string")
      return "unsigned"
    if (Math.abs(Number(timestamp) - Date.now() / 1000) > toleranceSeconds) return `timestamp ${timestamp}`
    const key = Buffer.from(this.secret.replace("whsec_", ""), "base64")
    const expected = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest()
    const isRight = signatures.split(" ").some((each) => {
      const given = Buffer.from(each.replace("v1,", ""), "base64")
      return given.length === expected.length && timingSafeEqual(given, expected)
    })
    return isRight ? undefined : `wrong signature of ${id}`
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks).toString("utf8")
}
