/**
 * The simulator's own cryptography: what it seals opens unchanged under the same key, nonce and header, and nothing else
 * opens. It keeps no secret: nobody in the simulated world can compute, so only damage, mix-ups and replays are to be
 * found, and a 64-bit checksum finds them at a small part of the price of AES.
 */
import { sealTagBytes } from "../../protocol/datagram.ts"
import type { Cryptography, SealingKey } from "../core/cryptography.ts"

/** `ringKeys`: the ids of the ring keys that the node has. */
export function simulatedCryptography(ringKeys: readonly number[]): Cryptography {
  return {
    deriveKey: (id, info) => (ringKeys.includes(id) ? new SimulatedKey(`${id}|${info}`) : undefined),
    seal(key, nonce, header, body) {
      const sealed = new Uint8Array(body.length + sealTagBytes)
      sealed.set(body)
      writeTag(sealed, body.length, tagOf(key, nonce, header, body))
      return sealed
    },
    open(key, nonce, header, sealed) {
      const length = sealed.length - sealTagBytes
      if (length < 0) return undefined
      const body = sealed.slice(0, length)
      return hasTag(sealed, length, tagOf(key, nonce, header, body)) ? body : undefined
    },
  }
}

class SimulatedKey implements SealingKey {
  readonly kind = "sealing-key"
  readonly basis: readonly [number, number]

  constructor(text: string) {
    this.basis = mixed([0x811c9dc5, 0x9e3779b9], new TextEncoder().encode(text))
  }
}

function tagOf(
  key: SealingKey,
  nonce: Uint8Array,
  header: Uint8Array,
  body: Uint8Array,
): readonly [number, number] {
  if (!(key instanceof SimulatedKey)) throw new Error("a key of another cryptography")
  return mixed(mixed(mixed(key.basis, nonce), header), body)
}

/** FNV-1a and a multiply-add beside it, byte by byte, with the length at the end. */
function mixed([first, second]: readonly [number, number], bytes: Uint8Array): readonly [number, number] {
  let left = first
  let right = second
  for (const byte of bytes) {
    left = Math.imul(left ^ byte, 0x01000193)
    right = (Math.imul(right, 0x2c1b3c6d) + byte + 0x1f) | 0
  }
  return [Math.imul(left ^ bytes.length, 0x01000193), right ^ (right >>> 15)]
}

function hasTag(bytes: Uint8Array, offset: number, [left, right]: readonly [number, number]): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, sealTagBytes)
  if (view.getInt32(0) !== left || view.getInt32(4) !== right) return false
  return view.getInt32(8) === 0 && view.getInt32(12) === 0
}

function writeTag(into: Uint8Array, offset: number, [left, right]: readonly [number, number]): void {
  const view = new DataView(into.buffer, into.byteOffset + offset)
  view.setUint32(0, left)
  view.setUint32(4, right)
}
