/**
 * Why a request was refused: the machine-readable reason, and the one place that turns it into an HTTP answer. None of
 * these refusals stored anything. Strangers learn the reason, not what the stored value would have been.
 */

import { never } from "../protocol/assert.ts"

/** Why one document of a post was refused. */
export type DocumentReason =
  | "document-not-signed"
  | "algorithm-not-allowed"
  | "type-not-allowed"
  | "wrong-cluster"
  | "unknown-key"
  | "signature-invalid"
  | "document-malformed"
  | "version-not-supported"
  | "node-mismatch"
  | "site-mismatch"
  | "counter-not-rising"

/** Why a whole request was refused. */
export type RequestReason =
  | DocumentReason
  | "not-found"
  | "cluster-name-malformed"
  | "unknown-cluster"
  | "content-type-not-json"
  | "content-type-not-toml"
  | "body-too-large"
  | "body-not-json"
  | "body-malformed"
  | "configuration-malformed"
  | "configuration-older"
  | "configuration-conflict"
  | "rules-malformed"
  | "unknown-incident"
  | "incident-not-open"
  | "unknown-silence"
  | "unknown-receiver"
  | "unknown-delivery"
  | "delivery-pending"
  | "unknown-credential"
  | "unknown-node"
  | "limit-reached"
  | "rate-limited"
  | "scope-too-small"
  | "credential-missing"
  | "credential-invalid"
  | "operator-credential-not-set"
  | "witness-key-not-set"
  | "witness-key-invalid"
  | "unavailable"

export interface ErrorAnswer {
  readonly status: 400 | 401 | 403 | 404 | 409 | 413 | 415 | 429 | 500 | 503
  readonly message: string
}

/** The HTTP status and the sentence for people that belong to a reason. */
export function errorAnswer(reason: RequestReason): ErrorAnswer {
  switch (reason) {
    case "document-not-signed":
      return { status: 401, message: "a document is not a compact JWS with alg, typ and kid" }
    case "algorithm-not-allowed":
      return { status: 401, message: "a document is signed with an algorithm other than Ed25519" }
    case "type-not-allowed":
      return { status: 401, message: "a signed document is not a summary: its typ is another one" }
    case "wrong-cluster":
      return { status: 403, message: "a document is signed for another cluster" }
    case "unknown-key":
      return { status: 401, message: "a document is signed by a key that the cluster does not know" }
    case "signature-invalid":
      return { status: 401, message: "the signature of a document does not verify" }
    case "document-malformed":
      return { status: 400, message: "a signed document is not a well-formed summary" }
    case "version-not-supported":
      return { status: 400, message: "a document has a version that this witness does not speak" }
    case "node-mismatch":
      return { status: 403, message: "a document speaks for a node whose key did not sign it" }
    case "site-mismatch":
      return { status: 403, message: "a document names a site its node does not belong to" }
    case "counter-not-rising":
      return { status: 409, message: "a newer document of this node was taken already" }
    case "not-found":
      return { status: 404, message: "no such resource" }
    case "cluster-name-malformed":
      return { status: 400, message: "a cluster's name is 1 to 63 letters, digits, '.', '_' and '-'" }
    case "unknown-cluster":
      return { status: 404, message: "no such cluster" }
    case "content-type-not-json":
      return { status: 415, message: "the content type must be application/json" }
    case "content-type-not-toml":
      return { status: 415, message: "the content type must be application/toml" }
    case "body-too-large":
      return { status: 413, message: "the body is too large" }
    case "body-not-json":
      return { status: 400, message: "the body is not JSON" }
    case "body-malformed":
      return { status: 400, message: "the body is not of the expected form" }
    case "configuration-malformed":
      return { status: 400, message: "the configuration is not well-formed" }
    case "configuration-older":
      return { status: 409, message: "the stored configuration has a higher version" }
    case "configuration-conflict":
      return { status: 409, message: "another configuration is stored under this version" }
    case "rules-malformed":
      return { status: 400, message: "the alert rules are not well-formed" }
    case "unknown-incident":
      return { status: 404, message: "no such incident" }
    case "incident-not-open":
      return { status: 409, message: "the incident is not open" }
    case "unknown-silence":
      return { status: 404, message: "no such silence, or it is over" }
    case "unknown-receiver":
      return { status: 404, message: "no such receiver" }
    case "unknown-delivery":
      return { status: 404, message: "no such delivery" }
    case "delivery-pending":
      return { status: 409, message: "the delivery is still being tried" }
    case "unknown-credential":
      return { status: 404, message: "no such credential" }
    case "unknown-node":
      return { status: 404, message: "no such node" }
    case "limit-reached":
      return { status: 409, message: "the cluster has as many as it may have" }
    case "rate-limited":
      return { status: 429, message: "the cluster asks more often than it may" }
    case "scope-too-small":
      return { status: 403, message: "the credential does not reach so far" }
    case "credential-missing":
      return { status: 401, message: "the operator's credential is required: Authorization: Bearer ..." }
    case "credential-invalid":
      return { status: 403, message: "the credential opens nothing here" }
    case "operator-credential-not-set":
      return { status: 500, message: "the secret OPERATOR_CREDENTIAL_SHA256 is not set on the witness" }
    case "witness-key-not-set":
      return { status: 500, message: "the secret WITNESS_KEY is not set on the witness" }
    case "witness-key-invalid":
      return { status: 500, message: "the secret WITNESS_KEY is not an Ed25519 private key (JWK or PKCS 8)" }
    case "unavailable":
      return { status: 503, message: "the witness cannot decide now; ask again" }
    default:
      return never(reason)
  }
}
