import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import {
  compatibilityDate,
  objectClass,
  workerdConfiguration,
  workerName,
} from "../../../node-agent/host/embedded-witness.ts"
import { registrationOf } from "../../../protocol/registration.ts"
import { parseConfiguration } from "../../../worker/configuration.ts"
import { clusterConfig } from "./fixtures.ts"

it("the embedded witness is the deployed one: same name, class and date as wrangler.toml", () => {
  const wrangler = readFileSync(join(import.meta.dirname, "../../../wrangler.toml"), "utf8")
  expect(/^name = "(.*)"$/m.exec(wrangler)?.[1]).toBe(workerName)
  expect(/^class_name = "(.*)"$/m.exec(wrangler)?.[1]).toBe(objectClass)
  expect(/^compatibility_date = "(.*)"$/m.exec(wrangler)?.[1]).toBe(compatibilityDate)
})

it("a setting cannot break out of its text", () => {
  const text = workerdConfiguration({
    listen: "127.0.0.1:8787",
    stateDirectory: "/state",
    bindings: { WITNESS_KEY: '{"d":"a\\b"}\n' },
  })
  expect(text).toContain(String.raw`text = "{\"d\":\"a\\b\"}\n"`)
  expect(text).toContain('path = "/state/objects"')
})

it("[A4] without the deployment's word a name that resolves to a private address is not reached either", () => {
  const of = (bindings: Readonly<Record<string, string>>) =>
    workerdConfiguration({ listen: "127.0.0.1:8787", stateDirectory: "/state", bindings })
  expect(of({})).toContain('network = (allow = ["public"],')
  expect(of({ ALLOW_PRIVATE_RECEIVERS: "0" })).toContain('network = (allow = ["public"],')
  expect(of({ ALLOW_PRIVATE_RECEIVERS: "1" })).toContain('network = (allow = ["private", "public"],')
})

it("the witness takes what `witness register` tells it of a cluster", () => {
  const config = clusterConfig()
  const key = (id: number): string => Buffer.alloc(32, id).toString("base64url")
  const nodes = config.nodes.map((node) => ({ ...node, publicKey: key(node.id) }))
  const told = JSON.stringify(registrationOf({ ...config, nodes }))
  expect(parseConfiguration(told)).toMatchObject({
    kind: "ok",
    value: {
      version: 1,
      sites: ["a"],
      tickets: ["main"],
      voice_ttl_ms: config.timings.voiceTtl,
      interval_ms: config.timings.summaryInterval,
      nodes: [
        { node: 1, site: "a", votes: 1, public_key: key(1) },
        { node: 2, site: "a", votes: 1, public_key: key(2) },
        { node: 3, site: "a", votes: 1, public_key: key(3) },
      ],
    },
  })
})
