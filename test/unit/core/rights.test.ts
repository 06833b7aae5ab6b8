/** SPEC VL1, M1: rights as arithmetic on deadlines. A right without a live deadline is no right. */
import { describe, expect, test } from "vitest"
import {
  hasMandate,
  hasVoice,
  mandateUntil,
  needsMandate,
  serviceUntil,
  voiceUntil,
} from "../../../node-agent/core/rights.ts"
import type { NodeState } from "../../../node-agent/core/state.ts"
import { epoch, incarnation, nodeId } from "../../../protocol/units.ts"
import { configOf } from "../../support/layouts.ts"
import { at, main, nodeInView, ticketOf } from "./node-builder.ts"

const three = configOf("1x3")
const two = configOf("1x2")
const sites = configOf("2x2")

const granted = (until: number | undefined) => ({
  deadline: until === undefined ? undefined : at(until),
  own: true,
  epoch: epoch(1),
  grantedAt: at(1000),
  waitedOut: false,
})

describe("voice", () => {
  test("[VL1] a majority alone: as long as the ring lease", () => {
    expect(voiceUntil(nodeInView(three, [1, 2]))).toBe(1400)
  })

  test("[VL1] with the witness: the earlier of ring lease and voice lease; without a grant none", () => {
    expect(voiceUntil(nodeInView(two, [1], { voice: granted(9000) }))).toBe(1400)
    expect(voiceUntil(nodeInView(two, [1], { voice: granted(1200) }))).toBe(1200)
    expect(voiceUntil(nodeInView(two, [1], { voice: granted(undefined) }))).toBeUndefined()
  })

  test("[VL1] a minority has none, whatever it holds", () => {
    expect(voiceUntil(nodeInView(three, [1], { voice: granted(9000) }))).toBeUndefined()
  })

  test("[VL1] not before activateAt, and not at or after the deadline", () => {
    const node = nodeInView(three, [1, 2], { activateAt: at(1100) })
    expect([1099.9, 1100, 1399.9, 1400].map((now) => hasVoice(node, at(now)))).toEqual([
      false,
      true,
      true,
      false,
    ])
  })

  const lost: readonly { readonly what: string; readonly lose: (node: NodeState) => void }[] = [
    { what: "no view", lose: (node) => Object.assign(node, { view: undefined }) },
    { what: "the ring was left (Gather)", lose: (node) => Object.assign(node, { ring: undefined }) },
    {
      what: "no lease yet",
      lose: (node) => Object.assign(node, { ring: { ...node.ring, lease: undefined } }),
    },
    {
      what: "the ring is another than the view's (Recovery)",
      lose: (node) =>
        Object.assign(node, {
          ring: { ...node.ring, id: { sequence: 8, representative: nodeId(1), incarnation: incarnation(1) } },
        }),
    },
    { what: "departed", lose: (node) => Object.assign(node, { leaving: "departed" }) },
  ]
  test.each(lost)("[VL1] none: $what", ({ lose }) => {
    const node = nodeInView(three, [1, 2])
    lose(node)
    expect(voiceUntil(node)).toBeUndefined()
    expect(hasVoice(node, at(1200))).toBe(false)
  })
})

describe("mandate", () => {
  /** Votes as [voter, epoch, until], with the site's claim at epoch 3. */
  function withVotes(...votes: readonly (readonly [string, number, number])[]): NodeState {
    const node = nodeInView(sites, [1, 2])
    const entries = votes.map(
      ([voter, of, until]) => [voter, { epoch: epoch(of), until: at(until), own: true }] as const,
    )
    node.tickets = new Map([[main, { ...ticketOf(node), epoch: epoch(3), votes: new Map(entries) }]])
    return node
  }
  const until = (node: NodeState) => mandateUntil(node, ticketOf(node))

  test("[M1] a single-site ticket needs none", () => {
    const node = nodeInView(three, [1, 2])
    expect(needsMandate(node, main)).toBe(false)
    expect(serviceUntil(node, ticketOf(node))).toBe(1400)
  })

  test.each([
    { votes: [["north", 3, 5000]], expected: undefined },
    {
      votes: [
        ["north", 3, 5000],
        ["south", 3, 4000],
      ],
      expected: 4000,
    },
    {
      votes: [
        ["north", 3, 5000],
        ["@witness", 3, 4500],
      ],
      expected: 4500,
    },
    {
      votes: [
        ["north", 3, 5000],
        ["south", 3, 4000],
        ["@witness", 3, 4500],
      ],
      expected: 4500,
    },
    {
      votes: [
        ["north", 3, 5000],
        ["south", 2, 4000],
      ],
      expected: undefined,
    },
    {
      votes: [
        ["north", 3, 1000],
        ["south", 3, 5000],
        ["@witness", 3, 6000],
      ],
      expected: 5000,
    },
    {
      votes: [
        ["north", 2, 7000],
        ["south", 3, 5000],
        ["@witness", 3, 6000],
      ],
      expected: undefined,
    },
    {
      votes: [
        ["south", 3, 5000],
        ["@witness", 3, 6000],
      ],
      expected: undefined,
    },
  ] as const)(
    "[M1] two of three voters, the own among them, the second latest deadline: $votes gives $expected",
    ({ votes, expected }) => {
      expect(until(withVotes(...votes))).toBe(expected)
    },
  )

  test("[M2] it is over at the deadline", () => {
    const node = withVotes(["north", 3, 5000], ["south", 3, 4000])
    expect([3999, 4000].map((now) => hasMandate(node, ticketOf(node), at(now)))).toEqual([true, false])
  })

  test("[M1] votes without a claim, or of a claim that was given up, make no mandate", () => {
    const node = withVotes(["north", 0, 5000], ["south", 0, 4000])
    expect(mandateUntil(node, { ...ticketOf(node), epoch: epoch(0) })).toBeUndefined()
    const held = withVotes(["north", 3, 5000], ["south", 3, 4000])
    expect(mandateUntil(held, { ...ticketOf(held), givenUp: epoch(3) })).toBeUndefined()
  })

  test("[M1] [I3] old votes make no mandate once the site voted for a higher epoch: it may have acted at that", () => {
    const node = withVotes(["north", 3, 5000], ["south", 3, 4000])
    expect(mandateUntil(node, { ...ticketOf(node), knownEpoch: epoch(3) })).toBe(4000)
    expect(mandateUntil(node, { ...ticketOf(node), knownEpoch: epoch(4) })).toBeUndefined()
  })

  test("[S1] a service's deadline is the earliest of all its rights", () => {
    const node = withVotes(["north", 3, 5000], ["south", 3, 1300])
    expect(serviceUntil(node, ticketOf(node))).toBe(1300)
  })
})
