/**
 * The signed documents between a node and the witness (SPEC W): a summary goes up, a reply comes back. Each travels as
 * a compact JWS whose payload is the JSON made here; signing itself is elsewhere, because this module has no I/O and
 * no cryptography. Wire names are in snake case and carry their unit (`ttl_ms`); an absent key is `undefined` here.
 *
 * Unknown keys are ignored, so that version N and N+1 of this program can talk; a changed meaning raises `version`.
 * Every list has a bound: a document with the largest memo stays under half of the 64 KB of a post.
 */
import * as v from "valibot"
import type { ClaimId, LeaseAnswer, LeaseClaim, LeaseName, LeaseSummary, LeaseTag } from "./lease.ts"
import { err, ok, type Result } from "./result.ts"
import * as wire from "./summary-schemas.ts"
import type {
  Epoch,
  Incarnation,
  Millis,
  NodeId,
  RingId,
  ServiceName,
  SiteId,
  Ticket,
  WallTime,
} from "./units.ts"

/** The one signature algorithm (RFC 9864's fully specified name; `EdDSA` is refused). */
export const signatureAlgorithm = "Ed25519"
/** JWS `typ` values: a reply can never be taken for a summary, nor either for something else signed by the same key. */
export const summaryType = "quorumbeat-summary+json"
export const replyType = "quorumbeat-reply+json"
export const documentVersion = wire.documentVersion

/** JWS `kid` of a summary: `<cluster>/<node>`. */
export const nodeKeyId = (cluster: string, node: NodeId): string => `${cluster}/${node}`
/** JWS `kid` of a reply: `<cluster>/witness`. */
export const witnessKeyId = (cluster: string): string => `${cluster}/witness`

/** Documents a post may carry: the sender's own and those of neighbours without uplink. */
export const documentsPerPostMax = wire.documentsPerPostMax
/** Bytes of a whole post: eight documents with a full memo each, base64 included, and room. */
export const postBytesMax = 65_536

/** A membership and the ring id that names it. */
export interface View {
  readonly ring: RingId
  readonly members: readonly NodeId[]
}

export type PeerState = "down" | "init" | "alive"
export type Severity = "info" | "warning" | "critical"

/** What a reporter knows about its site, for alerts and the dashboard. No right rests on it. */
export interface SiteState {
  readonly voice: "held" | "not-held"
  readonly tickets: readonly { readonly ticket: Ticket; readonly epoch: Epoch; readonly held: boolean }[]
  readonly nodes: readonly {
    readonly node: NodeId
    readonly state: PeerState
    /** Of a member. */
    readonly incarnation?: Incarnation | undefined
  }[]
  readonly services: readonly ServiceReport[]
}

export interface ServiceReport {
  readonly name: ServiceName
  /** The agent's own word for it: `running`, `stopped`, `blocked` ... */
  readonly state: string
  readonly owner: NodeId | undefined
  readonly epoch: Epoch
}

/** Something that happened on a node. `id` is unique within that node for all time: the witness takes each once. */
export interface ReportedEvent {
  readonly id: string
  readonly kind: string
  readonly subject: string
  readonly severity: Severity
  readonly at: WallTime
  readonly detail: string
  /** The incarnation or epoch behind it, as `i3` or `e7`: makes one incident of what several tell. Without it, `id` does. */
  readonly cause?: string | undefined
}

/** The highest tag this node ever saw for a lease (SPEC W6): tells a restored object from the true one. */
export interface NamedTag extends LeaseTag {
  readonly name: LeaseName
}

/** Node to witness. */
export interface Summary {
  readonly cluster: string
  readonly node: NodeId
  readonly incarnation: Incarnation
  /** Rises with each document of this incarnation; a retry is the same bytes under the same counter. */
  readonly counter: number
  /** The witness incarnation this node believes in; "" if it knows none. With another one nothing is stored. */
  readonly challenge: string
  readonly site: SiteId
  /**
   * The cluster configuration the node runs; `active` if it claims by a proposal, which is to follow that version. The witness
   * refuses claims of an older version, and of a newer one that does not follow the one it knows (SPEC W14).
   */
  readonly configuration: {
    readonly version: number
    readonly checksum: string
    readonly active?: number | undefined
  }
  readonly view: View | undefined
  readonly state: SiteState
  /** Taken once this summary's reply names `challenge` as its `witness`; to be sent again otherwise. */
  readonly events: readonly ReportedEvent[]
  readonly highest: readonly NamedTag[]
  /** At most one for each lease name: (node, incarnation, counter, name) is a claim's identity. */
  readonly claims: readonly LeaseClaim[]
  /** A changed configuration that all members of `view` have stored, to be registered (SPEC LC4). */
  readonly registration?: Registration | undefined
}

export interface Registration {
  /** What the witness works with: the JSON that an operator would register. */
  readonly text: string
  /** The whole configuration, for nodes that missed it; opaque to the witness. */
  readonly document: string
  /** The view speaks for its site without the witness. */
  readonly majorityAlone: boolean
}

/** The newest configuration that the witness knows. */
export interface RegisteredConfiguration {
  readonly version: number
  readonly checksum: string
  /** Told to a node with an older one, if a live change brought it. */
  readonly document?: string | undefined
}

