import { describe, expect, test } from "vitest"
import { BrokenInvariant } from "../../../protocol/assert.ts"
import { ByteReader, ByteWriter } from "../../../protocol/bytes.ts"

describe("a byte writer", () => {
  test("shares its memory with no other that is being written, also after one was left unfinished", () => {
    new ByteWriter(8).u8(9)
    const one = new ByteWriter(8)
    const two = new ByteWriter(8)
    one.u32(0xff01_02fe)
    two.u32(0x8000_0000)
    one.i32(-2)
    expect(two.finish()).toEqual(new Uint8Array([0x80, 0, 0, 0]))
    expect(one.finish()).toEqual(new Uint8Array([0xff, 1, 2, 0xfe, 0xff, 0xff, 0xff, 0xfe]))
  })

  test("gives away what it wrote, which the next writer does not change", () => {
    const first = new ByteWriter(2)
    first.u16(0x0102)
    const written = first.finish()
    const next = new ByteWriter(2)
    next.u16(0xffff)
    expect(written).toEqual(new Uint8Array([1, 2]))
    expect(next.finish()).toEqual(new Uint8Array([0xff, 0xff]))
  })

  test("is written and finished once: its memory is the next one's", () => {
    const writer = new ByteWriter(8)
    writer.u8(1)
    writer.finish()
    expect(() => writer.u8(2)).toThrow(BrokenInvariant)
    expect(() => writer.finish()).toThrow(BrokenInvariant)
  })

  test("grows beyond its first memory at any field, up to its capacity", () => {
    for (const filled of [251, 253, 254, 255, 256]) {
      const writer = new ByteWriter(300)
      writer.bytes(new Uint8Array(filled).fill(7))
      writer.u8(1)
      writer.u48(0xfedc_ba98_7654)
      const expected = [...new Uint8Array(filled).fill(7), 1, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54]
      expect(writer.finish()).toEqual(new Uint8Array(expected))
    }
    expect(() => new ByteWriter(3).u32(1)).toThrow(BrokenInvariant)
  })
})

describe("a byte reader", () => {
  test("ends where it is told to, or with the bytes", () => {
    const bytes = new Uint8Array([1, 2, 3, 4])
    const part = new ByteReader(bytes, 2)
    expect(part.u16()).toBe(0x0102)
    expect(part.finish(true)).toEqual({ kind: "ok", value: true })
    expect(part.u8()).toBe(0)
    expect(part.finish(true)).toMatchObject({ kind: "error", error: { kind: "truncated", at: 2 } })
    const beyond = new ByteReader(bytes, 9)
    expect(beyond.u32()).toBe(0x0102_0304)
    expect(beyond.finish(true).kind).toBe("ok")
  })

  test("reads signed and long numbers", () => {
    const reader = new ByteReader(
      new Uint8Array([0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfd]),
    )
    expect(reader.i32()).toBe(-2)
    expect(reader.u48()).toBe(0xffff_ffff_fffd)
  })

  test("compares what comes next, and is at a fault where it is cut short", () => {
    const reader = new ByteReader(new Uint8Array([1, 2, 3]))
    expect(reader.matches(new Uint8Array([1, 2]))).toBe(true)
    expect(new ByteReader(new Uint8Array([1, 2])).matches(new Uint8Array([1, 3]))).toBe(false)
    expect(reader.matches(new Uint8Array([3, 4]))).toBe(false)
    expect(reader.failed).toBe(true)
  })
})
