/** When the coordinator of a view acts, and when it asks to be woken for that. */
import { describe, expect, test } from "vitest"
import { nextDeadline, step } from "../../../node-agent/core/node.ts"
import { beginAct } from "../../../node-agent/core/view.ts"
import { World } from "../../../node-agent/simulation/world.ts"
import { after, millis } from "../../../protocol/units.ts"
import { configOf } from "../../support/layouts.ts"

describe("a coordinator whose role or memo is on its way to all members", () => {
  test.each(["coordinator", "memo"])(
    "[Q5] (%s) posts nothing, and asks for no wake-up in the past to do so",
    (act) => {
      const world = new World(configOf("1x2"))
      world.start()
      expect(world.runUntil(() => world.active("ledger").length === 1, 60_000)).toBe(true)
      const node = world.core(1)
      expect(node.view?.coordinator).toBe(1)
      beginAct(node, act)
      const now = after(node.steppedAt, millis(1))
      node.witness = { ...node.witness, outstanding: undefined, nextPost: now }
      const effects = step(node, { kind: "deadline-reached" }, now)
      expect(effects.filter(({ kind }) => kind === "post-summary")).toEqual([])
      expect(nextDeadline(node)).toBeGreaterThan(now)
    },
  )
})
