/**
 * One HTTP POST with a deadline, a cap on the answer, and a word for whatever goes wrong. Connections are kept alive;
 * HTTPS_PROXY, HTTP_PROXY and NO_PROXY are honoured.
 *
 * Node's own client: undici as a package costs 24 MB of this process's memory (measured: 88 against 64 MB), a fifth of
 * what both processes may use.
 */
import type { IncomingMessage } from "node:http"
import { err, ok, type Result } from "../../../protocol/result.ts"
import type { Instant } from "../../../protocol/units.ts"
import { monotonicNow } from "../clock.ts"
import { http, https } from "./node-http.ts"

/** A reply is a few KB; a memo more for each voice lease. Whatever is longer is not from our witness. */
export const answerBytesMax = 256 * 1024
const socketsMax = 8

export interface HttpAnswer {
  readonly status: number
  readonly body: string
}

export type PostFault =
  | "timeout"
  | "connection-refused"
  | "connection-lost"
  | "unreachable"
  | "name-not-resolved"
  | "tls"
  | "oversized"
  | `network-${string}`

export class HttpClient {
  readonly #agents = {
    http: new http.Agent({ keepAlive: true, maxSockets: socketsMax, proxyEnv: process.env }),
    https: new https.Agent({ keepAlive: true, maxSockets: socketsMax, proxyEnv: process.env }),
  }

  /** The answer, whatever its status. Tries once more when a kept connection turns out to have been closed meanwhile. */
  async post(url: URL, body: string, timeout: Instant): Promise<Result<HttpAnswer, PostFault>> {
    const first = await this.#attempt(url, body, timeout)
    return first.kind === "stale" ? asResult(await this.#attempt(url, body, timeout)) : asResult(first)
  }

  close(): void {
    this.#agents.http.destroy()
    this.#agents.https.destroy()
  }

  #attempt(url: URL, body: string, timeout: Instant): Promise<Attempt> {
    return new Promise((resolve) => {
      const [start, agent] =
        url.protocol === "https:" ? [https.request, this.#agents.https] : [http.request, this.#agents.http]
      const request = start(url, {
        method: "POST",
        agent,
        headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
      })
      const finish = (attempt: Attempt): void => {
        clearTimeout(timer)
        resolve(attempt)
        if (attempt.kind !== "ok") request.destroy()
      }
      const timer = setTimeout(
        () => finish(fault("timeout")),
        Math.max(Math.ceil(timeout - monotonicNow()), 0),
      )
      request.on("error", (cause) => {
        const word = wordOf(cause)
        const isStale = request.reusedSocket && word === "connection-lost"
        finish(isStale ? { kind: "stale", error: word } : fault(word))
      })
      request.on("response", (response) => collect(response, finish))
      request.end(body)
    })
  }
}

type Attempt = Result<HttpAnswer, PostFault> | { readonly kind: "stale"; readonly error: PostFault }

function asResult(attempt: Attempt): Result<HttpAnswer, PostFault> {
  return attempt.kind === "stale" ? err(attempt.error) : attempt
}

function fault(word: PostFault): Attempt {
  return err(word)
}

function collect(response: IncomingMessage, finish: (attempt: Attempt) => void): void {
  const status = response.statusCode ?? 0
  const chunks: Buffer[] = []
  let length = 0
  response.on("data", (chunk: Buffer) => {
    length += chunk.length
    if (length > answerBytesMax) finish(fault("oversized"))
    else chunks.push(chunk)
  })
  response.on("error", () => finish(fault("connection-lost")))
  response.on("end", () => {
    if (!response.complete) finish(fault("connection-lost"))
    else finish(ok({ status, body: Buffer.concat(chunks).toString("utf8") }))
  })
}

function wordOf(cause: Error): PostFault {
  const code = "code" in cause ? String(cause.code) : "unknown"
  switch (code) {
    case "ECONNREFUSED":
      return "connection-refused"
    case "ECONNRESET":
    case "EPIPE":
    case "HPE_INVALID_CONSTANT":
      return "connection-lost"
    case "ENETUNREACH":
    case "EHOSTUNREACH":
    case "ENETDOWN":
      return "unreachable"
    case "ETIMEDOUT":
      return "timeout"
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "name-not-resolved"
    default:
      return isTls(code) ? "tls" : `network-${code.toLowerCase()}`
  }
}

function isTls(code: string): boolean {
  return /^ERR_(TLS|SSL)|CERT|SELF_SIGNED|UNABLE_TO_|^EPROTO$/.test(code)
}
