import { describe, expect, it } from "vitest"
import {
  LineReader,
  lineCharactersMax,
  UnreadableStream,
} from "../../../../node-agent/host/control/line-reader.ts"

describe("lines of JSON", () => {
  it("come out whole however the stream is cut, also inside a character", () => {
    const bytes = Buffer.from('{"text":"één"}\n[1]\n')
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const lines: unknown[] = []
      const reader = new LineReader<unknown>((value) => lines.push(value))
      reader.push(bytes.subarray(0, cut))
      reader.push(bytes.subarray(cut))
      expect(lines).toEqual([{ text: "één" }, [1]])
    }
  })

  it("that are not JSON are an error", () => {
    const reader = new LineReader<unknown>(() => undefined)
    expect(() => reader.push(Buffer.from("{\n"))).toThrow(UnreadableStream)
  })

  it("that do not end are an error before they fill the memory", () => {
    const reader = new LineReader<unknown>(() => undefined)
    expect(() => {
      for (let n = 0; n <= lineCharactersMax; n += 65_536) reader.push(Buffer.alloc(65_536, "x"))
    }).toThrow(UnreadableStream)
  })
})
