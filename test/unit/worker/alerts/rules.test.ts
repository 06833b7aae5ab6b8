import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { parseMatcher } from "../../../../worker/alerts/matchers.ts"
import { formatRulesError, parseRules } from "../../../../worker/alerts/rules.ts"
import { receiverToml } from "./alert-builder.ts"

function errors(toml: string): readonly string[] {
  const parsed = parseRules(toml, "public")
  return parsed.kind === "ok" ? [] : parsed.error.map(formatRulesError)
}

describe("alert rules", () => {
  it("nothing but a receiver is needed, nothing at all is allowed", () => {
    expect(errors("")).toEqual([])
    expect(errors(receiverToml("one"))).toEqual([])
  })

  it("of the README are well-formed", () => {
    const readme = readFileSync(join(import.meta.dirname, "../../../../README.md"), "utf8")
    const [, example = ""] = /```toml\n(# alerts\.toml:.*?)```/s.exec(readme) ?? []
    expect(example).toContain("[[receiver]]")
    expect(errors(example)).toEqual([])
  })

  it("say every error at its line, with what was expected", () => {
    const toml = `group_wait = "10 s"
repeat_intervall = "4h"
[[receiver]]
name = "One"
kind = "webhook"
url = "https://one.example.com/"
secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
[[route]]
match = ['nod="x"']
receivers = []
`
    const found = errors(toml)
    expect(found.map((line) => line.split(":")[0])).toEqual(["1", "2", "4", "9"])
    expect(found[0]).toContain('group_wait: expected a duration, as "30s"')
    expect(found[1]).toContain("repeat_intervall")
    expect(found[2]).toContain("receiver[0].name")
    expect(found[3]).toContain("no label nod; there are")
  })

  const contradictory: readonly (readonly [string, string, string])[] = [
    [
      "an unknown receiver",
      '[[route]]\nreceivers = ["two"]\n',
      "2:14: route[0].receivers[0]: no receiver two",
    ],
    ["two of a name", receiverToml("one") + receiverToml("one"), "a second receiver one"],
    [
      "an unknown time",
      `${receiverToml("one")}[[route]]\nreceivers = ["one"]\nactive = ["x"]\n`,
      "no time x",
    ],
    ["an unknown escalation", '[[route]]\nreceivers = []\nescalation = "x"\n', "no escalation x"],
    ["an unknown kind", '[kind.node-dwon]\nfor = "1s"\n', "no kind of incident node-dwon"],
    ["an unknown zone", '[[time]]\nname = "x"\nzone = "Mars/Base"\n', "not a time zone"],
    ["an hour that is none", '[[time]]\nname = "x"\nfrom = "25:00"\n', "expected a time of day"],
    ["a private address", '[heartbeat]\nurl = "https://10.0.0.1/"\n', "blocked"],
    ["too long a duration", 'group_wait = "31d"\n', "longer than 30 days"],
    ["no TOML", "[[route", "not TOML"],
  ]
  it.each(contradictory)("%s is refused", (_, toml, expected) => {
    expect(errors(toml).join("\n")).toContain(expected)
  })

  it("never throw, whatever the text", () => {
    for (const toml of [
      "\0",
      "a = [".repeat(10_000),
      "[__proto__]\nx = 1\n",
      "x".repeat(70_000),
      "receiver = 1\n",
    ]) {
      expect(errors(toml).length).toBeGreaterThan(0)
    }
  })

  it("errors repeat no secret", () => {
    const toml = receiverToml("one").replace("whsec_", "whsec-")
    expect(errors(toml).join("\n")).not.toContain("MDEyMzQ1Njc4")
  })
})

describe("matchers", () => {
  it("are read as Alertmanager writes them", () => {
    expect(parseMatcher('kind=~"link-.*"')).toEqual({
      kind: "ok",
      value: { label: "kind", operator: "=~", value: "link-.*" },
    })
    expect(parseMatcher(" site != north ").kind).toBe("ok")
  })

  it.each([
    "kind",
    "kind==x",
    'kind=~"("',
    'kind=~"(a+)+"',
    'kind=~"(a)\\\\1"',
    'kind=~"a+b+c+d+e+"',
    `kind="${"x".repeat(201)}"`,
  ])("%s is refused", (text) => {
    expect(parseMatcher(text).kind).toBe("error")
  })
})
