/**
 * The Worker: routes, authentication and the choice of the cluster's object; no policy. A route parses, calls one method
 * of the object and maps the result.
 *
 *   GET  /v1/health                        anyone; touches no object
 *   POST /v1/clusters/:cluster/summaries   nodes: signed documents in, signed replies out
 *   PUT  /v1/clusters/:cluster             operator: creates the cluster or replaces its configuration
 *   GET  /v1/clusters/:cluster             operator: leases, sites, nodes, quota, events, deliveries
 *   GET  /v1/clusters/:cluster/events      operator: newest events, `?limit=1..1000`
 *
 * Errors: an HTTP status and `{"error": {"reason", "message"}}` (`errors.ts`); nothing was stored then.
 */

import { Hono } from "hono"
import { documentsPerPostMax, encodePostReplies, parsePost, postBytesMax } from "../protocol/summaries.ts"
import { readJsonBody } from "./body.ts"
import { registryName } from "./cluster.ts"
import { configurationBytesMax } from "./configuration.ts"
import { refuseCredential } from "./credential.ts"
import type { Environment } from "./environment.ts"
import { errorAnswer, type RequestReason } from "./errors.ts"
import { answerPost } from "./posts.ts"
import { importWitnessKey } from "./signing.ts"

export { ClusterWitness } from "./cluster.ts"

const app = new Hono<{ Bindings: Environment }>()

app.get("/v1/health", (context) => context.json({ status: "ok" }))

app.use("/v1/clusters/:cluster/*", async (context, next) => {
  return clusterNamePattern.test(context.req.param("cluster")) ? next() : refusal("cluster-name-malformed")
})

app.post("/v1/clusters/:cluster/summaries", async (context) => {
  const body = await readJsonBody(context.req.raw, postBytesMax)
  if (body.kind === "error") return refusal(body.error)
  const documents = parsePost(body.value)
  if (documents.kind === "error") {
    const reason = documents.error.kind === "not-json" ? "body-not-json" : "body-malformed"
    return refusal(reason, `${documents.error.detail} (1 to ${documentsPerPostMax} documents a post)`)
  }
  const key = await importWitnessKey(context.env.WITNESS_KEY)
  if (key.kind === "error") return refusal(key.error)
  const replies = await answerPost(context.env, context.req.param("cluster"), documents.value, key.value)
  return replies.kind === "error" ? refusal(replies.error) : json(encodePostReplies(replies.value))
})

// Everything below is the operator's.
app.use("/v1/clusters/:cluster/*", async (context, next) => {
  const reason = await refuseCredential(
    context.req.header("authorization"),
    context.env.OPERATOR_CREDENTIAL_SHA256,
  )
  return reason === undefined ? next() : refusal(reason)
})

app.put("/v1/clusters/:cluster", async (context) => {
  const cluster = context.req.param("cluster")
  const key = await importWitnessKey(context.env.WITNESS_KEY)
  if (key.kind === "error") return refusal(key.error)
  const body = await readJsonBody(context.req.raw, configurationBytesMax)
  if (body.kind === "error") return refusal(body.error)
  const answer = await context.env.CLUSTER.getByName(cluster).configure(cluster, body.value)
  if (answer.kind === "refused") return refusal(answer.reason, answer.detail)
  await context.env.CLUSTER.getByName(registryName).registerCluster(cluster)
  const { witness, created } = answer
  return context.json({ cluster, witness, public_key: key.value.publicKey, created }, created ? 201 : 200)
})

app.get("/v1/clusters/:cluster", async (context) => {
  const described = await context.env.CLUSTER.getByName(context.req.param("cluster")).describe()
  return described === undefined ? refusal("unknown-cluster") : json(described)
})

app.get("/v1/clusters/:cluster/events", async (context) => {
  const limit = Math.min(Math.max(Math.trunc(Number(context.req.query("limit") ?? 100)) || 100, 1), 1_000)
  const described = await context.env.CLUSTER.getByName(context.req.param("cluster")).describeEvents(limit)
  return described === undefined ? refusal("unknown-cluster") : json(described)
})

app.notFound(() => refusal("not-found"))

app.onError((error, context) => {
  console.error({ message: "a request failed", path: context.req.path, error: String(error) })
  return refusal("unavailable")
})

/** Each minute: a lost alarm must not silence the dead-man check. */
async function pokeClusters({ CLUSTER }: Environment): Promise<void> {
  const clusters = await CLUSTER.getByName(registryName).registeredClusters()
  await Promise.allSettled(clusters.map((cluster) => CLUSTER.getByName(cluster).poke()))
}

const clusterNamePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/

function refusal(reason: RequestReason, detail?: string): Response {
  const { status, message } = errorAnswer(reason)
  const text = detail === undefined ? message : `${message}: ${detail}`
  return Response.json(
    { error: { reason, message: text } },
    { status, headers: { "cache-control": "no-store" } },
  )
}

function json(text: string): Response {
  return new Response(text, { headers: { "content-type": "application/json", "cache-control": "no-store" } })
}

export default {
  fetch: app.fetch,
  scheduled: (_controller, environment) => pokeClusters(environment),
} satisfies ExportedHandler<Environment>
