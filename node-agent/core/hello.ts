/**
 * What a hello says under its seal: the sender's nonce, and the nonce it last heard from the receiver.
 *
 *   offset  bytes
 *        0     16  the sender's nonce
 *       16      1  what follows: 0 nothing (zeros), 1 heard, 2 heard and proved fresh
 *       17     16  the receiver's nonce as last heard
 *       33      1  lowest version the sender speaks   } not in a hello of version 1 (SPEC N1)
 *       34      1  highest                            }
 *       35         what a later version adds; not read
 */
import { assert } from "../../protocol/assert.ts"
import { ByteReader, ByteWriter, type ParseFault, sameBytes } from "../../protocol/bytes.ts"
import type { Result } from "../../protocol/result.ts"
import { silentRange, type VersionRange } from "../../protocol/version.ts"

/** Chance drawn once at a node's start: tells this start from every other, whatever its incarnation. */
export const sessionNonceBytes = 16

export interface HelloEcho {
  readonly nonce: Uint8Array
  readonly standing: "heard" | "proven"
}

export interface Hello {
  readonly nonce: Uint8Array
  readonly echo: HelloEcho | undefined
  readonly versions: VersionRange
}

/** Of version 1, with a range, and the longest that is read: room for what later versions add. */
export const helloBodyBytes = { plain: 33, ranged: 35, max: 128 } as const

/** A range of version 1 alone is not written: a node of version 1 reads no longer hello. */
export function encodeHello(hello: Hello): Uint8Array {
  const { min, max } = hello.versions
  const isPlain = max === silentRange.max
  assert(hello.nonce.length === sessionNonceBytes, "a session nonce has 16 bytes")
  const echoed = hello.echo?.nonce ?? noNonce
  assert(echoed.length === sessionNonceBytes, "an echoed nonce has 16 bytes")
  const writer = new ByteWriter(isPlain ? helloBodyBytes.plain : helloBodyBytes.ranged)
  writer.bytes(hello.nonce)
  writer.u8(hello.echo === undefined ? 0 : hello.echo.standing === "heard" ? 1 : 2)
  writer.bytes(echoed)
  if (isPlain) return writer.finish()
  writer.u8(min)
  writer.u8(max)
  return writer.finish()
}

export function parseHello(bytes: Uint8Array): Result<Hello, ParseFault> {
  const isPlain = bytes.length <= helloBodyBytes.plain
  const reader = new ByteReader(isPlain ? bytes : bytes.subarray(0, helloBodyBytes.ranged))
  const nonce = reader.bytes(sessionNonceBytes)
  const standing = reader.within(reader.u8(), 0, 2)
  const echoed = reader.bytes(sessionNonceBytes)
  if (standing === 0 && !sameBytes(echoed, noNonce)) reader.refuse("out-of-range")
  const echo: HelloEcho = { nonce: echoed, standing: standing === 1 ? "heard" : "proven" }
  const min = isPlain ? silentRange.min : reader.within(reader.u8(), 1, 255)
  const max = isPlain ? silentRange.max : reader.within(reader.u8(), min, 255)
  return reader.finish({ nonce, echo: standing === 0 ? undefined : echo, versions: { min, max } })
}

const noNonce = new Uint8Array(sessionNonceBytes)
