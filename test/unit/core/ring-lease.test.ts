/** SPEC L1: a lease that ran out before the token came back is told of, though no view changed. */
import { expect, test } from "vitest"
import { acceptToken, firstToken } from "../../../node-agent/core/ring.ts"
import { oneSite } from "../../support/config-builder.ts"
import { configOf } from "../../support/layouts.ts"
import { nodeInView, turnAt } from "./node-builder.ts"

/** What the node logs when the token comes at `now`; its lease ends at 1400. */
function logged(now: number): readonly unknown[] {
  const node = nodeInView(configOf("1x3", oneSite(3)), [1, 2, 3])
  if (node.ring === undefined) throw new Error("it has a ring")
  const turn = turnAt(node, now)
  expect(acceptToken(turn, undefined, { ...firstToken(node.ring), number: 6 })).toBeDefined()
  return turn.effects.flatMap((effect) => (effect.kind === "log" ? [[effect.event, effect.fields]] : []))
}

test("[L1] the token comes when the lease is over", () => {
  expect(logged(1437)).toEqual([["ring-lease-lapsed", { for_ms: 37 }]])
})

test("[L1] the token comes in time", () => {
  expect(logged(1400)).toEqual([])
})
