import { expect, test } from "vitest"
import { reportedPrepared } from "../../../node-agent/core/configuration.ts"
import {
  adoptStored,
  learnLongest,
  onConfigurationTold,
  takeUp,
} from "../../../node-agent/core/configuration-spread.ts"
import { longestLease } from "../../../node-agent/core/pin.ts"
import { bindingTtl, pledgeDuration } from "../../../node-agent/core/pledges.ts"
import type { NodeState } from "../../../node-agent/core/state.ts"
import { millis, nodeId, stretched } from "../../../protocol/units.ts"
import { accepted, oneSite, type Plain, parse, twoSites, witness } from "../../support/config-builder.ts"
import { at, nodeInView, turnAt } from "./node-builder.ts"

test("[LC4] a node that hears that its proposal is a fact brings it into views until that is stored", () => {
  const next = accepted(parse({ ...oneSite(2), version: 2, witness }))
  const node = nodeInView(accepted(parse({ ...oneSite(3), version: 1, witness })), [1, 2])
  const prepared = { config: next, document: "document of 2", voice: 1, ring: 7 }
  node.configuration = { ...node.configuration, prepared }
  const turn = turnAt(node, 1_100)
  takeUp(turn, next, prepared.document)
  expect(node.config.version).toBe(1)
  expect(reportedPrepared(node)).toMatchObject({ version: 2, voice: 1, ring: 7 })
  // The record says that it is active: nothing is prepared beyond it.
  const { configuration } = node.durable.state
  expect(configuration).toMatchObject({ document: prepared.document, prepared: null })
  node.durable = { ...node.durable, written: node.configuration.adopting?.write ?? 0 }
  adoptStored(turn)
  expect(node.config.version).toBe(2)
  expect(reportedPrepared(node)).toBeUndefined()
})

test("[LC5] a longer TTL that members or the memo tell of is stored, binds, and is told on until it is over", () => {
  const node = nodeInView(accepted(parse(twoSites())), [1, 2])
  const { rho, mandateTtl } = node.config.timings
  const long = millis(6 * mandateTtl)
  expect(bindingTtl(node)).toBe(mandateTtl)
  learnLongest(turnAt(node, 2000), long)
  expect(node.durable.state.configuration?.longest?.mandateTtl).toBe(long)
  expect(pledgeDuration(node)).toBe(stretched(long, rho))
  expect(bindingTtl(node)).toBe(long)
  // A shorter one changes nothing.
  learnLongest(turnAt(node, 3000), mandateTtl)
  expect(bindingTtl(node)).toBe(long)
  node.steppedAt = at(2000 + stretched(long, rho))
  expect(bindingTtl(node)).toBe(mandateTtl)
})

const minute = 60_000
const versionOf = (version: number, timings: Plain = {}) =>
  accepted(parse({ ...oneSite(2), version, witness, timings }))

function takenUp(node: NodeState, version: number, now: number): void {
  const turn = turnAt(node, now)
  takeUp(turn, versionOf(version), `document of ${version}`)
  node.durable = { ...node.durable, written: node.configuration.adopting?.write ?? 0 }
  adoptStored(turn)
}

test.each(["mandate_ttl_ms", "voice_ttl_ms"])(
  "[LC5] [W6] a longer %s counts until its time is over, whatever changes meanwhile",
  (key) => {
    const node = nodeInView(versionOf(1, { [key]: minute }), [1, 2])
    const { rho } = node.config.timings
    takenUp(node, 2, 1_100)
    takenUp(node, 3, 30_000)
    expect(longestLease(node)).toBe(stretched(millis(minute), rho))
    expect(bindingTtl(node)).toBe(key === "mandate_ttl_ms" ? minute : node.config.timings.mandateTtl)
    takenUp(node, 4, 1_100 + stretched(millis(minute), rho))
    expect(longestLease(node)).toBeLessThan(minute)
  },
)

test("[LC5] a longer TTL that was to be taken up counts, though the next configuration came before it was stored", () => {
  const node = nodeInView(versionOf(1), [1, 2])
  takeUp(turnAt(node, 1_100), versionOf(2, { mandate_ttl_ms: minute }), "document of 2")
  takenUp(node, 3, 1_200)
  expect(node.config.version).toBe(3)
  expect(pledgeDuration(node)).toBe(stretched(millis(minute), node.config.timings.rho))
  expect(bindingTtl(node)).toBe(minute)
})

test("[LC5] [M9] a longer TTL that others tell of prolongs the amnesia", () => {
  const node = nodeInView(versionOf(3), [1, 2])
  node.durable = { ...node.durable, state: { ...node.durable.state, forgot: true } }
  node.amnesiaUntil = at(11_000)
  learnLongest(turnAt(node, 1_100), millis(minute))
  expect(node.amnesiaUntil).toBeGreaterThanOrEqual(11_000 + minute - node.config.timings.mandateTtl)
})

test("[LC6] pieces of two configurations that one peer told are not put together, when some were lost", () => {
  const node = nodeInView(versionOf(1), [1, 2])
  const documents: string[] = []
  const readConfiguration = (document: string) => {
    documents.push(document)
    return undefined
  }
  Object.assign(node, { readConfiguration })
  const tell = (of: string, part: number): void =>
    onConfigurationTold(turnAt(node, 2000), nodeId(2), {
      kind: "configuration",
      part,
      parts: 3,
      text: `${of}${part} `,
      of,
    })
  tell("a", 0)
  tell("a", 2)
  for (const part of [0, 1, 2]) tell("b", part)
  expect(documents).toEqual(["b0 b1 b2 "])
})
