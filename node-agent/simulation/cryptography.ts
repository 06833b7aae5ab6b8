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
      const sealed = room(body.length + sealTagBytes)
      sealed.set(body)
      const { left, right } = tagOf(key, nonce, header, sealed)
      writeWord(sealed, body.length, left)
      writeWord(sealed, body.length + 4, right)
      return sealed
    },
    open(key, nonce, header, sealed) {
      if (sealed.length < sealTagBytes) return undefined
      const isGenuine = hasTag(sealed, tagOf(key, nonce, header, sealed))
      return isGenuine ? sealed.subarray(0, -sealTagBytes) : undefined
    },
  }
}

/** Allocated in one piece for hundreds of datagrams: a piece for each costs more than the sealing. */
const slabBytes = 65_536
let slab = new Uint8Array(slabBytes)
let used = 0

/** Zeros that were not given away before. */
function room(length: number): Uint8Array {
  if (used + length > slab.length) {
    slab = new Uint8Array(slabBytes)
    used = 0
  }
  used += length
  return slab.subarray(used - length, used)
}

class SimulatedKey implements SealingKey {
  readonly kind = "sealing-key"
  readonly basis: Checksum

  constructor(text: string) {
    const bytes = new TextEncoder().encode(text)
    this.basis = new Checksum(0x811c9dc5, 0x9e3779b9).add(bytes, bytes.length)
  }
}

/** Of the nonce, the header and the body, which comes before the room for the tag. */
function tagOf(key: SealingKey, nonce: Uint8Array, header: Uint8Array, sealed: Uint8Array): Checksum {
  if (!(key instanceof SimulatedKey)) throw new Error("a key of another cryptography")
  const { left, right } = key.basis
  return new Checksum(left, right)
    .add(nonce, nonce.length)
    .add(header, header.length)
    .add(sealed, sealed.length - sealTagBytes)
}

class Checksum {
  left: number
  right: number

  constructor(left: number, right: number) {
    this.left = left
    this.right = right
  }

  /** FNV-1a and a multiply-add beside it, byte by byte, with the length at the end. */
  add(bytes: Uint8Array, length: number): this {
    let { left, right } = this
    for (let i = 0; i < length; i += 1) {
      const byte = bytes[i] ?? 0
      left = Math.imul(left ^ byte, 0x01000193)
      right = (Math.imul(right, 0x2c1b3c6d) + byte + 0x1f) | 0
    }
    this.left = Math.imul(left ^ length, 0x01000193)
    this.right = right ^ (right >>> 15)
    return this
  }
}

/** The checksum's two words and eight zeros. */
function hasTag(sealed: Uint8Array, { left, right }: Checksum): boolean {
  const at = sealed.length - sealTagBytes
  if (wordAt(sealed, at) !== left || wordAt(sealed, at + 4) !== right) return false
  return wordAt(sealed, at + 8) === 0 && wordAt(sealed, at + 12) === 0
}

function wordAt(bytes: Uint8Array, at: number): number {
  let word = 0
  for (let i = at; i < at + 4; i += 1) word = (word << 8) | (bytes[i] ?? 0)
  return word
}

function writeWord(bytes: Uint8Array, at: number, word: number): void {
  for (let i = 0; i < 4; i += 1) bytes[at + i] = word >>> (24 - 8 * i)
}
