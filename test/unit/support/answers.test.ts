/** What the client of a floating address heard, judged: two nodes that answered are found, whatever the clock of the reader says. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { Answers } from "../../support/floating/answers.ts"
import { temporaryDirectory } from "../host/fixtures.ts"

/** `TIME NODE`, in the order in which they were heard; more can follow. */
function heard() {
  const file = join(temporaryDirectory(), "answers.log")
  const answers = new Answers(file)
  let text = ""
  const hear = (family: string, ...lines: readonly string[]) => {
    for (const line of lines) {
      const [at, node] = line.split(" ")
      text += `${at} ${family} kernel ${node} -\n`
    }
    writeFileSync(file, text)
  }
  return { answers, hear }
}

describe("two nodes that answer", () => {
  it("one after the other, there and back, are none", () => {
    const { answers, hear } = heard()
    hear("ipv6", "5 a", "10 a", "100 b", "105 b", "200 a", "205 a")
    expect(answers.doubles()).toEqual([])
  })

  it("read at the same moment, one after the other, are none: their order counts", () => {
    const { answers, hear } = heard()
    hear("ipv4", "5 a", "100.25 a", "100.25 b", "105 b")
    expect(answers.doubles()).toEqual([])
  })

  it("in turns are found, be it at the same moment", () => {
    const { answers, hear } = heard()
    hear("ipv4", "5 a", "100 a", "100 b", "100 a", "105 b")
    expect(answers.doubles()).toEqual(["ipv4: a and b at 100.0, for 0.0 ms"])
  })

  it("one late answer of the former is enough, however long it was silent", () => {
    const { answers, hear } = heard()
    hear("ipv6", "5 a", "100 b", "105 b", "110 b", "112 a", "115 b", "120 b")
    expect(answers.doubles()).toEqual(["ipv6: b and a at 112.0, for 0.0 ms"])
  })

  it("each by its own family are none, and are told once each", () => {
    const { answers, hear } = heard()
    hear("ipv4", "5 a", "10 a")
    hear("ipv6", "6 b", "11 b")
    expect(answers.newDoubles()).toEqual([])
    hear("ipv4", "12 b", "15 a", "17 b")
    expect(answers.newDoubles()).toHaveLength(1)
    hear("ipv4", "20 b", "25 b")
    expect(answers.newDoubles()).toEqual([])
    hear("ipv4", "100 b", "105 a", "110 b")
    expect(answers.newDoubles()).toEqual(["ipv4: b and a at 105.0, for 0.0 ms"])
  })
})
