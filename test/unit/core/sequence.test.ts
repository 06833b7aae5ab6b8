/** SPEC R8, D1: ring sequences and incarnations are on the disk before they are announced, and only rise. */
import { expect, test } from "vitest"
import { step } from "../../../node-agent/core/node.ts"
import { noteSequence } from "../../../node-agent/core/sequence.ts"
import { configOf } from "../../support/layouts.ts"
import { at, freshState, startedNode, turnAt } from "./node-builder.ts"

const config = configOf("1x3")
const stored = (ringSequence: number) => startedNode(config, 1, { ...freshState(config, 1), ringSequence })

test("[R8] the first sequence waits for the disk, those reserved with it do not", () => {
  const node = stored(0)
  const turn = turnAt(node, 0)
  const write = noteSequence(turn, 1)
  expect(write).toBe(2)
  expect(node.durable.state.ringSequence).toBe(257)
  step(node, { kind: "persisted", write }, at(1))
  expect([2, 100, 190].map((sequence) => noteSequence(turn, sequence))).toEqual([0, 0, 0])
})

test("[R8] more is reserved before it runs out, and nobody waits for that", () => {
  const node = stored(0)
  step(node, { kind: "persisted", write: noteSequence(turnAt(node, 0), 1) }, at(1))
  expect(noteSequence(turnAt(node, 2), 200)).toBe(0)
  expect(node.durable.state.ringSequence).toBe(456)
})

test("[R8] a jump beyond what is reserved waits for its own write", () => {
  const node = stored(0)
  step(node, { kind: "persisted", write: noteSequence(turnAt(node, 0), 1) }, at(1))
  const write = noteSequence(turnAt(node, 2), 5000)
  expect(write).toBe(node.durable.ordered)
  expect(noteSequence(turnAt(node, 2), 5001)).toBe(write)
})

test("[R8] a restart begins at the stored one: above all that its former self announced", () => {
  const node = stored(257)
  expect(node.sequence).toBe(257)
  expect(noteSequence(turnAt(node, 0), 258)).toBeGreaterThan(0)
})

test("[D3] the raised incarnation is stored first: until then nothing is sent, and nothing received is looked at", () => {
  const node = stored(0)
  expect(node.incarnation).toBe(1)
  node.durable = { ...node.durable, written: 0 }
  expect(step(node, { kind: "deadline-reached" }, at(10_000)).filter(({ kind }) => kind === "send")).toEqual(
    [],
  )
  const sent = step(node, { kind: "persisted", write: 1 }, at(10_001)).filter(({ kind }) => kind === "send")
  expect(sent.length).toBeGreaterThan(0)
})

test("[D3] a node without a record takes an incarnation above any count of starts", () => {
  expect(startedNode(config, 1, "lost").incarnation).toBe(1_800_000_000)
})

test("[D1] a second `persisted` of one write, or one of an earlier write, changes nothing", () => {
  const node = stored(0)
  const write = noteSequence(turnAt(node, 0), 1)
  step(node, { kind: "persisted", write }, at(1))
  const { reserved, written } = node.durable
  step(node, { kind: "persisted", write }, at(2))
  step(node, { kind: "persisted", write: 1 }, at(3))
  expect([node.durable.reserved, node.durable.written]).toEqual([reserved, written])
})
