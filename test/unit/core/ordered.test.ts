/** SPEC R12, R14, O2, S9, S12: what members agree on, as a pure reducer. */
import { describe, expect, test } from "vitest"
import type { OperatorCommand, SettingCommand } from "../../../node-agent/core/events.ts"
import type { Message } from "../../../node-agent/core/messages.ts"
import {
  applyOrdered,
  compareNumbers,
  initialState,
  isLeftAlone,
  type Ordering,
} from "../../../node-agent/core/ordered.ts"
import type { OrderedState } from "../../../node-agent/core/state.ts"
import { epoch, incarnation, nodeId, serviceName, siteId, ticketName } from "../../../protocol/units.ts"
import { service } from "../../support/config-builder.ts"
import { configOf, selfLease } from "../../support/layouts.ts"

const config = configOf("2x2", {
  service: [service("ledger", selfLease), service("batch", { ...selfLease, mode: "manual" })],
})
const ledger = serviceName("ledger")
const start = initialState(config)

const by = (origin: number, seq: number): Ordering => ({
  voice: 0,
  ring: 7,
  representative: 1,
  seq,
  origin: nodeId(origin),
  site: siteId("north"),
})

function play(...messages: readonly (readonly [origin: number, message: Message])[]): OrderedState {
  return messages.reduce(
    (state, [origin, message], index) => applyOrdered(state, message, by(origin, index + 1)),
    start,
  )
}

const record = (state: OrderedState) => state.services.find((each) => each.service === ledger)

const assign: Message = {
  kind: "assign",
  service: ledger,
  node: nodeId(2),
  incarnation: incarnation(4),
  mandate: epoch(3),
  voice: epoch(2),
}
const stopped = (at: string | undefined, failed = false): Message => ({
  kind: "phase",
  service: ledger,
  phase: "stopped",
  epoch: at,
  failed,
  reason: "",
})
const setting = (number: number, what: SettingCommand): Message => ({
  kind: "setting",
  number,
  incarnation: 1,
  command: what,
})
const command = (number: number, what: OperatorCommand, life = 1): Message => ({
  kind: "command",
  number,
  incarnation: life,
  command: what,
})

test("[S13] at first an automatic service is wanted, a manual one is not", () => {
  expect(start.services.map(({ service: name, mode, wanted }) => [name, mode, wanted])).toEqual(
    expect.arrayContaining([
      ["ledger", "automatic", "running"],
      ["batch", "manual", "stopped"],
    ]),
  )
})

test("[S9] an activation's epoch is mandate, voice, ring, message", () => {
  const state = play([1, { kind: "departing" }], [1, assign])
  expect(record(state)?.assignment).toEqual({ owner: 2, incarnation: 4, epoch: "3.2.7.2", revoked: false })
  expect(state.voiceEpoch).toBe(2)
})

test("[R14] the number moves with each message, `changed` with what changed anything", () => {
  const state = play([1, assign], [1, { kind: "departing" }])
  expect(state.number).toMatchObject({ ring: 7, seq: 2 })
  expect(state.changed).toMatchObject({ ring: 7, seq: 1 })
})

test("[R14] numbers order by voice epoch, then ring, then message", () => {
  const number = (voice: number, ring: number, seq: number) => ({ voice, ring, representative: 1, seq })
  const ascending = [number(0, 1, 9), number(0, 2, 1), number(0, 2, 2), number(1, 1, 1)]
  for (const [index, each] of ascending.entries()) {
    for (const [other, than] of ascending.entries())
      expect(Math.sign(compareNumbers(each, than))).toBe(Math.sign(index - other))
  }
})

