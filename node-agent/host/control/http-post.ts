/**
 * One HTTP request with a deadline, a cap on the answer, and a word for whatever goes wrong. Connections are kept alive;
 * HTTPS_PROXY, HTTP_PROXY and NO_PROXY are honoured.
 *
 * Node's own client: undici as a package costs 24 MB of this process's memory (measured: 88 against 64 MB), a fifth of
 * what both processes may use.
 */
import type { IncomingMessage } from "node:http"
import type { LookupFunction } from "node:net"
import { err, ok, type Result } from "../../../protocol/result.ts"
import type { Instant } from "../../../protocol/units.ts"
import { monotonicNow } from "../clock.ts"
import { http, https } from "./node-http.ts"

/** A reply is a few KB; a memo more for each voice lease. Whatever is longer is not from our witness. */
export const answerBytesMax = 256 * 1024
const socketsMax = 8

export interface HttpAnswer {
  readonly status: number
  /** Those of `answerHeaders` that are there. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const answerHeaders = ["content-type", "retry-after", "location"]

export interface HttpQuestion {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Instead of the system's own: may refuse addresses that a name resolves to. */
export type Lookup = LookupFunction

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
  readonly #agents
  readonly #lookup: Lookup | undefined

  constructor(lookup?: Lookup) {
    const options = { keepAlive: true, maxSockets: socketsMax, proxyEnv: process.env }
    this.#agents = { http: new http.Agent(options), https: new https.Agent(options) }
    this.#lookup = lookup
  }

  /** The answer, whatever its status. Tries once more when a kept connection turns out to have been closed meanwhile. */
  post(url: URL, body: string, timeout: Instant): Promise<Result<HttpAnswer, PostFault>> {
    const headers = { "content-type": "application/json" }
    return this.ask({ method: "POST", url: url.href, headers, body }, timeout)
  }

  /** Redirects are answers like any other: none is followed. */
  async ask(question: HttpQuestion, timeout: Instant): Promise<Result<HttpAnswer, PostFault>> {
    const first = await this.#attempt(question, timeout)
    return first.kind === "stale" ? asResult(await this.#attempt(question, timeout)) : asResult(first)
  }

  close(): void {
    this.#agents.http.destroy()
    this.#agents.https.destroy()
  }

  #attempt({ method, url, headers, body }: HttpQuestion, timeout: Instant): Promise<Attempt> {
    return new Promise((resolve) => {
      const [start, agent] =
        new URL(url).protocol === "https:"
          ? [https.request, this.#agents.https]
          : [http.request, this.#agents.http]
      const request = start(url, {
        method,
        agent,
        headers: { ...headers, "content-length": Buffer.byteLength(body) },
        ...(this.#lookup === undefined ? {} : { lookup: this.#lookup }),
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
    else finish(ok({ status, headers: headersOf(response), body: Buffer.concat(chunks).toString("utf8") }))
  })
}

function headersOf({ headers }: IncomingMessage): Readonly<Record<string, string>> {
  return Object.fromEntries(
    answerHeaders.flatMap((name) => {
      const value = headers[name]
      return value === undefined ? [] : [[name, String(value)]]
    }),
  )
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
