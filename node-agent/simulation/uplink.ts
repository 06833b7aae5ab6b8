/**
 * The way between the machines and the witness: posts that are late, come twice or not at all, replies that are lost
 * after the object has written. What the node is told of it is what an HTTP client would: a reply, or a failure.
 */
import { encodeReply, parseReply, type Reply } from "../../protocol/summaries.ts"
import type { NodeEffect } from "../core/effects.ts"
import { draw, type Random } from "../core/random.ts"
import type { Host } from "./machine.ts"
import type { WorldOptions } from "./options.ts"
import type { Oracle } from "./oracle.ts"
import type { Surroundings } from "./surroundings.ts"
import type { WorldWitness } from "./witness.ts"

type Post = NodeEffect & { readonly kind: "post-summary" }

/** Shares of posts. */
export interface UplinkFaults {
  /** The object has decided and written, the answer never arrives. */
  replyLost: number
  /** A neighbour carries a copy there, up to `lateMax` later. */
  relayed: number
  /** The post itself is that late; the node has given it up long before. */
  late: number
}

const lateMax = 20_000

export class Uplink {
  faults: UplinkFaults = { replyLost: 0, relayed: 0, late: 0 }
  /** One-way delay added to the usual one: the object is slow. */
  slow = 0
  readonly #cuts: ReadonlySet<string>
  readonly #witness: WorldWitness
  readonly #oracle: Oracle
  readonly #options: Required<WorldOptions>
  readonly #random: Random
  readonly #around: Surroundings

  constructor(parts: {
    readonly cuts: ReadonlySet<string>
    readonly witness: WorldWitness
    readonly oracle: Oracle
    readonly options: Required<WorldOptions>
    readonly random: Random
    readonly around: Surroundings
  }) {
    this.#cuts = parts.cuts
    this.#witness = parts.witness
    this.#oracle = parts.oracle
    this.#options = parts.options
    this.#random = parts.random
    this.#around = parts.around
  }

  post(host: Host, now: number, { post, summary }: Post): void {
    this.#oracle.posted(host, summary.counter, now)
    if (this.#chance(this.faults.relayed))
      this.#around.at(lateMax * draw(this.#random), () =>
        this.#witness.receive(summary, (reply) => this.#reply(host, post, reply)),
      )
    const late = this.#chance(this.faults.late) ? lateMax * draw(this.#random) : 0
    this.#around.at(this.#delay() + late, () => {
      if (this.#cuts.has(`${host.site}>@witness`) || this.#cuts.has(`${host.id}>@witness`)) return
      if (this.#witness.up)
        return this.#witness.receive(summary, (reply) => this.#reply(host, post, reply), this.#random)
      this.#around.after(host, this.#options.witnessDelay, () =>
        this.#around.tell(host, { kind: "witness-failed", post, reason: "unreachable" }),
      )
    })
  }

  #reply(host: Host, post: number, reply: Reply): void {
    if (this.#chance(this.faults.replyLost)) return
    const parsed = parseReply(encodeReply(reply))
    if (parsed.kind === "error") throw new Error(`reply does not parse: ${parsed.error.detail}`)
    this.#around.after(host, this.#delay(), () => {
      const cut = this.#cuts.has(`@witness>${host.site}`) || this.#cuts.has(`@witness>${host.id}`)
      if (!this.#witness.up || cut) return
      for (const answer of reply.answers) {
        if (answer.kind !== "refused" && answer.kind !== "released") this.#oracle.granted(host, answer)
      }
      this.#around.tell(host, { kind: "witness-replied", post, reply: parsed.value })
    })
  }

  #delay(): number {
    return this.#around.varied(this.#options.witnessDelay) + this.slow
  }

  #chance(share: number): boolean {
    return share > 0 && draw(this.#random) < share
  }
}
