/** SPEC C: the configuration file, with the line to mend for every error. */
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as fc from "fast-check"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import {
  formatConfigErrors,
  loadConfigFile,
  readConfigText,
  sha256Hex,
} from "../../../node-agent/host/config-file.ts"
import { canonicalJson } from "../../../protocol/canonical.ts"
import { accepted, errorsOf } from "../../support/config-builder.ts"

const examples = join(import.meta.dirname, "../../fixtures/config")
const example = (name: string) => readFileSync(join(examples, name), "utf8")
const read = (text: string) => readConfigText(text, sha256Hex)
/** The errors of a text, as they are printed. */
const lines = (text: string) => formatConfigErrors("cluster.toml", errorsOf(read(text)))

/** `two-sites.toml` with one piece of text replaced; the line numbers below are the file's. */
function changed(from: string, to: string): string {
  const text = example("two-sites.toml")
  expect(text).toContain(from)
  return text.replace(from, to)
}

describe("examples", () => {
  test.each(readdirSync(examples))("%s is accepted", (name) => {
    expect(errorsOf(read(example(name)))).toEqual([])
  })

  test("[C10] the same cluster told otherwise has the same checksum", () => {
    const [short, full] = ["two-sites.toml", "two-sites-in-full.toml"].map((name) =>
      accepted(read(example(name))),
    )
    expect(full).toEqual(short)
  })

  test("[C10] comments, white space and line ends do not change the checksum", () => {
    const plain = example("two-sites.toml")
    const decorated = `\uFEFF${plain.replaceAll("\n", "   # why not\r\n")}`
    expect(accepted(read(decorated.replace("\uFEFF", ""))).checksum).toBe(accepted(read(plain)).checksum)
  })

  test("[C10] the checksum is SHA-256 over the canonical JSON of everything else", () => {
    const { checksum, ...rest } = accepted(read(example("three-sites.toml")))
    expect(checksum).toBe(sha256Hex(canonicalJson(rest)))
  })
})

describe("places", () => {
  test.each([
    ['cluster = "plant-7"', 'cluster = "Plant"', '2:1: cluster: found "Plant", expected 1 to 63 of a-z'],
    ["version = 4", "version = 4_294_967_296", "3:1: version: found 4294967296, expected a whole number"],
    ["version = 4", "version = 2026-11-21", "3:1: version: found a date or time, expected a whole number"],
    ["version = 4", "  versoin = 4", "3:3: versoin: unknown key, did you mean version?"],
    ["version = 4", "version = 9223372036854775807", "3:1: version: found 9223372036854776000, expected"],
    [
      'profile = "industrial"',
      "timings.misses = 1",
      "4:9: timings.misses: found 1, expected a whole number from 2",
    ],
    [
      'profile = "industrial"',
      "timings = { lease_ms = 300 }",
      "4:13: timings.lease_ms: [T1] lease_ms >= heartbeat_ms",
    ],
    ['url = "https://witness.example.net"', "", "6:1: witness.url: missing, expected an https:// address"],
    ["[witness]", "[witnes]", "6:1: witnes: unknown key, did you mean witness?"],
    ['name = "south"', "", "13:1: site[1].name: missing, expected a name"],
    ["id = 2\n", "id = 1\n", "25:1: node[1].id: found 1, which node[0].id has too"],
    ['proof = "self-lease"', "", '51:1: service[0].self_lease_margin_ms: found beside proof = "operator"'],
    [
      "[[service.resource]]",
      "[[service.resources]]",
      "53:1: service[0].resources: unknown key, did you mean resource?",
    ],
    ['kind = "command"', "", "53:1: service[0].resource[0].kind: missing"],
    [
      "LEDGER_HOME =",
      '"LEDGER\\nHOME" =',
      '59:17: service[0].resource[0].environment."LEDGER\\nHOME": found "LEDGER\\nHOME"',
    ],
  ])("%j as %j", (from, to, expected) => {
    expect(lines(changed(from, to)).join("\n")).toContain(expected)
  })

  test("an element of an array", () => {
    const text = changed('links = ["10.0.0.2", "10.0.1.2"]', 'links = [\n  "10.0.0.2",\n  "10.0.1",\n]')
    expect(lines(text)).toEqual([
      'cluster.toml:30:3: node[1].links[1]: found "10.0.1", expected a literal IPv4 or IPv6 address of one host, as 10.0.0.1:5406 or [fd00::1]:5406',
    ])
  })

  test("what a table of dotted keys lacks is missing from where it begins", () => {
    const dotted = '# nothing before\nwitness.url = "https://w.example.net"\nwitness.colour = "red"\n'
    expect(lines(dotted).slice(-2)).toEqual([
      expect.stringContaining("cluster.toml:2:1: witness.public_key: missing"),
      expect.stringContaining("cluster.toml:3:9: witness.colour: unknown key"),
    ])
  })

  test("several errors come in the order of the file, all of them", () => {
    const text = changed("version = 4", "version = 0")
      .replace("id = 2\n", "id = 0\n")
      .replace('"self-lease"', '"faith"')
    expect(errorsOf(read(text)).map(({ line, column, key }) => [line, column, key])).toEqual([
      [3, 1, "version"],
      [25, 1, "node[1].id"],
      [50, 1, "service[0].proof"],
    ])
  })

  test("a file without anything", () => {
    expect(lines("# nothing yet\n").map((line) => line.replace(/, expected.*/, ""))).toEqual([
      "cluster.toml:1:1: cluster: missing",
      "cluster.toml:1:1: version: missing",
      "cluster.toml:1:1: site: missing",
      "cluster.toml:1:1: node: missing",
    ])
  })

  test("keys that every object has are unknown keys like any other", () => {
    const errors = lines(
      'cluster = "a"\nversion = 1\n__proto__ = 1\n[constructor]\n[timings]\n__proto__ = { lease_ms = 1 }\n',
    )
    expect(errors.filter((line) => line.includes("unknown"))).toEqual([
      expect.stringContaining("cluster.toml:3:1: __proto__: unknown key"),
      expect.stringContaining("cluster.toml:4:1: constructor: unknown key"),
      expect.stringContaining("cluster.toml:6:1: timings.__proto__: unknown key"),
    ])
  })
})

