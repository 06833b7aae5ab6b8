import { describe, expect, it } from "vitest"
import { parseCommand } from "../../../../node-agent/host/control/local-api.ts"

describe("an operator's command", () => {
  it.each([
    { kind: "service-start", service: "ledger" },
    { kind: "service-stop", service: "ledger" },
    { kind: "service-automatic", service: "ledger" },
    { kind: "service-manual", service: "ledger" },
    { kind: "service-cleanup", service: "ledger" },
    { kind: "service-move", service: "ledger", to: 3 },
    { kind: "ticket-move", ticket: "main", to: "b" },
    { kind: "node-standby", node: 3 },
    { kind: "node-online", node: 3 },
    { kind: "maintenance-on" },
    { kind: "maintenance-off", service: "ledger" },
    { kind: "witness-accept" },
  ])("is read as it is written: $kind", (command) => {
    expect(parseCommand(JSON.stringify({ ...command, more: 1 }))).toEqual(command)
  })

  it("to confirm a fence leaves the incarnation to the core", () => {
    expect(parseCommand('{"kind":"fence-confirm","node":3,"incarnation":9}')).toEqual({
      kind: "fence-confirm",
      node: 3,
      incarnation: undefined,
    })
  })

  it.each([
    "",
    "null",
    "[]",
    "7",
    "{}",
    '{"kind":"exit"}',
    '{"kind":"service-start"}',
    '{"kind":"service-start","service":""}',
    '{"kind":"service-start","service":7}',
    '{"kind":"service-move","service":"ledger","to":"b"}',
    '{"kind":"service-move","service":"ledger","to":0}',
    '{"kind":"ticket-move","ticket":"main"}',
    '{"kind":"node-standby","node":"a1"}',
    '{"kind":"node-online"}',
    '{"kind":"maintenance-on","service":7}',
    '{"kind":"fence-confirm","node":1.5}',
    '{"kind":"fence-confirm","node":65536}',
  ])("that is none is refused: %s", (text) => {
    expect(parseCommand(text)).toBeUndefined()
  })
})
