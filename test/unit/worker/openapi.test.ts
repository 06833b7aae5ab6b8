import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { apiRoutes } from "../../../worker/api.ts"
import { openApiDocument } from "../../../worker/openapi.ts"

const stored = join(import.meta.dirname, "../../../worker/openapi.json")

describe("the OpenAPI document", () => {
  it("is the one that routes and schemas make: npm run openapi", () => {
    expect(JSON.parse(readFileSync(stored, "utf8"))).toEqual(openApiDocument())
  })

  it("names every route with its scope, its parameters and its body", () => {
    const { paths } = openApiDocument() as { paths: Record<string, Record<string, Record<string, unknown>>> }
    for (const { path, method, scope, body } of apiRoutes) {
      const operation = paths[`/v1/clusters/{cluster}${path}`]?.[method]
      expect(operation, `${method} ${path}`).toMatchObject({ "x-scope": scope })
      expect(operation?.requestBody !== undefined, `${method} ${path}`).toBe(body !== undefined)
    }
    const silences = paths["/v1/clusters/{cluster}/alerts/silences"]?.post
    expect(JSON.stringify(silences)).toContain('"ends_at_ms"')
  })
})