describe("text that is not TOML", () => {
  test.each([
    ["cluster = ", "1:11: not TOML: unspecified values are invalid"],
    ['cluster = "a"\ncluster = "b"\n', "2:1: not TOML: defining a key multiple times is invalid"],
    ['cluster = "a\n', "1:13: not TOML: unterminated string constant"],
    ["[[node]\n", "not TOML: "],
    ["version = 07\n", "1:11: not TOML: leading zeros are not allowed"],
    [`a = ${"[".repeat(100_000)}`, ":1:"],
  ])("%.20j", (text, expected) => {
    const printed = lines(text)
    expect(printed).toHaveLength(1)
    expect(printed[0]).toContain(expected)
  })

  test("a file too large", () => {
    expect(lines("#".repeat(300_000))).toEqual([
      "cluster.toml:1:1: found 300000 characters, expected at most 262144",
    ])
  })

  test("[C2] any text yields a configuration or errors, never an exception", () => {
    const pieces = fc.constantFrom(
      ..."abc_=.[]{}\"',#1_9-:T\n \\".split(""),
      "__proto__",
      "[[node]]\n",
      "node = ",
      "site.a",
    )
    const text = fc.array(pieces, { maxLength: 40 }).map((parts) => parts.join(""))
    fc.assert(
      fc.property(text, (each) => errorsOf(read(each)).every(({ line, column }) => line >= 1 && column >= 1)),
      {
        numRuns: 2000,
      },
    )
  })

  test("[C2] nor does a good file with a piece missing", () => {
    const whole = example("two-sites.toml")
    const cut = fc.tuple(fc.nat({ max: whole.length }), fc.nat({ max: 80 }))
    fc.assert(
      fc.property(cut, ([from, length]) => {
        expect(["ok", "error"]).toContain(read(whole.slice(0, from) + whole.slice(from + length)).kind)
      }),
      { numRuns: 300 },
    )
  })
})

describe("files", () => {
  let folder = ""
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "quorumbeat-config-"))
  })
  afterAll(() => {
    rmSync(folder, { recursive: true })
  })

  function file(name: string, content: string | Uint8Array): string {
    const path = join(folder, name)
    writeFileSync(path, content)
    return path
  }

  test("a good one", () => {
    const path = join(examples, "two-nodes.toml")
    expect(loadConfigFile(path)).toEqual(read(example("two-nodes.toml")))
  })

  test("a byte order mark in front changes nothing", () => {
    const path = file("mark.toml", `\uFEFF${example("one-site.toml")}`)
    expect(loadConfigFile(path)).toEqual(read(example("one-site.toml")))
  })

  test("a wrong one, as lines to print", () => {
    const path = file("wrong.toml", example("one-site.toml").replace("version = 1", "version = -1"))
    expect(errorsOf(loadConfigFile(path))).toEqual([
      `${path}:3:1: version: found -1, expected a whole number from 1 to 4294967295`,
    ])
  })

  test("none, a folder, and bytes that are no text", () => {
    const missing = join(folder, "missing.toml")
    const expected = "expected a cluster configuration in TOML"
    expect(errorsOf(loadConfigFile(missing))).toEqual([`${missing}: no such file, ${expected}`])
    expect(errorsOf(loadConfigFile(folder))).toEqual([`${folder}: a directory, ${expected}`])
    const bytes = file("bytes.toml", Uint8Array.of(0x61, 0xff, 0xfe))
    expect(errorsOf(loadConfigFile(bytes))).toEqual([`${bytes}: not UTF-8, ${expected}`])
  })

  test("one that may not be read", () => {
    const path = file("secret.toml", "")
    chmodSync(path, 0o000)
    expect(asNobody(() => errorsOf(loadConfigFile(path)))).toEqual([
      `${path}: permission denied, expected a cluster configuration in TOML`,
    ])
  })
})

/** The superuser reads every file: for the length of `run` it is somebody who may not. */
function asNobody<T>(run: () => T): T {
  const superuser = process.getuid?.() === 0
  if (superuser) process.seteuid?.(65534)
  try {
    return run()
  } finally {
    if (superuser) process.seteuid?.(0)
  }
}
