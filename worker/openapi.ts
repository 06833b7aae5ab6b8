/**
 * The OpenAPI document of the operator's API, made of the routes that are served and the schemas that validate. `npm run
 * openapi` writes it beside this file; a test holds that it is the present one.
 */
import { toJsonSchema } from "@valibot/to-json-schema"
import type * as v from "valibot"
import { apiRoutes } from "./api.ts"

const cluster = { name: "cluster", in: "path", required: true, schema: { type: "string" } }
const clusterPath = "/v1/clusters/{cluster}"
const answers = {
  200: { description: "done", content: { "application/json": { schema: { type: "object" } } } },
  default: {
    description: "refused, with the reason",
    content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
  },
}

/** OpenAPI 3.1. */
export function openApiDocument(): object {
  const paths: Record<string, Record<string, object>> = { ...clusterRoutes }
  for (const route of apiRoutes) {
    const path = `${clusterPath}${route.path}`
    paths[path] = { ...paths[path], [route.method]: operation(route) }
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Quorumbeat witness",
      version: "1",
      description:
        "For operators. Nodes post signed documents (protocol/SPEC.md), which are not described here.",
    },
    security: [{ credential: [] }],
    paths,
    components: {
      securitySchemes: { credential: { type: "http", scheme: "bearer" } },
      schemas: {
        Error: {
          type: "object",
          properties: {
            error: {
              type: "object",
              properties: { reason: { type: "string" }, message: { type: "string" } },
              required: ["reason", "message"],
            },
          },
          required: ["error"],
        },
      },
    },
  }
}

const clusterRoutes = {
  [clusterPath]: {
    get: { summary: "Leases, sites, nodes, quota, events, incidents, deliveries", ...scoped("read") },
    put: {
      summary: "Creates the cluster or replaces its configuration (quorumbeat witness register)",
      ...scoped("admin"),
      requestBody: { required: true, content: { "application/json": { schema: { type: "object" } } } },
    },
    delete: { summary: "Ends the cluster; its epochs are kept", ...scoped("admin") },
  },
  [`${clusterPath}/events`]: { get: { summary: "The newest events", ...scoped("read") } },
}

function scoped(scope: string): object {
  return { "x-scope": scope, parameters: [cluster], responses: answers }
}

function operation({ path, scope, summary, query = {}, body }: (typeof apiRoutes)[number]): object {
  const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => {
    return { name, in: "path", required: true, schema: { type: "string" } }
  })
  const asked = Object.entries(query).map(([name, description]) => {
    return { name, in: "query", description, schema: { type: "string" } }
  })
  return {
    summary,
    "x-scope": scope,
    parameters: [cluster, ...named, ...asked],
    ...(body === undefined ? {} : { requestBody: { required: true, content: contentOf(body) } }),
    responses: answers,
  }
}

function contentOf(body: NonNullable<(typeof apiRoutes)[number]["body"]>): object {
  if (body.kind === "toml") return { "application/toml": { schema: { type: "string" } } }
  return { "application/json": { schema: schemaOf(body.schema) } }
}

/** As it is sent, not as it is read; what JSON Schema cannot say (a matcher's grammar) is left to the answer. */
function schemaOf(schema: v.GenericSchema): object {
  const { $schema: _, ...rest } = toJsonSchema(schema, { typeMode: "input", errorMode: "ignore" })
  return rest
}
