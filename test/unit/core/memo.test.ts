/** SPEC VL4-VL6: what the witness keeps between two views that share no member. */
import { describe, expect, test } from "vitest"
import { vouchedNow } from "../../../node-agent/core/commands.ts"
import {
  adoptMemo,
  collectMemo,
  memoText,
  memoWritten,
  noteStoredMemo,
} from "../../../node-agent/core/memo.ts"
import { piecesOf } from "../../../node-agent/core/messages.ts"
import type { NodeState, OrderedState } from "../../../node-agent/core/state.ts"
import { bounds } from "../../../protocol/config-bounds.ts"
import { memoBytesMax } from "../../../protocol/lease.ts"
import { epoch, incarnation, nodeId, serviceName, siteId } from "../../../protocol/units.ts"
import { configOf } from "../../support/layouts.ts"
import { at, main, nodeInView, ticketOf, turnAt } from "./node-builder.ts"

const config = configOf("2x1")
const ledger = serviceName("ledger")
const plan = { service: ledger, node: nodeId(1) }

/** A node whose state was changed last at (voice, ring, seq), by wanting the service stopped or not. */
function changed(
  voice: number,
  ring: number,
  seq: number,
  wanted: "running" | "stopped",
  voiceEpoch = voice,
): NodeState {
  const node = nodeInView(configOf("1x2"), [1])
  const number: OrderedState["number"] = { voice, ring, representative: 1, seq }
  node.ordered = {
    ...node.ordered,
    number,
    changed: number,
    voiceEpoch: epoch(voiceEpoch),
    services: node.ordered.services.map((record) => ({ ...record, wanted })),
  }
  return node
}

const told = (from: NodeState, plans: readonly (typeof plan)[] = [], version = 3) =>
  `${version} ${memoText(from, plans)}`
const wanted = (node: NodeState) => node.ordered.services[0]?.wanted

describe("adopting", () => {
  test("[VL6] the newer state counts", () => {
    const older = changed(1, 5, 1, "running")
    adoptMemo(turnAt(older, 2000), told(changed(1, 5, 2, "stopped")))
    expect(wanted(older)).toBe("stopped")
    const newer = changed(2, 1, 1, "running")
    adoptMemo(turnAt(newer, 2000), told(changed(1, 9, 9, "stopped")))
    expect(wanted(newer)).toBe("running")
  })

  test("[S8] the voice epoch never falls by it", () => {
    const node = changed(1, 5, 1, "running", 7)
    adoptMemo(turnAt(node, 2000), told(changed(1, 5, 2, "stopped", 2)))
    expect(node.ordered.voiceEpoch).toBe(7)
  })

  test("[VL6] its version is known with its content, not before", () => {
    const node = changed(1, 5, 1, "running")
    adoptMemo(turnAt(node, 2000), told(changed(1, 5, 2, "stopped"), [], 8))
    expect(node.memoVersion).toBe(8)
  })

  test("[VL6] its pledges count as renewed now, known numbers too", () => {
    const from = nodeInView(config, [1])
    from.tickets = new Map([
      [
        main,
        {
          ...ticketOf(from),
          pledgeNumber: 4,
          pledge: { site: siteId("south"), number: 4, epoch: epoch(2), until: at(1) },
        },
      ],
    ])
    const node = nodeInView(config, [1])
    adoptMemo(turnAt(node, 2000), told(from))
    const ttl = (10_000 * 1.001) / 0.999
    expect(ticketOf(node)).toMatchObject({
      pledgeNumber: 4,
      knownEpoch: 2,
      pledge: { site: "south", until: 2000 + ttl },
    })
    adoptMemo(turnAt(node, 5000), told(from))
    expect(ticketOf(node).pledge?.until).toBe(5000 + ttl)
  })

  test("[M6] [VL4] the highest epoch voted for is in it, though the vote was released since", () => {
    const from = nodeInView(config, [1])
    from.tickets = new Map([[main, { ...ticketOf(from), knownEpoch: epoch(7), pledge: undefined }]])
    const node = nodeInView(config, [1])
    adoptMemo(turnAt(node, 2000), told(from))
    expect(ticketOf(node)).toMatchObject({ knownEpoch: 7, heardEpoch: 7 })
  })

  test("[VL4] a plan may have become an assignment that nobody here heard of: it has to be proved", () => {
    const node = changed(1, 5, 1, "running")
    adoptMemo(turnAt(node, 2000), told(changed(1, 5, 2, "running"), [plan]))
    expect(node.ordered.services[0]?.assignment).toMatchObject({ owner: 1, incarnation: 0, revoked: true })
  })

  test.each([
    "",
    "3",
    "3 ",
    "3 null",
    "3 {}",
    "x {}",
    '3 {"pledges":[],"tickets":[],"plans":[]}',
    '3 {"state":{"services":{}}}',
  ])("[VL6] %j is refused and changes nothing", (text) => {
    const node = changed(1, 5, 1, "running")
    const before = node.ordered
    adoptMemo(turnAt(node, 2000), text)
    expect(node.ordered).toEqual(before)
    expect(node.memoVersion).toBe(0)
  })
})

