import { expect, it } from "vitest"
import { type FenceAction, shown } from "../../../../node-agent/host/control/fence/fence-agent.ts"
import { FenceDevices } from "../../../../node-agent/host/control/fence/fence-devices.ts"
import type { ControlEvent } from "../../../../node-agent/host/control/messages.ts"
import type { FenceDevice } from "../../../../protocol/cluster.ts"
import { err, ok } from "../../../../protocol/result.ts"
import { millis, nodeId } from "../../../../protocol/units.ts"

it("what a fence agent prints is shown on one line, without secrets, however it was cut", () => {
  expect(shown("login\n  with hunter2 failed\n", ["hunter2"])).toBe("login; with *** failed")
  // The longer one first, or its end would stay; one that was given with a space behind it.
  expect(shown("pass pass-word", ["pass", "pass-word "])).toBe("*** ***")
  const secret = "s3cr3t-".repeat(20)
  for (let before = 15_800; before <= 16_000; before += 1) {
    const text = shown(`${" ".repeat(before)}${secret}`.slice(0, 16_000), [secret])
    expect(text).not.toContain("s3")
  }
  expect(shown("x".repeat(16_000), [])).toHaveLength(2_000)
})

it("[S15] two devices of one level confirm together only while both are off at one time", async () => {
  const on = new Set<string>()
  const events: ControlEvent[] = []
  let rivalComes = true
  const devices = new FenceDevices({
    devices: [deviceOf("left"), deviceOf("right")],
    self: nodeId(1),
    log: () => undefined,
    emit: (event) => events.push(event),
    // Two power supplies, as their agents tell of them: another coordinator turns the first on again in between.
    run: async ({ name }, action: FenceAction) => {
      if (action === "off") on.delete(name)
      const isOff = !on.has(name)
      if (action === "status" && name === "left" && rivalComes) {
        rivalComes = false
        on.add("left")
      }
      return action !== "status" || isOff ? ok(undefined) : err("still on")
    },
  })
  await devices.fence(1, nodeId(2))
  await devices.fence(2, nodeId(2))
  expect(events).toEqual([
    { kind: "fence-failed", operation: 1, reason: "left: still on" },
    { kind: "fence-confirmed", operation: 2 },
  ])
})

function deviceOf(name: string): FenceDevice {
  return {
    name,
    agent: "fence_any",
    level: 1,
    action: "off",
    delay: millis(0),
    timeout: millis(1_000),
    monitorInterval: millis(60_000),
    parameters: {},
    secretsFile: undefined,
    nodes: [{ node: nodeId(2), plug: undefined }],
  }
}
