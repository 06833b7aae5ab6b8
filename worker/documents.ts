/**
 * A document between Worker and object: the Worker verified its signature, the object checks that it belongs here. Both
 * look, because the Worker's keys are cached and the object's configuration is the truth.
 */
import { err, ok, type Result } from "../protocol/result.ts"
import { parseSummary, type Summary } from "../protocol/summaries.ts"
import type { WitnessConfiguration } from "./configuration.ts"
import type { DocumentReason } from "./errors.ts"

/** A payload whose signature was verified, for which node and with which key. */
export interface VerifiedDocument {
  readonly payload: string
  readonly node: number
  readonly key: string
}

export type DocumentAnswer =
  | { readonly kind: "reply"; readonly payload: string }
  | { readonly kind: "refused"; readonly reason: DocumentReason }

/** Reads the payload, if it speaks for this cluster, for the node whose present key signed it, and for that node's site. */
export function readDocument(
  cluster: string,
  configuration: WitnessConfiguration,
  { payload, node, key }: VerifiedDocument,
): Result<Summary, DocumentReason> {
  const parsed = parseSummary(payload)
  if (parsed.kind === "error") {
    return err(parsed.error.kind === "unsupported-version" ? "version-not-supported" : "document-malformed")
  }
  const summary = parsed.value
  if (summary.cluster !== cluster) return err("wrong-cluster")
  if (summary.node !== node) return err("node-mismatch")
  const configured = configuration.nodes.find((each) => each.node === summary.node)
  if (configured === undefined || configured.public_key !== key) return err("unknown-key")
  return configured.site === summary.site ? ok(summary) : err("site-mismatch")
}
