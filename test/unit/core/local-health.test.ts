/** SPEC LN8: who was late suspects itself first. */
import { describe, expect, test } from "vitest"
import { mayAccuse, noteWait } from "../../../node-agent/core/local-health.ts"
import { oneSite } from "../../support/config-builder.ts"
import { configOf } from "../../support/layouts.ts"
import { at, startedNode, turnAt } from "./node-builder.ts"

const config = configOf("1x3", oneSite(3))
const { misses, lateness } = config.timings

describe("[LN8] a node that waits for an answer", () => {
  test("accuses after the usual number of silences when it was punctual", () => {
    const node = startedNode(config)
    expect(mayAccuse(turnAt(node, 1000 + lateness), misses - 1, at(1000))).toBe(false)
    expect(mayAccuse(turnAt(node, 1000 + lateness), misses, at(1000))).toBe(true)
  })

  test("asks once more for each wait that ended late, eight times more at most", () => {
    const node = startedNode(config)
    for (let late = 1; late <= 12; late++) {
      const more = Math.min(late, 8)
      expect(mayAccuse(turnAt(node, 1001 + lateness), misses + more - 1, at(1000))).toBe(false)
      expect(node.localHealth).toBe(more)
    }
    expect(mayAccuse(turnAt(node, 1001 + lateness), misses + 8, at(1000))).toBe(true)
  })

  test("trusts itself again with each punctual wait", () => {
    const node = startedNode(config)
    for (let late = 0; late < 3; late++) noteWait(turnAt(node, 1001 + lateness), at(1000))
    for (const expected of [2, 1, 0, 0]) {
      expect(noteWait(turnAt(node, 1000), at(1000))).toBe(false)
      expect(node.localHealth).toBe(expected)
    }
  })
})
