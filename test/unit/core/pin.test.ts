/** SPEC W6: which witness object is believed. */
import { describe, expect, test } from "vitest"
import { acceptStranger, adoptPin, believed } from "../../../node-agent/core/pin.ts"
import type { NodeState } from "../../../node-agent/core/state.ts"
import { noteWatch } from "../../../node-agent/core/watch.ts"
import { type LeaseSummary, voiceLease } from "../../../protocol/lease.ts"
import type { Reply } from "../../../protocol/summaries.ts"
import { epoch, millis, siteId } from "../../../protocol/units.ts"
import { configOf } from "../../support/layouts.ts"
import { at, nodeInView, pendingOf, startedNode, turnAt } from "./node-builder.ts"

const config = configOf("1x2")
const [pinned, other] = ["a".repeat(32), "b".repeat(32)]
const name = voiceLease(siteId("north"))

const lease = (of: number, seq: number): LeaseSummary => {
  return { name, holder: undefined, epoch: epoch(of), seq, ttl: millis(10_000), releasedEpoch: epoch(0) }
}

function reply(node: NodeState, witness: string, leases: readonly LeaseSummary[] = [], counter = 1): Reply {
  const { name: cluster } = node.config
  const id = { node: node.self.id, incarnation: node.incarnation, counter }
  return { ...id, cluster, witness, leases, answers: [], interval: millis(2000), quotaPercent: 0 }
}

/** A node that believes `pinned` and saw (2, 5) at 1000, having sent document 1 at `sentAt`. */
function believing(sentAt = 1100): NodeState {
  const node = nodeInView(config, [1, 2])
  believed(turnAt(node, 1000), reply(node, pinned))
  noteWatch(turnAt(node, 1000), name, lease(2, 5), pinned, lease(2, 5))
  node.witness = {
    ...node.witness,
    sent: new Map([[1, { at: at(sentAt), ring: undefined, waited: false, memo: undefined, events: [] }]]),
  }
  return node
}

test("[W6] the first object met is pinned, stored, and told to the members", () => {
  const node = nodeInView(config, [1, 2])
  expect(believed(turnAt(node, 1000), reply(node, pinned))).toBe(true)
  expect(node.witness.pin).toBe(pinned)
  expect(node.durable.state.witness?.incarnation).toBe(pinned)
  expect(pendingOf(node)).toEqual([{ kind: "pin", witness: pinned }])
})

describe("[W6] first contact is for a view that speaks alone, and may", () => {
  test.each([
    { what: "half of the site", node: () => nodeInView(config, [1]), now: 1000 },
    { what: "no ring lease", node: () => nodeInView(config, [1, 2]), now: 1400 },
    { what: "not yet active", node: () => nodeInView(config, [1, 2], { activateAt: at(1300) }), now: 1200 },
  ])("$what: not pinned, nobody is paged, an operator may accept it", ({ node: make, now }) => {
    const node = make()
    const turn = turnAt(node, now)
    expect(believed(turn, reply(node, pinned))).toBe(false)
    expect(believed(turn, reply(node, pinned))).toBe(false)
    expect(node.witness).toMatchObject({ pin: undefined, quarantine: undefined, reason: "first-contact" })
    expect(node.witness.events).toEqual([])
    expect(pendingOf(node)).toEqual([])
    expect(acceptStranger(turnAt(node, now + 1000))).toBe(true)
    expect(node.witness).toMatchObject({ pin: pinned, believeFrom: now + (10_000 * 1.001) / 0.999 })
  })

  test("a member that has the pin tells it to half of the site", () => {
    const node = nodeInView(config, [1])
    believed(turnAt(node, 1000), reply(node, other))
    adoptPin(turnAt(node, 1000), pinned)
    expect(believed(turnAt(node, 1100), reply(node, pinned))).toBe(true)
    expect(believed(turnAt(node, 1100), reply(node, other))).toBe(false)
  })
})

test("[W6] a node that lost its record believes none until a member tells it the pin", () => {
  const node = startedNode(config, 1, "lost")
  expect(believed(turnAt(node, 1000), reply(node, pinned))).toBe(false)
  expect(node.witness.quarantine).toBe("no-pin")
  adoptPin(turnAt(node, 1100), pinned)
  expect(believed(turnAt(node, 1200), reply(node, pinned))).toBe(true)
  expect(believed(turnAt(node, 1300), reply(node, other))).toBe(false)
})

test("[W6] a pin is not changed by what a member tells", () => {
  const node = believing()
  adoptPin(turnAt(node, 1200), other)
  expect(node.witness.pin).toBe(pinned)
})

test("[W6] another object is quarantined, reported once, and forgotten when the true one answers again", () => {
  const node = believing()
  const turn = turnAt(node, 1200)
  expect(believed(turn, reply(node, other))).toBe(false)
  expect(believed(turn, reply(node, other))).toBe(false)
  expect(
    turn.effects.filter((each) => each.kind === "log" && each.event === "witness-quarantined"),
  ).toHaveLength(1)
  expect(believed(turn, reply(node, pinned, [lease(2, 6)]))).toBe(true)
})

describe("set back", () => {
  test.each([
    { what: "the same tag", tag: [2, 5], sentAt: 1100, ok: true },
    { what: "a higher one", tag: [2, 6], sentAt: 1100, ok: true },
    { what: "a lower seq, asked before the higher was seen: overtaken", tag: [2, 4], sentAt: 999, ok: true },
    { what: "a lower seq, asked after it", tag: [2, 4], sentAt: 1100, ok: false },
    { what: "a lower epoch, asked after it", tag: [1, 9], sentAt: 1100, ok: false },
  ] as const)("[W6] $what: believed is $ok", ({ tag: [of, seq], sentAt, ok }) => {
    const node = believing(sentAt)
    expect(believed(turnAt(node, 1200), reply(node, pinned, [lease(of, seq)]))).toBe(ok)
  })

  test("[W6] the tag that was seen, now with another holder: not believed, whenever it was asked", () => {
    const node = believing(999)
    const forked = { ...lease(2, 5), holder: { kind: "site", site: siteId("south") } as const }
    expect(believed(turnAt(node, 1200), reply(node, pinned, [forked]))).toBe(false)
    expect(node.witness.quarantine).toBe(`set-back:${name}`)
  })

  test("[W6] it stays quarantined, whatever it says later, until an operator accepts it", () => {
    const node = believing()
    believed(turnAt(node, 1200), reply(node, pinned, [lease(1, 1)]))
    expect(believed(turnAt(node, 1300), reply(node, pinned, [lease(9, 9)]))).toBe(false)
    expect(acceptStranger(turnAt(node, 1400))).toBe(true)
    expect(believed(turnAt(node, 1500), reply(node, pinned, [lease(1, 2)]))).toBe(true)
  })
})

test("[W6] an accepted object is not claimed from before TTL' has passed since it was first seen", () => {
  const node = believing()
  expect(acceptStranger(turnAt(node, 1100))).toBe(false)
  believed(turnAt(node, 1200), reply(node, other))
  expect(acceptStranger(turnAt(node, 3000))).toBe(true)
  expect(node.witness).toMatchObject({ pin: other, believeFrom: 1200 + (10_000 * 1.001) / 0.999 })
})
