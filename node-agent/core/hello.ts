/**
 * What a hello says under its seal: the sender's nonce, and the nonce it last heard from the receiver.
 *
 *   offset  bytes
 *        0     16  the sender's nonce
 *       16      1  what follows: 0 nothing (zeros), 1 heard, 2 heard and proved fresh
 *       17     16  the receiver's nonce as last heard
 */
import { assert } from "../../protocol/assert.ts"
import { ByteReader, ByteWriter, type ParseFault, sameBytes } from "../../protocol/bytes.ts"
import type { Result } from "../../protocol/result.ts"

/** Chance drawn once at a node's start: tells this start from every other, whatever its incarnation. */
export const sessionNonceBytes = 16

export interface HelloEcho {
  readonly nonce: Uint8Array
  readonly standing: "heard" | "proven"
}

export interface Hello {
  readonly nonce: Uint8Array
  readonly echo: HelloEcho | undefined
}

export const helloBodyBytes = 33

export function encodeHello(hello: Hello): Uint8Array {
  assert(hello.nonce.length === sessionNonceBytes, "a session nonce has 16 bytes")
  const echoed = hello.echo?.nonce ?? noNonce
  assert(echoed.length === sessionNonceBytes, "an echoed nonce has 16 bytes")
  const writer = new ByteWriter(helloBodyBytes)
  writer.bytes(hello.nonce)
  writer.u8(hello.echo === undefined ? 0 : hello.echo.standing === "heard" ? 1 : 2)
  writer.bytes(echoed)
  return writer.finish()
}

export function parseHello(bytes: Uint8Array): Result<Hello, ParseFault> {
  const reader = new ByteReader(bytes)
  const nonce = reader.bytes(sessionNonceBytes)
  const standing = reader.within(reader.u8(), 0, 2)
  const echoed = reader.bytes(sessionNonceBytes)
  if (standing === 0 && !sameBytes(echoed, noNonce)) reader.refuse("out-of-range")
  const echo: HelloEcho = { nonce: echoed, standing: standing === 1 ? "heard" : "proven" }
  return reader.finish({ nonce, echo: standing === 0 ? undefined : echo })
}

const noNonce = new Uint8Array(sessionNonceBytes)
