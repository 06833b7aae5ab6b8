import { expect, test } from "vitest"
import { reportedPrepared } from "../../../node-agent/core/configuration.ts"
import { adoptStored, takeUp } from "../../../node-agent/core/configuration-spread.ts"
import { accepted, oneSite, parse, twoSites } from "../../support/config-builder.ts"
import { nodeInView, turnAt } from "./node-builder.ts"

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
