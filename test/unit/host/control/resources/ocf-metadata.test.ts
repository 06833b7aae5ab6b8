import { describe, expect, test } from "vitest"
import {
  parseOcfMetadata,
  problemsOf,
} from "../../../../../node-agent/host/control/resources/ocf-metadata.ts"
import type { OcfResource } from "../../../../../protocol/cluster.ts"
import { millis } from "../../../../../protocol/units.ts"

const agent = `<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name="Test" version="1.0">
  <longdesc lang="en">Uses &lt;none&gt; of "parameter name".</longdesc>
  <parameters>
    <parameter name="path" unique="1" required="1"><content type="string"/></parameter>
    <parameter name="count" required="0"><content type="integer" default="3"/></parameter>
    <parameter name="loud"><content type="boolean"/></parameter>
  </parameters>
  <actions>
    <action name="start" timeout="20s"/>
    <action name="stop" timeout="2m"/>
    <action name="monitor" timeout="500ms" interval="10s" depth="0"/>
    <action name="monitor" timeout="60" interval="60s" depth="10"/>
  </actions>
</resource-agent>`

describe("[H7] the meta-data of an OCF agent", () => {
  test("names parameters and advised limits", () => {
    expect(read().parameters).toEqual(
      new Map([
        ["path", { isRequired: true, type: "string" }],
        ["count", { isRequired: false, type: "integer" }],
        ["loud", { isRequired: false, type: "boolean" }],
      ]),
    )
    expect(read().timeouts).toEqual(
      new Map([
        ["start", 20_000],
        ["stop", 120_000],
        ["monitor", 500],
      ]),
    )
  })

  test.each([
    ["not XML", "usage: Test {start|stop}"],
    ["cut off", agent.slice(0, 300)],
    ["without actions", "<resource-agent/>"],
    ["nothing", ""],
  ])("that is %s is an error", (_what, xml) => {
    expect(parseOcfMetadata(xml).kind).toBe("failed")
  })

  test.each([
    [{ path: "/a", count: "-4", loud: "Yes" }, []],
    [{}, ["ocf:x:Test: parameter path is required"]],
    [{ path: "/a", pth: "/b" }, ["ocf:x:Test: no parameter pth; there are count, loud, path"]],
    [{ path: "/a", count: "4x" }, ['ocf:x:Test: parameter count is "4x", expected a whole number']],
    [{ path: "/a", loud: "very" }, ['ocf:x:Test: parameter loud is "very", expected true or false']],
  ])("finds what is wrong with %j", (parameters, problems) => {
    expect(problemsOf(resource(parameters), read())).toEqual(problems)
  })
})

function read() {
  const result = parseOcfMetadata(agent)
  if (result.kind === "failed") throw new Error(result.reason)
  return result.metadata
}

function resource(parameters: Readonly<Record<string, string>>): OcfResource {
  const limit = millis(1_000)
  const limits = { startTimeout: limit, stopTimeout: limit, monitorTimeout: limit, monitorInterval: limit }
  return { kind: "ocf", name: "test", agent: "ocf:x:Test", parameters, ...limits }
}
