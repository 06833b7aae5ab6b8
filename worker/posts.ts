/**
 * From the signed documents of a post to signed replies. Signatures are verified here, in the Worker, before the object
 * is asked: what is not genuine costs the object nothing. One bad document does not spoil its neighbours'.
 */

import { assert } from "../protocol/assert.ts"
import { err, ok, type Result } from "../protocol/result.ts"
import type { PostedReply } from "../protocol/summaries.ts"
import type { WallTime } from "../protocol/units.ts"
import { readClock } from "./clock.ts"
import type { ClusterWitness, NodeKey, PostAnswer } from "./cluster.ts"
import type { DocumentAnswer, VerifiedDocument } from "./documents.ts"
import type { Environment } from "./environment.ts"
import { type DocumentReason, errorAnswer, type RequestReason } from "./errors.ts"
import { readHeader, signReply, verifySummary, type WitnessKey } from "./signing.ts"

/** Answers the documents one by one; an error if none of them was acceptable: then the whole post is bad. */
export async function answerPost(
  environment: Environment,
  cluster: string,
  documents: readonly string[],
  key: WitnessKey,
): Promise<Result<readonly PostedReply[], RequestReason>> {
  const verified = await verifyAll(environment, cluster, documents)
  if (verified.kind === "error") return verified
  const genuine = verified.value.flatMap((each) => (each.kind === "ok" ? [each.value] : []))
  const answered = genuine.length === 0 ? noAnswers : await askObject(environment, cluster, genuine)
  if (answered.kind === "unknown-cluster") return err("unknown-cluster")
  const next = answered.answers.values()
  const answers = verified.value.map((each): DocumentAnswer => {
    if (each.kind === "error") return { kind: "refused", reason: each.error }
    const answer = next.next().value
    assert(answer !== undefined, "the object answers every document")
    return answer
  })
  const [first] = answers
  if (first?.kind === "refused" && answers.every(({ kind }) => kind === "refused")) return err(first.reason)
  return ok(await Promise.all(answers.map((answer) => postedReply(answer, cluster, key))))
}

const noAnswers: PostAnswer = { kind: "answered", answers: [] }

/** How old cached keys must be before a document that does not fit them makes us ask the object again. */
const refreshAfterMs = 5_000

interface CachedKeys {
  readonly keys: ReadonlyMap<number, string>
  readonly readAt: WallTime
}

// By cluster and for the life of the isolate; the object checks each key against its configuration again.
const keyCache = new Map<string, CachedKeys>()
const clustersCachedMax = 1_000

async function verifyAll(
  environment: Environment,
  cluster: string,
  documents: readonly string[],
): Promise<Result<readonly Result<VerifiedDocument, DocumentReason>[], RequestReason>> {
  const cached = keyCache.get(cluster)
  if (cached !== undefined) {
    const verified = await verifyWith(cached.keys, cluster, documents)
    const fits = verified.every((each) => each.kind === "ok" || !mayBeStale(each.error))
    if (fits || Math.abs(readClock() - cached.readAt) < refreshAfterMs) return ok(verified)
  }
  const keys = await readKeys(environment, cluster)
  return keys === undefined ? err("unknown-cluster") : ok(await verifyWith(keys, cluster, documents))
}

/** Whether a refusal could come from keys that have changed since they were cached. */
function mayBeStale(reason: DocumentReason): boolean {
  return reason === "unknown-key" || reason === "signature-invalid"
}

async function readKeys(
  environment: Environment,
  cluster: string,
): Promise<ReadonlyMap<number, string> | undefined> {
  const listed = await withRetry(
    environment,
    cluster,
    async (stub): Promise<readonly NodeKey[] | undefined> => await stub.nodeKeys(),
  )
  if (listed === undefined) return undefined
  if (keyCache.size >= clustersCachedMax) keyCache.clear()
  const keys = new Map(listed.map(({ node, key }) => [node, key]))
  keyCache.set(cluster, { keys, readAt: readClock() })
  return keys
}

function verifyWith(
  keys: ReadonlyMap<number, string>,
  cluster: string,
  documents: readonly string[],
): Promise<readonly Result<VerifiedDocument, DocumentReason>[]> {
  return Promise.all(documents.map((document) => verify(keys, cluster, document)))
}

async function verify(
  keys: ReadonlyMap<number, string>,
  cluster: string,
  document: string,
): Promise<Result<VerifiedDocument, DocumentReason>> {
  const header = readHeader(document, cluster)
  if (header.kind === "error") return header
  const { node } = header.value
  const key = keys.get(node)
  if (key === undefined) return err("unknown-key")
  const payload = await verifySummary(document, key)
  return payload.kind === "ok" ? ok({ payload: payload.value, node, key }) : payload
}

function askObject(
  environment: Environment,
  cluster: string,
  documents: readonly VerifiedDocument[],
): Promise<PostAnswer> {
  return withRetry(environment, cluster, async (stub): Promise<PostAnswer> => await stub.post(documents))
}

/** Once more, with a new stub, if the platform says that this helps. Posts are idempotent by their counters. */
async function withRetry<T>(
  { CLUSTER }: Environment,
  cluster: string,
  ask: (stub: DurableObjectStub<ClusterWitness>) => Promise<T>,
): Promise<T> {
  try {
    return await ask(CLUSTER.getByName(cluster))
  } catch (error) {
    if (!isRetryable(error)) throw error
    return await ask(CLUSTER.getByName(cluster))
  }
}

function isRetryable(error: unknown): boolean {
  if (!(error instanceof Error) || !("retryable" in error) || error.retryable !== true) return false
  return !("overloaded" in error && error.overloaded === true)
}

async function postedReply(answer: DocumentAnswer, cluster: string, key: WitnessKey): Promise<PostedReply> {
  if (answer.kind === "reply")
    return { kind: "signed", document: await signReply(answer.payload, cluster, key) }
  return { ...answer, message: errorAnswer(answer.reason).message }
}