describe("writing", () => {
  const needing = () => nodeInView(configOf("1x2"), [1])

  test("[VL5] a view that speaks alone needs none", () => {
    expect(memoWritten(turnAt(nodeInView(configOf("1x2"), [1, 2]), 1200), [plan])).toBe(true)
  })

  test("[VL5] one that needs the witness asks for a claim until exactly what it knows is written", () => {
    const node = needing()
    expect(memoWritten(turnAt(node, 1200), [plan])).toBe(false)
    expect(node.witness.urgent).toBe(true)
    noteStoredMemo(turnAt(node, 1300), { version: 1, text: memoText(node, []) })
    expect(memoWritten(turnAt(node, 1300), [plan])).toBe(false)
    const offered = memoText(node, [plan])
    if (node.view !== undefined) node.view = { ...node.view, memo: { ...node.view.memo, offered } }
    noteStoredMemo(turnAt(node, 1400), { version: 2, text: offered })
    expect(memoWritten(turnAt(node, 1400), [plan])).toBe(true)
    expect(memoWritten(turnAt(node, 1400), [])).toBe(false)
  })

  test("[VL6] a memo that this view did not write is told to all members, in pieces", () => {
    const node = needing()
    const text = memoText(changed(9, 9, 9, "stopped"), [])
    noteStoredMemo(turnAt(node, 1300), { version: 4, text })
    expect(node.ring?.pending.every((payload) => payload.startsWith("memo "))).toBe(true)
    expect(node.ring?.pending.length).toBeGreaterThan(0)
  })

  test("[VL4] the memo of a site with one service takes a small part of what one may have", () => {
    expect(memoText(changed(1, 1, 1, "running"), [plan]).length).toBeLessThan(1024)
  })

  test("[VL4] the memo of a site with as many services as may be, each with an owner, failures and a plan, fits", () => {
    const node = changed(1, 1, 1, "running")
    const [record] = node.ordered.services
    if (record === undefined) throw new Error("one service is configured")
    const services = Array.from({ length: bounds.services }, (_, index) => {
      const service = serviceName(`service-of-some-length-${index}`)
      const epoch = "1234.12345.1234567.123456"
      const assignment = { epoch, owner: nodeId(65_535), incarnation: incarnation(9999), revoked: false }
      const failures = [1, 2].map((id) => ({ node: nodeId(id), count: 3 }))
      return { ...record, service, assignment, failures, unstopped: [nodeId(65_534)] }
    })
    node.ordered = { ...node.ordered, services }
    const plans = services.map(({ service }) => ({ service, node: nodeId(65_535) }))
    expect(memoText(node, plans).length).toBeLessThan(memoBytesMax)
  })
})

describe("pieces", () => {
  const text = `3 ${"x".repeat(1500)}`
  const pieces = piecesOf("memo", text)

  test("[VL6] complete in any order, from the coordinator only", () => {
    const node = nodeInView(configOf("1x2"), [1])
    const turn = turnAt(node, 1200)
    for (const piece of pieces) expect(collectMemo(turn, nodeId(2), piece)).toBeUndefined()
    const found = [...pieces].reverse().map((piece) => collectMemo(turn, nodeId(1), piece))
    expect(found.at(-1)).toBe(text)
    expect(found.slice(0, -1)).toEqual(pieces.slice(1).map(() => undefined))
  })

  test("[VL6] pieces of another length start anew", () => {
    const node = nodeInView(configOf("1x2"), [1])
    const turn = turnAt(node, 1200)
    const [first] = pieces
    if (first !== undefined) collectMemo(turn, nodeId(1), first)
    const [short] = piecesOf("memo", "3 short")
    expect(short === undefined ? "" : collectMemo(turn, nodeId(1), short)).toBe("3 short")
  })
})

describe("confirmations", () => {
  const confirmations = [{ node: nodeId(2), incarnation: incarnation(1), mandates: [] }]
  const vouched = (node: NodeState) => {
    node.ordered = { ...node.ordered, confirmations }
    return node
  }

  test("[S5] those that came with a memo of another view count nothing here", () => {
    const node = changed(1, 5, 1, "running")
    adoptMemo(turnAt(node, 2000), told(vouched(changed(1, 5, 2, "stopped"))))
    expect(node.ordered.confirmations).toEqual([])
  })

  test("[S5] those from before a plan that may have been acted on count nothing any more", () => {
    const node = vouched(changed(1, 5, 1, "running"))
    adoptMemo(turnAt(node, 2000), told(changed(1, 5, 1, "running"), [plan]))
    expect(node.ordered.confirmations).toEqual([])
  })

  test("[S5] they stay where the memo has nothing new: a coordinator that took over was told it", () => {
    const node = vouched(changed(1, 5, 1, "running"))
    adoptMemo(turnAt(node, 2000), told(changed(1, 5, 1, "running")))
    expect(node.ordered.confirmations).toEqual(confirmations)
  })

  test("[S5] they name the latest start known, heard here or from the state alone", () => {
    const node = changed(1, 5, 1, "running")
    const assignment = { owner: nodeId(2), incarnation: incarnation(6), epoch: "0.1.5.1", revoked: false }
    node.ordered = {
      ...node.ordered,
      services: node.ordered.services.map((record) => ({ ...record, assignment })),
    }
    const heard = node.links.peers.get(nodeId(2))
    if (heard !== undefined) heard.incarnation = incarnation(5)
    expect(vouchedNow(node, nodeId(2)).incarnation).toBe(6)
  })
})