describe("released", () => {
  test.each([
    { what: "by the owner at the epoch", origin: 2, at: "3.2.7.1", gone: true },
    { what: "by another node", origin: 1, at: "3.2.7.1", gone: false },
    { what: "at another epoch", origin: 2, at: "3.2.7.0", gone: false },
    { what: "without an epoch", origin: 2, at: undefined, gone: false },
  ])("[S12] a stop told $what: assignment gone is $gone", ({ origin, at, gone }) => {
    expect(record(play([1, assign], [origin, stopped(at)]))?.assignment === undefined).toBe(gone)
  })

  test("[S10] a failure counts against the node, once for each activation", () => {
    const state = play([1, assign], [2, stopped("3.2.7.1", true)], [2, stopped("3.2.7.1", true)])
    expect(record(state)?.failures).toEqual([{ node: 2, count: 1 }])
  })

  test("[S10] what a monitor ended is noted until the next assignment, and forgotten with the failures", () => {
    const died: Message = { ...(stopped("3.2.7.1", true) as Message & { kind: "phase" }), resource: "daemon" }
    const failed = play([1, assign], [2, died])
    expect(record(failed)?.failed).toEqual({ node: 2, resource: "daemon" })
    expect(record(play([1, assign], [2, died], [1, assign]))).toMatchObject({
      failed: undefined,
      failures: [{ node: 2, count: 1 }],
    })
    const cleaned = play(
      [1, assign],
      [2, died],
      [1, command(1, { kind: "service-cleanup", service: ledger })],
    )
    expect(record(cleaned)).toMatchObject({ failed: undefined, failures: [] })
    expect(record(play([1, assign], [2, stopped("3.2.7.1", true)]))?.failed).toBeUndefined()
  })

  test("[S10] failures are forgotten as they were known: a later one counts", () => {
    const fail = (at: number) => [1, assign, 2, stopped(`3.2.7.${at}`, true)] as const
    const forget = (node: number, count: number): Message => ({
      kind: "forget",
      service: ledger,
      node: nodeId(node),
      count,
    })
    const [, a, , b] = fail(1)
    const [, c, , d] = fail(3)
    const twice = [
      [1, a],
      [2, b],
      [1, c],
      [2, d],
    ] as const
    expect(record(play(...twice, [1, forget(2, 1)]))?.failures).toEqual([{ node: 2, count: 2 }])
    expect(record(play(...twice, [1, forget(1, 2)]))?.failures).toEqual([{ node: 2, count: 2 }])
    expect(record(play(...twice, [1, forget(2, 2)]))?.failures).toEqual([])
  })

  test("[S12] a phase other than stopped releases nothing", () => {
    for (const phase of ["starting", "running", "stopping", "failed", "unknown"] as const) {
      const told: Message = {
        kind: "phase",
        service: ledger,
        phase,
        epoch: "3.2.7.1",
        failed: false,
        reason: "",
      }
      expect(record(play([1, assign], [2, told]))?.assignment).toBeDefined()
    }
  })
})

test("[S7] a revocation names its activation, and none other is revoked", () => {
  const revoke = (at: string): Message => ({ kind: "revoke", service: ledger, epoch: at })
  expect(record(play([1, assign], [1, revoke("3.2.7.1")]))?.assignment?.revoked).toBe(true)
  expect(record(play([1, assign], [1, revoke("3.2.7.9")]))?.assignment?.revoked).toBe(false)
})

