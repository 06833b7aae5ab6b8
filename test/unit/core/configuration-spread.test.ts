import { expect, test } from "vitest"
import { reportedPrepared } from "../../../node-agent/core/configuration.ts"
import { adoptStored, learnLongest, takeUp } from "../../../node-agent/core/configuration-spread.ts"
import { bindingTtl, pledgeDuration } from "../../../node-agent/core/pledges.ts"
import { millis, stretched } from "../../../protocol/units.ts"
import { accepted, oneSite, parse, twoSites } from "../../support/config-builder.ts"
import { at, nodeInView, turnAt } from "./node-builder.ts"

const { witness } = twoSites()

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
