import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { toHex } from "../../../protocol/bytes.ts"
import {
  clusterTagOf,
  type DatagramHeader,
  encodeHeader,
  headerBytes,
  parseHeader,
  sealTagBytes,
} from "../../../protocol/datagram.ts"
import { bodyBytesMax, datagramBytesMax } from "../../../protocol/frame.ts"
import { incarnation, nodeId } from "../../../protocol/units.ts"

const tag = new Uint8Array([0xde, 0xad, 0xbe, 0xef])
const header: DatagramHeader = {
  kind: "sealed",
  keyId: 3,
  sender: nodeId(1),
  receiver: nodeId(0x0102),
  senderIncarnation: incarnation(5),
  receiverIncarnation: incarnation(6),
  counter: 2 ** 32 + 7,
}

function datagram(change: (bytes: Uint8Array) => void = () => undefined, bodyBytes = 20): Uint8Array {
  const bytes = new Uint8Array(headerBytes + bodyBytes)
  bytes.set(encodeHeader(header, tag))
  change(bytes)
  return bytes
}

describe("the clear header", () => {
  test("[K1] a header encoded and parsed is the same header", () => {
    const anyHeader: fc.Arbitrary<DatagramHeader> = fc.record({
      kind: fc.constantFrom("hello", "sealed"),
      keyId: fc.nat(255),
      sender: fc.integer({ min: 1, max: 0xffff }).map(nodeId),
      receiver: fc.integer({ min: 1, max: 0xffff }).map(nodeId),
      senderIncarnation: fc.integer({ min: 1, max: 0xffff_ffff }).map(incarnation),
      receiverIncarnation: fc.nat(0xffff_ffff).map(incarnation),
      counter: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    })
    fc.assert(
      fc.property(anyHeader, (each) => {
        const bytes = new Uint8Array(headerBytes + 17)
        bytes.set(encodeHeader(each, tag))
        expect(parseHeader(bytes, tag)).toEqual({ kind: "ok", value: each })
      }),
    )
  })

  test("[K1] the layout on the wire is fixed: 32 bytes", () => {
    expect(toHex(encodeHeader(header, tag))).toBe(
      "5142" +
        "01" +
        "02" +
        "deadbeef" +
        "03" +
        "000000" +
        "0001" +
        "0102" +
        "00000005" +
        "00000006" +
        "0000000100000007",
    )
  })

  test("[K1] the cluster's tag is FNV-1a of its name, 32 bits", () => {
    expect(toHex(clusterTagOf(""))).toBe("811c9dc5")
    expect(toHex(clusterTagOf("a"))).toBe("e40c292c")
    expect(toHex(clusterTagOf("foobar"))).toBe("bf9cf968")
  })

  test("[K1] header, largest body and tag make the largest datagram", () => {
    expect(headerBytes + bodyBytesMax + sealTagBytes).toBe(datagramBytesMax)
  })

  test("[K1] random bytes give a header or a reason, never an exception", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1300 }), (bytes) => {
        expect(["ok", "error"]).toContain(parseHeader(bytes, tag).kind)
      }),
    )
  })

  test.each<[string, Uint8Array]>([
    ["too-short", new Uint8Array(0)],
    ["too-short", datagram(undefined, sealTagBytes)],
    ["too-long", datagram(undefined, datagramBytesMax - headerBytes + 1)],
    ["not-ours", datagram((bytes) => bytes.set([0x51, 0x43]))],
    ["version", datagram((bytes) => bytes.set([2], 2))],
    ["wrong-cluster", datagram((bytes) => bytes.set([0xee], 7))],
    ["malformed", datagram((bytes) => bytes.set([0], 3))],
    ["malformed", datagram((bytes) => bytes.set([3], 3))],
    ["malformed", datagram((bytes) => bytes.set([1], 11))],
    ["malformed", datagram((bytes) => bytes.set([0, 0], 12))],
    ["malformed", datagram((bytes) => bytes.set([0, 0], 14))],
    ["malformed", datagram((bytes) => bytes.set([0, 0, 0, 0], 16))],
    ["malformed", datagram((bytes) => bytes.fill(0, 24, 32))],
    ["malformed", datagram((bytes) => bytes.set([0x00, 0x20], 24))],
  ])("[K2] a header is refused: %s", (reason, bytes) => {
    expect(parseHeader(bytes, tag)).toEqual({ kind: "error", error: reason })
  })

  test("[K1] the shortest datagram that may be something is looked at", () => {
    expect(parseHeader(datagram(undefined, 17), tag).kind).toBe("ok")
  })

  test("[K1] a counter of 0 or beyond 2^53 - 1, node 0 and incarnation 0 are never sent", () => {
    for (const wrong of [
      { counter: 0 },
      { counter: 2 ** 53 },
      { keyId: 256 },
      { senderIncarnation: incarnation(0) },
      { sender: nodeId(0) },
    ]) {
      expect(() => encodeHeader({ ...header, ...wrong }, tag)).toThrow()
    }
  })
})
