/**
 * Signing what this node says to the witness and verifying what comes back (SPEC W5). A reply counts only if the
 * configured witness signed it, for this cluster, as the answer to one of this node's own documents.
 */
import { CompactSign, compactVerify, errors, importJWK } from "jose"
import type { ClusterConfig } from "../../../protocol/cluster.ts"
import type { ClaimId } from "../../../protocol/lease.ts"
import { err, ok, type Result } from "../../../protocol/result.ts"
import {
  encodeSummary,
  nodeKeyId,
  parseReply,
  type Reply,
  replyType,
  type Summary,
  signatureAlgorithm,
  summaryType,
  witnessKeyId,
} from "../../../protocol/summaries.ts"
import type { NodeKey } from "../key-file.ts"

/** Why a document is not believed. Each is a word of its own in logs and status. */
export type ReplyFault =
  | "not-signed"
  | "wrong-signature"
  | "wrong-type"
  | "malformed"
  | "other-cluster"
  | "other-addressee"
  | "other-echo"

export class Documents {
  readonly #cluster: string
  readonly #key: NodeKey
  readonly #witnessKey: ReturnType<typeof importJWK>

  constructor(config: ClusterConfig, witnessPublicKey: string, key: NodeKey) {
    this.#cluster = config.name
    this.#key = key
    this.#witnessKey = importJWK({ kty: "OKP", crv: "Ed25519", x: witnessPublicKey }, signatureAlgorithm)
  }

  sign(summary: Summary): Promise<string> {
    return new CompactSign(Buffer.from(encodeSummary(summary)))
      .setProtectedHeader({
        alg: signatureAlgorithm,
        typ: summaryType,
        kid: nodeKeyId(this.#cluster, summary.node),
      })
      .sign(this.#key.privateKey)
  }

  /** `asked`: the document it must answer. */
  async verify(document: string, asked: ClaimId): Promise<Result<Reply, ReplyFault>> {
    const payload = await this.#open(document)
    if (payload.kind === "error") return payload
    const parsed = parseReply(payload.value)
    if (parsed.kind === "error") return err("malformed")
    const reply = parsed.value
    if (reply.cluster !== this.#cluster) return err("other-cluster")
    if (reply.node !== asked.node) return err("other-addressee")
    const isAnswer = reply.incarnation === asked.incarnation && reply.counter === asked.counter
    return isAnswer ? ok(reply) : err("other-echo")
  }

  async #open(document: string): Promise<Result<string, ReplyFault>> {
    try {
      const { payload, protectedHeader } = await compactVerify(document, await this.#witnessKey, {
        algorithms: [signatureAlgorithm],
      })
      const isReply = protectedHeader.typ === replyType && protectedHeader.kid === witnessKeyId(this.#cluster)
      return isReply ? ok(Buffer.from(payload).toString("utf8")) : err("wrong-type")
    } catch (cause) {
      return err(cause instanceof errors.JWSSignatureVerificationFailed ? "wrong-signature" : "not-signed")
    }
  }
}
