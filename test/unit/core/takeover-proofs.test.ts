/** SPEC S2 to S5: on what proof a service may start. */
import { describe, expect, test } from "vitest"
import { noGate } from "../../../node-agent/core/activations.ts"
import type { NodeState, View } from "../../../node-agent/core/state.ts"
import { epoch, type Incarnation, incarnation, millis, nodeId } from "../../../protocol/units.ts"
import { service } from "../../support/config-builder.ts"
import { configOf, selfLease } from "../../support/layouts.ts"
import { at, main } from "./node-builder.ts"
import {
  gated,
  guarded,
  guardedSites,
  ledger,
  mandate,
  owned,
  phase,
  placed,
  type Situation,
  sites,
} from "./placement-situation.ts"

describe("proofs", () => {
  const broken = { doubt: true }

  test.each<{ what: string; situation: Situation; expected: string }>([
    { what: "nobody owned it and nothing can have happened", situation: {}, expected: "assign 1" },
    {
      what: "the absent owner: activateAt and the margin",
      situation: { record: owned(3) },
      expected: "assign 1",
    },
    {
      what: "the same, before that",
      situation: { record: owned(3), view: { activateAt: at(1190) } },
      expected: "wait 1 1210",
    },
    {
      what: "another start of a present node",
      situation: { record: owned(1, { incarnation: 0 as Incarnation }) },
      expected: "assign 1",
    },
    {
      what: "after a gap every absent able node",
      situation: { record: broken, view: { activateAt: at(1190) } },
      expected: "wait 1 1210",
    },
    {
      what: "after a gap, nobody absent",
      situation: { members: [1, 2, 3], record: broken, view: { activateAt: at(1190) } },
      expected: "assign 1",
    },
  ])("[S2] [S4] self-lease, $what: $expected", ({ situation, expected }) =>
    expect(placed(situation)).toBe(expected),
  )

  test.each<{ what: string; situation: Situation; expected: string }>([
    { what: "nobody owned it", situation: {}, expected: "assign 1" },
    {
      what: "the absent owner, its rights not over",
      situation: { record: owned(3), view: { activateAt: at(1250) } },
      expected: "wait 1 1250",
    },
    {
      what: "the absent owner, its rights over: nothing is added",
      situation: { record: owned(3), view: { activateAt: at(1200) } },
      expected: "assign 1",
    },
    {
      what: "a member without a gate is not chosen",
      situation: {
        view: {
          phases: new Map(
            [1, 2].map((id) => [
              nodeId(id),
              new Map([[ledger, { phase: "stopped", epoch: undefined, reason: id === 1 ? noGate : "" }]]),
            ]),
          ),
        },
      },
      expected: "assign 2",
    },
  ])("[S2] [S14] gate, $what: $expected", ({ situation, expected }) => {
    expect(placed({ config: gated, ...situation })).toBe(expected)
  })

  test.each<{ what: string; situation: Situation; expected: string }>([
    { what: "nobody owned it", situation: {}, expected: "assign 1" },
    { what: "the absent owner", situation: { record: owned(3) }, expected: "blocked 3" },
    {
      what: "after a gap every absent able node",
      situation: { members: [1, 2], record: broken },
      expected: "blocked 3",
    },
  ])("[S2] [S5] operator, $what: $expected", ({ situation, expected }) => {
    expect(placed({ config: guarded, ...situation })).toBe(expected)
  })

  test("[S5] a confirmation counts for the start it names and earlier ones, at the ticket's epoch", () => {
    const confirmed =
      (of: number, at = 0) =>
      (node: NodeState) => {
        const mandates = [{ ticket: main, epoch: epoch(at) }]
        node.ordered = {
          ...node.ordered,
          confirmations: [{ node: nodeId(3), incarnation: incarnation(of), mandates }],
        }
      }
    const record = owned(3, { incarnation: incarnation(4) })
    expect(placed({ config: guarded, record, change: confirmed(3) })).toBe("blocked 3")
    expect(placed({ config: guarded, record, change: confirmed(4) })).toBe("assign 1")
    expect(placed({ config: guarded, record, change: confirmed(4, 9) })).toBe("blocked 3")
  })

  test("[S3] a voice that the witness granted counts from the grant, one not granted yet never", () => {
    const two = configOf("1x2")
    const view = (grantedAt: number | undefined): Partial<View> => ({
      voice: {
        deadline: at(9000),
        own: true,
        epoch: epoch(1),
        grantedAt: grantedAt === undefined ? undefined : at(grantedAt),
        waitedOut: true,
      },
      ...phase({}, [1]),
    })
    expect(placed({ config: two, members: [1], record: owned(2), view: view(1150) })).toBe("assign 1")
    expect(placed({ config: two, members: [1], record: owned(2), view: view(1190) })).toBe("wait 1 1210")
    expect(placed({ config: two, members: [1], record: owned(2), view: view(undefined) })).toBe(
      "wait 1 Infinity",
    )
  })

  test("[S2] [S3] a mandate that changed sites: all of the other site's, from its gain", () => {
    expect(placed({ config: sites })).toBe("hold no mandate")
    expect(placed({ config: sites, ticket: mandate(2, 1190) })).toBe("wait 1 1210")
    expect(placed({ config: sites, ticket: mandate(2, 1100) })).toBe("assign 1")
    expect(placed({ config: guardedSites, ticket: mandate(2) })).toBe("blocked 3,4")
  })

  test("[S2] what was assigned since the mandate was gained needs no proof of the other site any more", () => {
    // It stopped since: it failed, or is moved.
    const record = { provenAt: epoch(2), assignment: undefined }
    const ticket = { ...mandate(2, 1199), proven: [ledger] }
    const situation = { config: guardedSites, ticket, record }
    expect(placed(situation)).toBe("assign 1")
    expect(placed({ ...situation, members: [1], record: { ...record, doubt: true } })).toBe("blocked 2")
    // An epoch may come again after a record was lost (V12): that one says it is not enough.
    expect(placed({ ...situation, ticket: { ...ticket, proven: [] } })).toBe("blocked 3,4")
  })

  test("[M11] [S2] a mandate released with all owners stopped needs no proof", () => {
    const released = { ...mandate(2, 1199), releasedEpoch: epoch(1) }
    expect(placed({ config: guardedSites, ticket: released })).toBe("assign 1")
    expect(placed({ config: guardedSites, ticket: { ...released, releasedEpoch: epoch(0) } })).toBe(
      "blocked 3,4",
    )
  })
})

test("[S13] manual: only when an operator asked for this start", () => {
  expect(placed({ record: { mode: "manual" } })).toBe("hold manual")
  expect(placed({ record: { mode: "manual", summoned: true } })).toBe("assign 1")
  expect(placed({ record: { wanted: "stopped" } })).toBe("hold stopped by an operator")
})

test("[S4] the margin that others wait is stretched by rho", () => {
  const config = configOf("1x3", {
    service: [service("ledger", { ...selfLease, self_lease_margin_ms: 20_000 })],
  })
  const waits = placed({ config, record: owned(3) })
  expect(waits).toBe(`wait 1 ${Math.round(1000 + (millis(20_000) * 1.001) / 0.999)}`)
})
