/** SPEC C2: every single value of a configuration that is refused, with what was found and what was expected. */
import * as fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { ConfigPath } from "../../../protocol/config.ts"
import { errorsOf, parse, twoSites, withValue } from "../../support/config-builder.ts"

/** `twoSites()` with `value` at `path` (`undefined`: removed) has exactly this one error, there or at `at`. */
interface Refusal {
  readonly path: ConfigPath
  readonly value: unknown
  readonly at?: ConfigPath
  readonly message: string
}

const keyExpected = "expected an Ed25519 public key: 32 bytes as 43 characters of base64url"
const nameExpected =
  "expected a name of 1 to 31 of A-Z, a-z, 0-9, ., _ and -, beginning with a letter or digit"
const urlExpected =
  "expected an https:// address of at most 1024 characters without user, query or fragment (http:// only to the machine itself)"
const addressExpected = (port: number) =>
  `expected a literal IPv4 or IPv6 address of one host, as 10.0.0.1:${port} or [fd00::1]:${port}`
const kindExpected = 'expected "command" or "ocf" or "systemd" or "ip"'
const commandExpected = "expected 1 to 64 strings, the program and its arguments"

const first = ["service", 0, "resource", 0] as const

const shapes: readonly Refusal[] = [
  {
    path: ["cluster"],
    value: undefined,
    message: "missing, expected 1 to 63 of a-z, 0-9 and -, not beginning with -",
  },
  {
    path: ["cluster"],
    value: "Plant 7",
    message: 'found "Plant 7", expected 1 to 63 of a-z, 0-9 and -, not beginning with -',
  },
  {
    path: ["cluster"],
    value: "a".repeat(64),
    message: `found "${"a".repeat(57)}...", expected 1 to 63 of a-z, 0-9 and -, not beginning with -`,
  },
  { path: ["version"], value: undefined, message: "missing, expected a whole number from 1 to 4294967295" },
  { path: ["version"], value: 0, message: "found 0, expected a whole number from 1 to 4294967295" },
  { path: ["version"], value: 1.5, message: "found 1.5, expected a whole number from 1 to 4294967295" },
  { path: ["version"], value: "1", message: 'found "1", expected a whole number from 1 to 4294967295' },
  {
    path: ["profile"],
    value: "fast",
    message: 'found "fast", expected "industrial" or "energy" or "relaxed"',
  },
  { path: ["timings"], value: [], message: "found an array of 0, expected a table" },
  {
    path: ["witness"],
    value: "https://w.example.net",
    message: 'found "https://w.example.net", expected a table',
  },
  { path: ["witness", "url"], value: undefined, message: `missing, ${urlExpected}` },
  {
    path: ["witness", "url"],
    value: "http://w.example.net",
    message: `found "http://w.example.net", ${urlExpected}`,
  },
  {
    path: ["witness", "url"],
    value: "https://me:secret@w.example.net",
    message: `found "https://me:secret@w.example.net", ${urlExpected}`,
  },
  {
    path: ["witness", "url"],
    value: "https://w.example.net/?key=1",
    message: `found "https://w.example.net/?key=1", ${urlExpected}`,
  },
  {
    path: ["witness", "url"],
    value: "https://w.example.net:65536",
    message: `found "https://w.example.net:65536", ${urlExpected}`,
  },
  { path: ["witness", "public_key"], value: undefined, message: `missing, ${keyExpected}` },
  {
    path: ["witness", "public_key"],
    value: "k".repeat(42),
    message: `found "${"k".repeat(42)}", ${keyExpected}`,
  },
  {
    path: ["node", 2, "public_key"],
    value: `${"k".repeat(42)}B`,
    message: `found "${"k".repeat(42)}B", ${keyExpected}`,
  },
  { path: ["node"], value: 7, message: "found 7, expected 1 to 64 [[node]] tables" },
  { path: ["node", 3], value: 7, message: "found 7, expected a table" },
  { path: ["node", 0, "id"], value: undefined, message: "missing, expected a whole number from 1 to 65535" },
  { path: ["node", 0, "id"], value: 65_536, message: "found 65536, expected a whole number from 1 to 65535" },
  { path: ["node", 0, "name"], value: "n 1", message: `found "n 1", ${nameExpected}` },
  { path: ["node", 0, "name"], value: "-rf", message: `found "-rf", ${nameExpected}` },
  { path: ["node", 0, "name"], value: "n".repeat(32), message: `found "${"n".repeat(32)}", ${nameExpected}` },
  { path: ["node", 0, "name"], value: "nörd", message: `found "nörd", ${nameExpected}` },
  { path: ["node", 0, "votes"], value: 0, message: "found 0, expected a whole number from 1 to 16" },
  { path: ["node", 0, "votes"], value: 17, message: "found 17, expected a whole number from 1 to 16" },
  {
    path: ["node", 0, "links", 0],
    value: "n1.example.net",
    message: `found "n1.example.net", ${addressExpected(5405)}`,
  },
  {
    path: ["node", 0, "links", 0],
    value: "10.0.0.1:0",
    message: `found "10.0.0.1:0", ${addressExpected(5405)}`,
  },
  { path: ["node", 0, "links", 0], value: "0.0.0.0", message: `found "0.0.0.0", ${addressExpected(5405)}` },
  {
    path: ["node", 0, "links", 0],
    value: "224.0.0.1",
    message: `found "224.0.0.1", ${addressExpected(5405)}`,
  },
  { path: ["node", 0, "wan"], value: 5407, message: `found 5407, ${addressExpected(5407)}` },
  {
    path: ["node", 0, "wan_bind"],
    value: "any",
    message: 'found "any", expected a literal IPv4 or IPv6 address, as 10.0.0.1:5407 or 0.0.0.0:5407',
  },
  {
    path: ["site", 0, "policy"],
    value: "lms",
    message: 'found "lms", expected "split" or "last-man-standing"',
  },
  {
    path: ["site", 0, "witness_url"],
    value: "w.example.net",
    message: `found "w.example.net", ${urlExpected}`,
  },
  {
    path: ["ticket"],
    value: [{ name: "main", sites: [] }],
    at: ["ticket", 0, "sites"],
    message: "found 0, expected 1 to 15 names of sites",
  },
  {
    path: ["ticket"],
    value: [{ name: "main" }],
    at: ["ticket", 0, "sites"],
    message: "missing, expected 1 to 15 names of sites",
  },
  { path: ["service", 0, "name"], value: undefined, message: `missing, ${nameExpected}` },
  { path: ["service", 0, "mode"], value: "auto", message: 'found "auto", expected "automatic" or "manual"' },
  {
    path: ["service", 0, "proof"],
    value: "none",
    message: 'found "none", expected "self-lease" or "gate" or "watchdog" or "operator"',
  },
  {
    path: ["node", 0, "watchdog"],
    value: {},
    at: ["node", 0, "watchdog", "timeout_s"],
    message: "missing, expected a whole number from 2 to 600",
  },
  {
    path: ["node", 0, "watchdog"],
    value: { timeout_s: 5, device: "watchdog0" },
    at: ["node", 0, "watchdog", "device"],
    message: 'found "watchdog0", expected a watchdog\'s device, as /dev/watchdog0',
  },
  { path: ["service", 0, "nodes"], value: [], message: "found 0, expected 1 to 64 names of nodes" },
  {
    path: ["service", 0, "resource"],
    value: undefined,
    message: "missing, expected 1 to 16 [[service.resource]] tables",
  },
  { path: [...first, "kind"], value: undefined, message: `missing, ${kindExpected}` },
  { path: [...first, "kind"], value: "lsb", message: `found "lsb", ${kindExpected}` },
  { path: [...first, "start"], value: undefined, message: `missing, ${commandExpected}` },
  { path: [...first, "stop"], value: "/usr/bin/stop", message: `found "/usr/bin/stop", ${commandExpected}` },
  {
    path: [...first, "stop", 0],
    value: "ledgerctl",
    message: 'found "ledgerctl", expected a program\'s absolute path, as /usr/bin/ledgerctl',
  },
  {
    path: [...first, "monitor", 1],
    value: "a\0b",
    message: 'found "a\\u0000b", expected a string of at most 4096 characters without NUL',
  },
  {
    path: [...first, "start_timeout_ms"],
    value: 0,
    message: "found 0, expected a whole number from 1 to 3600000",
  },
  {
    path: [...first, "stop_timeout_ms"],
    value: 3_600_001,
    message: "found 3600001, expected a whole number from 1 to 3600000",
  },
  {
    path: [...first, "monitor_interval_ms"],
    value: "10s",
    message: 'found "10s", expected a whole number from 1 to 86400000',
  },
  { path: [...first, "environment"], value: "A=1", message: 'found "A=1", expected a table' },
  {
    path: [...first, "environment"],
    value: { A: 1 },
    at: [...first, "environment", "A"],
    message: "found 1, expected a string of at most 4096 characters without NUL",
  },
  {
    path: [...first, "environment"],
    value: { "A-B": "1" },
    at: [...first, "environment", "A-B"],
    message:
      'found "A-B", expected a variable\'s name: 1 to 64 of A-Z, a-z, 0-9 and _, not beginning with a digit',
  },
]

describe("[C2] a value of the wrong kind or beyond its bounds", () => {
  test.each(shapes)("$path = $value", ({ path, value, at, message }) => {
    expect(errorsOf(parse(withValue(twoSites(), path, value)))).toEqual([{ path: at ?? path, message }])
  })
})

describe("any input", () => {
  test("[C2] any value yields a configuration or errors, never an exception", () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true }), (value) => errorsOf(parse(value)).length > 0),
    )
  })

  test("[C2] a place without an element in an array is an element that is missing", () => {
    const plain = withValue(twoSites(), [...first, "stop", 0], undefined)
    expect(errorsOf(parse(plain))).toEqual([
      expect.objectContaining({
        path: [...first, "stop", 0],
        message: expect.stringContaining("found nothing"),
      }),
    ])
  })

  test("[C2] nor does any value anywhere in a good configuration", () => {
    const paths = shapes.map(({ path }) => path)
    fc.assert(
      fc.property(fc.constantFrom(...paths), fc.anything(), (path, value) => {
        const result = parse(withValue(twoSites(), path, value))
        expect(result.kind === "ok" || result.error.length > 0).toBe(true)
      }),
    )
  })
})