describe("commands", () => {
  const stop: OperatorCommand = { kind: "service-stop", service: ledger }
  const run: OperatorCommand = { kind: "service-start", service: ledger }

  test.each<{ kind: OperatorCommand; gives: object }>([
    { kind: stop, gives: { wanted: "stopped" } },
    { kind: run, gives: { wanted: "running", summoned: true, failures: [] } },
    { kind: { kind: "service-manual", service: ledger }, gives: { mode: "manual" } },
    { kind: { kind: "service-automatic", service: ledger }, gives: { mode: "automatic" } },
    { kind: { kind: "service-cleanup", service: ledger }, gives: { failures: [] } },
    {
      kind: { kind: "service-move", service: ledger, to: nodeId(2) },
      gives: { preferred: 2, wanted: "running", summoned: true },
    },
  ])("[O1] $kind.kind", ({ kind, gives }) => {
    expect(record(play([1, command(1, kind)]))).toMatchObject(gives)
  })

  test("[S16] nodes go into standby and come back, each once", () => {
    const inStandby = (kind: "node-standby" | "node-online", node: number) =>
      setting(kind === "node-online" ? 10 + node : node, { kind, node: nodeId(node) })
    const two = [1, 2].map((node) => [node, inStandby("node-standby", node)] as const)
    expect(play(...two, [3, inStandby("node-standby", 2)]).standby).toEqual([1, 2])
    expect(play(...two, [1, inStandby("node-online", 1)]).standby).toEqual([2])
    const back = play(...two, [1, inStandby("node-online", 1)], [1, inStandby("node-online", 2)])
    expect(back.standby).toBeUndefined()
  })

  test("[S17] maintenance of the site and of a service stand beside each other", () => {
    const maintenance = (
      number: number,
      kind: "maintenance-on" | "maintenance-off",
      service?: typeof ledger,
    ) => [1, setting(number, { kind, service })] as const
    const both = [maintenance(1, "maintenance-on"), maintenance(2, "maintenance-on", ledger)] as const
    const left = (state: OrderedState) => state.services.map(({ service }) => isLeftAlone(state, service))
    expect(left(start)).toEqual([false, false])
    expect(left(play(both[0]))).toEqual([true, true])
    expect(left(play(...both, maintenance(3, "maintenance-off")))).toEqual([false, true])
    expect(left(play(...both, maintenance(3, "maintenance-off", ledger)))).toEqual([true, true])
    const over = play(...both, maintenance(3, "maintenance-off"), maintenance(4, "maintenance-off", ledger))
    expect(JSON.stringify({ ...over, commands: [], number: 0, changed: 0 })).toBe(
      JSON.stringify({ ...start, commands: [], number: 0, changed: 0 }),
    )
  })

  test("[N6] a state that an agent of version 1 told has no settings", () => {
    const { standby: _, ...told } = start
    const state = applyOrdered(
      told as OrderedState,
      setting(1, { kind: "node-standby", node: nodeId(1) }),
      by(1, 1),
    )
    expect(state.standby).toEqual([1])
  })

  test("[O2] settings and commands of an origin count together", () => {
    const state = play([1, command(5, stop)], [1, setting(4, { kind: "node-standby", node: nodeId(1) })])
    expect(state.standby).toBeUndefined()
  })

  test("[O2] a command ordered twice is applied once", () => {
    const state = play([1, command(1, stop)], [1, command(2, run)], [1, command(1, stop)])
    expect(record(state)?.wanted).toBe("running")
    expect(state.commands).toEqual([{ node: 1, incarnation: 1, number: 2 }])
  })

  test("[O2] a restarted origin counts anew, what its former self asked for is over", () => {
    const state = play([1, command(5, stop)], [1, command(1, run, 2)], [1, command(6, stop)])
    expect(record(state)?.wanted).toBe("running")
  })

  test("[O2] origins count apart", () => {
    expect(record(play([1, command(9, stop)], [2, command(1, run)]))?.wanted).toBe("running")
  })

  test("[O4] of two moves of one ticket the later counts; it is over when the mandate was given up", () => {
    const move = (to: string): OperatorCommand => ({
      kind: "ticket-move",
      ticket: ticketName("main"),
      to: siteId(to),
    })
    expect(play([1, command(1, move("south"))], [1, command(2, move("north"))]).moves).toEqual([
      { ticket: "main", site: "north" },
    ])
    const unpledge = {
      kind: "unpledge",
      ticket: ticketName("main"),
      site: siteId("north"),
      epoch: epoch(1),
      stopped: true,
      next: undefined,
    } as Message
    expect(play([1, command(1, move("south"))], [1, unpledge]).moves).toEqual([])
  })

  test("[S5] a confirmation that names no incarnation confirms nothing", () => {
    const confirm = { kind: "fence-confirm", node: nodeId(2) } as const
    expect(play([1, command(1, confirm)]).confirmations).toEqual([])
  })
})

test("[I4] a message about a service that is not configured changes nothing", () => {
  const other: Message = { ...assign, service: serviceName("nothing") } as Message
  expect(play([1, other]).services).toEqual(start.services)
})
