/**
 * Talks to the witness for the core: signs and posts this node's summaries, verifies the replies. Each post gets exactly
 * one event, with one word for the reason if it failed.
 */
import * as v from "valibot"
import type { ClusterConfig, NodeConfig } from "../../../protocol/cluster.ts"
import { err, ok, type Result } from "../../../protocol/result.ts"
import { encodePost, parsePostReplies, type Reply, type Summary } from "../../../protocol/summaries.ts"
import type { Instant } from "../../../protocol/units.ts"
import type { NodeKey } from "../key-file.ts"
import { Documents, type ReplyFault } from "./documents.ts"
import { HttpClient, type PostFault } from "./http-post.ts"
import type { Log } from "./log-writer.ts"
import type { ControlEffect, ControlEvent } from "./messages.ts"

export interface WitnessClientOptions {
  readonly config: ClusterConfig
  readonly self: NodeConfig
  /** `undefined`: its file cannot be used; every question fails. */
  readonly key: NodeKey | undefined
  readonly emit: (event: ControlEvent) => void
  readonly log: Log
}

/** Posts under way at once: one each renewal, and a timeout of several; more would only wait in line. */
export const postsMax = 8
/** Why a post failed; `refused:<word>` is the witness's own. */
export type WitnessFault =
  | PostFault
  | ReplyFault
  | `http-${number}`
  | "garbage"
  | "busy"
  | "no-witness"
  | "no-key"
  | `refused:${string}`

export class WitnessClient {
  readonly #emit: WitnessClientOptions["emit"]
  /** Why nothing can be asked at all. */
  readonly #unable: "no-witness" | "no-key" = "no-witness"
  readonly #documents: Documents | undefined
  readonly #url: URL | undefined
  readonly #http = new HttpClient()
  readonly #log: Log
  #posts = 0
  #lastRefusal = ""

  constructor({ config, self, key, emit, log }: WitnessClientOptions) {
    this.#emit = emit
    this.#log = log
    if (config.witness === undefined || key === undefined) {
      this.#unable = config.witness === undefined ? "no-witness" : "no-key"
      return
    }
    const site = config.sites.find((each) => each.name === self.site)
    this.#url = summariesUrl(site?.witnessUrl ?? config.witness.url, config.name)
    this.#documents = new Documents(config, config.witness.publicKey, key)
  }

  /** One event, by the instant `timeout`. */
  async post(effect: Extract<ControlEffect, { kind: "post-summary" }>): Promise<void> {
    const { post } = effect
    const answer = await this.#ask(effect.summary, effect.timeout)
    if (answer.kind === "ok") this.#emit({ kind: "witness-replied", post, reply: answer.value })
    else this.#emit({ kind: "witness-failed", post, reason: answer.error })
  }

  close(): void {
    this.#http.close()
  }

  async #ask(summary: Summary, timeout: Instant): Promise<Result<Reply, WitnessFault>> {
    if (this.#documents === undefined) return err(this.#unable)
    const answer = await this.#post(await this.#documents.sign(summary), timeout)
    return answer.kind === "ok" ? this.#documents.verify(answer.value, summary) : answer
  }

  /** The signed reply to one document, not yet verified. */
  async #post(document: string, timeout: Instant): Promise<Result<string, WitnessFault>> {
    if (this.#url === undefined) return err(this.#unable)
    if (this.#posts >= postsMax) return err("busy")
    this.#posts += 1
    const answer = await this.#http.post(this.#url, encodePost([document]), timeout)
    this.#posts -= 1
    if (answer.kind === "error") return answer
    const { status, body } = answer.value
    if (status !== 200) {
      const refusal = refusalIn(body)
      return err<WitnessFault>(refusal === undefined ? `http-${status}` : this.#refused(refusal))
    }
    const replies = parsePostReplies(body)
    if (replies.kind === "error") return err("garbage")
    const [reply] = replies.value
    if (reply === undefined) return err("garbage")
    return reply.kind === "signed" ? ok(reply.document) : err(this.#refused(reply))
  }

  /** The core works with the word; the sentence, which may name the offending field, is for the log: once a change. */
  #refused({ reason, message }: Refusal): `refused:${string}` {
    if (message !== this.#lastRefusal) this.#log("warn", "witness-refused", { reason, message })
    this.#lastRefusal = message
    return `refused:${reason}`
  }
}

function summariesUrl(base: string, cluster: string): URL {
  const root = base.endsWith("/") ? base : `${base}/`
  return new URL(`v1/clusters/${encodeURIComponent(cluster)}/summaries`, root)
}

interface Refusal {
  readonly reason: string
  readonly message: string
}

/** The witness's own words, `{"error": {"reason", "message"}}`; `undefined`: a proxy or a stranger answered. */
function refusalIn(body: string): Refusal | undefined {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    return undefined
  }
  const parsed = v.safeParse(refusalSchema, value)
  return parsed.success ? parsed.output.error : undefined
}

const refusalSchema = v.object({
  error: v.object({
    reason: v.pipe(v.string(), v.regex(/^[a-z0-9-]{1,64}$/)),
    message: v.pipe(v.string(), v.maxLength(1_000)),
  }),
})
