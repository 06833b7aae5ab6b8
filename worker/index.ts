/**
 * The Worker: routes, authentication and the choice of the cluster's object; no policy. A route parses, calls one method
 * of the object and maps the result.
 *
 *   GET  /v1/health                        anyone; touches no object
 *   POST /v1/clusters/:cluster/summaries   nodes: signed documents in, signed replies out
 *   PUT  /v1/clusters/:cluster             operator: creates the cluster or replaces its configuration
 *   GET  /v1/clusters/:cluster             leases, sites, nodes, quota, events, incidents, deliveries
 *   DELETE /v1/clusters/:cluster           operator: ends it; its epochs are kept
 *   GET  /v1/clusters/:cluster/events      newest events, `?limit=1..1000`
 *   .... /v1/clusters/:cluster/...         alerts, credentials, node keys: `api.ts`
 *
 * Errors: an HTTP status and `{"error": {"reason", "message"}}` (`errors.ts`); nothing was stored then.
 */

import { Hono } from "hono"
import * as v from "valibot"
import { err, ok, type Result } from "../protocol/result.ts"
import { documentsPerPostMax, encodePostReplies, parsePost, postBytesMax } from "../protocol/summaries.ts"
import { apiRoutes } from "./api.ts"
import { readJsonBody, readTextBody } from "./body.ts"
import { readClock } from "./clock.ts"
import { registryName } from "./cluster.ts"
import { configurationBytesMax } from "./configuration.ts"
import { bearerOf, isOperator } from "./credential.ts"
import type { Environment } from "./environment.ts"
import { errorAnswer, type RequestReason } from "./errors.ts"
import { answerPost } from "./posts.ts"
import { limitOf, postLimit, RateLimiter, requestLimit } from "./rate-limit.ts"
import { reaches, type Scope } from "./scopes.ts"
import { importWitnessKey } from "./signing.ts"

export { ClusterWitness } from "./cluster.ts"

const app = new Hono<{ Bindings: Environment; Variables: { scope: Scope } }>()
/** Of this isolate. */
const requests = new RateLimiter()
const posts = new RateLimiter()

app.get("/v1/health", (context) => context.json({ status: "ok" }))

app.use("/v1/clusters/:cluster/*", async (context, next) => {
  return clusterNamePattern.test(context.req.param("cluster")) ? next() : refusal("cluster-name-malformed")
})

app.post("/v1/clusters/:cluster/summaries", async (context) => {
  const limit = limitOf(context.env.POSTS_PER_SECOND, postLimit)
  if (!posts.allows(context.req.param("cluster"), limit, readClock())) return refusal("rate-limited")
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

// Everything below needs a credential; `scope` is how far it reaches.
app.use("/v1/clusters/:cluster/*", async (context, next) => {
  const authorized = await authorize(
    context.env,
    context.req.param("cluster"),
    context.req.header("authorization"),
  )
  if (authorized.kind === "error") return refusal(authorized.error)
  context.set("scope", authorized.value)
  return next()
})

for (const { method, path, scope, body: expected, command } of apiRoutes) {
  app.on(
    method.toUpperCase(),
    `/v1/clusters/:cluster${path.replaceAll(/\{(\w+)\}/g, ":$1")}`,
    async (context) => {
      if (!reaches(context.get("scope"), scope)) return refusal("scope-too-small", `${scope} is needed`)
      const body = await readApiBody(context.req.raw, expected)
      if (body.kind === "error") return refusal(body.error.reason, body.error.detail)
      const request = { path: context.req.param(), query: context.req.query(), body: body.value }
      const { to, command: asked } = command(request)
      const stub = context.env.CLUSTER.getByName(request.path.cluster ?? "")
      const answer = to === "alerts" ? await stub.alerts(asked) : await stub.administer(asked)
      if (answer === undefined) return refusal("unknown-cluster")
      return answer.kind === "refused" ? refusal(answer.reason, answer.detail) : json(answer.body)
    },
  )
}

app.put("/v1/clusters/:cluster", async (context) => {
  const cluster = context.req.param("cluster")
  if (!reaches(context.get("scope"), "admin")) return refusal("scope-too-small", "admin is needed")
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

app.delete("/v1/clusters/:cluster", async (context) => {
  const cluster = context.req.param("cluster")
  if (!reaches(context.get("scope"), "admin")) return refusal("scope-too-small", "admin is needed")
  if (!(await context.env.CLUSTER.getByName(cluster).remove())) return refusal("unknown-cluster")
  await context.env.CLUSTER.getByName(registryName).unregisterCluster(cluster)
  return json(JSON.stringify({ cluster, deleted: true }))
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

/** How far a credential reaches in a cluster: the deployment's everywhere, a cluster's own in it. */
async function authorize(
  environment: Environment,
  cluster: string,
  authorization: string | undefined,
): Promise<Result<Scope, RequestReason>> {
  const credential = bearerOf(authorization)
  if (credential === undefined) return err("credential-missing")
  if (!requests.allows(cluster, requestLimit, readClock())) return err("rate-limited")
  const operator = await isOperator(credential, environment.OPERATOR_CREDENTIAL_SHA256)
  if (operator.kind === "error" || operator.value) return operator.kind === "error" ? operator : ok("admin")
  const granted = await environment.CLUSTER.getByName(cluster).authorize(credential)
  return granted.kind === "granted" ? ok(granted.scope) : err("credential-invalid")
}

interface BodyFault {
  readonly reason: RequestReason
  readonly detail?: string
}

async function readApiBody(
  request: Request,
  expected: (typeof apiRoutes)[number]["body"],
): Promise<Result<unknown, BodyFault>> {
  if (expected === undefined) return ok(undefined)
  const type = expected.kind === "json" ? "application/json" : "application/toml"
  const text = await readTextBody(request, apiBodyBytesMax, type)
  if (text.kind === "error") return err({ reason: text.error })
  if (expected.kind === "toml") return ok(text.value)
  try {
    const value: unknown = JSON.parse(text.value)
    const parsed = v.safeParse(expected.schema, value)
    if (parsed.success) return ok(value)
    const [issue] = parsed.issues
    return err({ reason: "body-malformed", detail: `${v.getDotPath(issue) ?? "body"}: ${issue.message}` })
  } catch {
    return err({ reason: "body-not-json" })
  }
}

/** The largest is a rules document. */
const apiBodyBytesMax = 65_536

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
