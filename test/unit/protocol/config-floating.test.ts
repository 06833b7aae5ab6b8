/** SPEC C2, C3, C12, S14: floating addresses as resources, and the proof that goes with them. */
import { describe, expect, test } from "vitest"
import {
  accepted,
  errorsOf,
  oneSite,
  type Plain,
  parse,
  resource,
  service,
} from "../../support/config-builder.ts"

const ip = (more: Plain = {}): Plain => ({ kind: "ip", name: "address", address: "10.0.0.100/24", ...more })
const parsed = (resources: readonly Plain[], more: Plain = {}) =>
  parse({ ...oneSite(), service: [service("ledger", { resource: resources, ...more })] })
const messages = (resources: readonly Plain[], more: Plain = {}) =>
  errorsOf(parsed(resources, more)).map(({ path, message }) => `${path.join(".")}: ${message}`)

describe("an ip resource", () => {
  test("[C9] has an address in its one spelling, a prefix and perhaps a device; it is looked at every second", () => {
    const config = accepted(parsed([ip(), ip({ name: "six", address: "FD00:0::64/64", device: "eth0" })]))
    expect(config.services[0]?.resources).toEqual([
      expect.objectContaining({
        ...{ kind: "ip", name: "address", address: "10.0.0.100", prefix: 24, device: undefined },
        monitorInterval: 1_000,
      }),
      expect.objectContaining({ kind: "ip", name: "six", address: "fd00::64", prefix: 64, device: "eth0" }),
    ])
  })

  test.each([
    "10.0.0.100",
    "10.0.0.100/33",
    "10.0.0.100/0",
    "10.0.0.256/24",
    "10.0.0.100/24/24",
    "0.0.0.0/24",
    "127.0.0.9/8",
    "224.0.0.18/24",
    "169.254.1.1/16",
    "fe80::1/64",
    "::1/128",
    "ff02::1/64",
    "fd00::1/129",
    "fd00::1%eth0/64",
    "floating",
    7,
  ])("[C2] %s is no address for it", (address) => {
    expect(messages([ip({ address })])).toEqual([
      expect.stringMatching(/address: found .*, expected an IPv4 or IPv6 address with its prefix/),
    ])
  })

  test("[C2] a device is a name that the kernel takes; keys of another kind are unknown", () => {
    expect(messages([ip({ device: "a".repeat(16) })])).toEqual([expect.stringContaining("network interface")])
    expect(messages([ip({ start: ["/bin/true"] })])).toEqual([expect.stringContaining("start: unknown key")])
    expect(messages([{ ...resource("daemon"), device: "eth0" }])).toEqual([
      expect.stringContaining("device: unknown key"),
    ])
    expect(messages([{ ...ip(), kind: "IP" }])).toEqual([
      expect.stringContaining('kind: found "IP", expected "command" or "ocf" or "systemd" or "ip"'),
    ])
  })

  test("[C3] one address is gated for one service", () => {
    const again = parse({
      ...oneSite(),
      service: [service("a", { resource: [ip()] }), service("b", { resource: [ip()] })],
    })
    expect(errorsOf(again)).toEqual([
      expect.objectContaining({
        path: ["service", 1, "resource", 0, "address"],
        message: expect.stringContaining("which service[0].resource[0].address has too"),
      }),
    ])
  })
})

describe("the proof", () => {
  test("[C12] is the gate for addresses alone, an operator's word with a program beside them, unless it is said", () => {
    const proof = (resources: readonly Plain[], more: Plain = {}) =>
      accepted(parsed(resources, more)).services[0]?.proof.kind
    expect(proof([ip()])).toBe("gate")
    expect(proof([ip(), resource("daemon")])).toBe("operator")
    expect(proof([ip(), resource("daemon")], { proof: "gate" })).toBe("gate")
    expect(proof([ip()], { proof: "operator" })).toBe("operator")
  })

  test("[C12] is the gate only where there is an address", () => {
    expect(messages([resource("daemon")], { proof: "gate" })).toEqual([
      'service.0.proof: found "gate" without a resource of kind "ip", expected one: the gate is for floating addresses',
    ])
  })

  test("[C8] the gate has no margin", () => {
    expect(messages([ip()], { self_lease_margin_ms: 50 })).toEqual([
      expect.stringContaining('found beside proof = "gate"'),
    ])
  })
})