/** Witness to node. Leases and answers are true at the instant of the decision, in one transaction. */
export interface Reply extends ClaimId {
  readonly cluster: string
  /** The object's incarnation: nodes pin it (SPEC W6) and send it back as their challenge. */
  readonly witness: string
  readonly leases: readonly LeaseSummary[]
  /** One for each claim of the summary, in its order. */
  readonly answers: readonly LeaseAnswer[]
  /** How often to post; stretched near the quota, never above a third of the shortest TTL. */
  readonly interval: Millis
  /** Use of the day's quota so far, 0..100 and above. */
  readonly quotaPercent: number
  /** A witness of an older version does not say. */
  readonly configuration?: RegisteredConfiguration | undefined
}

/** Bad input; nothing was changed by reading it. `detail` names the first offending path, for operators. */
export interface ParseError {
  readonly kind: "not-json" | "unsupported-version" | "malformed"
  readonly detail: string
}

/** One entry of the answer to a post: a signed reply, or why this document was refused. */
export type PostedReply =
  | { readonly kind: "signed"; readonly document: string }
  | { readonly kind: "refused"; readonly reason: string; readonly message: string }

/** Reads a summary's payload. Any text yields a summary or an error, never an exception. */
export function parseSummary(text: string): Result<Summary, ParseError> {
  return parseDocument(text, wire.summarySchema)
}

/** Reads a reply's payload. Any text yields a reply or an error, never an exception. */
export function parseReply(text: string): Result<Reply, ParseError> {
  return parseDocument(text, wire.replySchema)
}

/** Reads a post's body: the compact JWS of 1..8 documents, not yet verified. */
export function parsePost(text: string): Result<readonly string[], ParseError> {
  const post = parseJson(text, wire.postSchema)
  return post.kind === "ok" ? ok(post.value.documents) : post
}

/** Reads the answer to a post: one entry for each document posted, not yet verified. */
export function parsePostReplies(text: string): Result<readonly PostedReply[], ParseError> {
  const answer = parseJson(text, wire.postRepliesSchema)
  return answer.kind === "ok" ? ok(answer.value.replies) : answer
}

export function encodePost(documents: readonly string[]): string {
  return JSON.stringify({ documents })
}

export function encodePostReplies(replies: readonly PostedReply[]): string {
  return JSON.stringify({
    replies: replies.map((reply) =>
      reply.kind === "signed" ? reply.document : { error: { reason: reply.reason, message: reply.message } },
    ),
  })
}

export function encodeSummary(summary: Summary): string {
  return JSON.stringify({
    version: documentVersion,
    ...summary,
    events: summary.events.map(({ at, ...event }) => ({ ...event, at_ms: at })),
    claims: summary.claims.map(encodeClaim),
    registration: summary.registration && encodeRegistration(summary.registration),
  })
}

function encodeRegistration({ text, document, majorityAlone }: Registration): object {
  return { text, document, majority_alone: majorityAlone }
}

export function encodeReply(reply: Reply): string {
  const { interval, quotaPercent, ...rest } = reply
  return JSON.stringify({
    version: documentVersion,
    ...rest,
    leases: reply.leases.map(encodeLease),
    answers: reply.answers.map(encodeAnswer),
    interval_ms: interval,
    quota_percent: quotaPercent,
  })
}

/** A lease as it stands on the wire and in the witness's API. */
export function encodeLease(lease: LeaseSummary): object {
  const { ttl, releasedEpoch, ...rest } = lease
  return { ...rest, ttl_ms: ttl, released_epoch: releasedEpoch }
}

function encodeClaim(claim: LeaseClaim): object {
  if (claim.kind === "release") {
    if (claim.by.kind === "site") return claim
    const { majorityAlone, ...by } = claim.by
    return { ...claim, by: { ...by, majority_alone: majorityAlone } }
  }
  const waited = claim.waited && {
    epoch: claim.waited.epoch,
    seq: claim.waited.seq,
    waited_ms: claim.waited.waited,
  }
  if (claim.kind === "mandate") {
    const { ttl, ...rest } = claim
    return { ...rest, waited, ttl_ms: ttl }
  }
  const { ttl, ownsService, ...rest } = claim
  return { ...rest, waited, ttl_ms: ttl, owns_service: ownsService }
}

function encodeAnswer(answer: LeaseAnswer): object {
  switch (answer.kind) {
    case "granted":
    case "renewed":
    case "repeated": {
      const { ttl, ...rest } = answer
      return { ...rest, ttl_ms: ttl }
    }
    case "released":
      return answer
    case "refused":
      return { ...answer, current: answer.current && encodeLease(answer.current) }
  }
}

function parseDocument<T>(text: string, schema: v.GenericSchema<unknown, T>): Result<T, ParseError> {
  const version = parseJson(text, wire.versionSchema)
  if (version.kind === "error") return version
  if (version.value.version !== documentVersion) {
    return err({
      kind: "unsupported-version",
      detail: `version ${version.value.version}, expected ${documentVersion}`,
    })
  }
  return parseJson(text, schema)
}

function parseJson<T>(text: string, schema: v.GenericSchema<unknown, T>): Result<T, ParseError> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return err({ kind: "not-json", detail: "not a JSON text" })
  }
  const parsed = v.safeParse(schema, value, { abortEarly: true })
  if (parsed.success) return ok(parsed.output)
  const [issue] = parsed.issues
  return err({ kind: "malformed", detail: `${v.getDotPath(issue) ?? "document"}: ${issue.message}` })
}
