/** SPEC W4, W11: whoever may want a lease watches it; what was seen unchanged for TTL' may be claimed. */
import { describe, expect, test } from "vitest"
import { noteWatch, waitedOut, waitedOutAt } from "../../../node-agent/core/watch.ts"
import { type LeaseSummary, voiceLease } from "../../../protocol/lease.ts"
import { epoch, incarnation, millis, nodeId, siteId } from "../../../protocol/units.ts"
import { configOf } from "../../support/layouts.ts"
import { startedNode, turnAt } from "./node-builder.ts"

const name = voiceLease(siteId("north"))
const tag = (of: number, seq: number) => ({ epoch: epoch(of), seq })
const lease = (of: number, seq: number, ttl = 10_000): LeaseSummary => ({
  ...tag(of, seq),
  name,
  holder: {
    kind: "view",
    ring: { sequence: 1, representative: nodeId(2), incarnation: incarnation(1) },
    members: [nodeId(2)],
  },
  ttl: millis(ttl),
  releasedEpoch: epoch(0),
})
const [here, elsewhere] = ["a".repeat(32), "b".repeat(32)]

function watching(...seen: readonly (readonly [now: number, lease: LeaseSummary, witness?: string])[]) {
  const node = startedNode(configOf("1x2"))
  for (const [now, each, witness = here] of seen) noteWatch(turnAt(node, now), name, each, witness, each)
  return node
}

const since = (node: ReturnType<typeof watching>) => node.witness.watches.get(name)?.since

describe("since when", () => {
  test("[W11] from the receipt that first showed the tag", () => {
    expect(since(watching([1000, lease(1, 1)], [2000, lease(1, 1)]))).toBe(1000)
  })

  test.each([
    { what: "a higher seq", next: lease(1, 2), witness: here, expected: 2000 },
    { what: "a higher epoch", next: lease(2, 1), witness: here, expected: 2000 },
    { what: "an older one, overtaken", next: lease(1, 0), witness: here, expected: 1000 },
    { what: "the same of another object", next: lease(1, 1), witness: elsewhere, expected: 2000 },
    { what: "a lower one of another object", next: lease(0, 0), witness: elsewhere, expected: 2000 },
  ])("[W4] after $what: $expected", ({ next, witness, expected }) => {
    expect(since(watching([1000, lease(1, 1)], [2000, next, witness]))).toBe(expected)
  })

  test("[W4] a tag told by a member starts the wait anew, and says nothing about the lease itself", () => {
    const node = watching([1000, lease(1, 1)])
    noteWatch(turnAt(node, 1500), name, tag(1, 1), here.slice(0, 8))
    expect(since(node)).toBe(1000)
    noteWatch(turnAt(node, 2000), name, tag(1, 2), here.slice(0, 8))
    expect(since(node)).toBe(2000)
    expect(waitedOut(node, name, turnAt(node, 90_000).now)).toBeUndefined()
  })
})

describe("waited out", () => {
  test("[W11] after TTL' of the ENTRY's ttl, not of one's own", () => {
    for (const ttl of [4000, 10_000, 20_000]) {
      const node = watching([1000, lease(1, 1, ttl)])
      const stretched = (ttl * 1.001) / 0.999
      expect(waitedOutAt(node, name)).toBe(1000 + stretched)
      expect(waitedOut(node, name, turnAt(node, 1000 + stretched - 0.1).now)).toBeUndefined()
      expect(waitedOut(node, name, turnAt(node, 1000 + stretched + 0.1).now)).toMatchObject(tag(1, 1))
    }
  })

  test("[W11] nothing that was never seen; a restart starts anew", () => {
    expect(
      waitedOut(startedNode(configOf("1x2")), name, turnAt(startedNode(configOf("1x2")), 90_000).now),
    ).toBeUndefined()
  })
})
