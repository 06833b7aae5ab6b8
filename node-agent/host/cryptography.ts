/**
 * The core's `Cryptography` by `node:crypto`. Keys are key objects: with a raw buffer OpenSSL sets the key up anew for
 * each call, which costs four times the sealing itself (15 against 63 microseconds a packet, measured). Webcrypto is
 * asynchronous and slower still. Also: the text of a ring key file.
 */
import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from "node:crypto"
import { assert } from "../../protocol/assert.ts"
import { assertInteger } from "../../protocol/bytes.ts"
import { sealTagBytes } from "../../protocol/datagram.ts"
import { err, ok, type Result } from "../../protocol/result.ts"
import type { Cryptography, SealingKey } from "../core/cryptography.ts"

/** A key shared by all nodes of the cluster; everything between nodes is sealed under keys derived from it. */
export interface RingKey {
  /** 1..255, in the clear header: two keys are valid while one replaces the other. */
  readonly id: number
  /** 32 bytes of chance. */
  readonly bytes: Uint8Array
}

export interface HostCryptography extends Cryptography {
  /** Replaces all ring keys; tell the core in the same turn. Keys that were derived before stay usable. */
  replaceRingKeys(ringKeys: readonly RingKey[]): void
}

export function createCryptography(initial: readonly RingKey[]): HostCryptography {
  let roots = rootsOf(initial)
  return {
    replaceRingKeys(ringKeys) {
      roots = rootsOf(ringKeys)
    },
    deriveKey(keyId, info) {
      const root = roots.get(keyId)
      return root === undefined ? undefined : new HostSealingKey(derive(root, info))
    },
    seal,
    open,
  }
}

class HostSealingKey implements SealingKey {
  readonly kind = "sealing-key"
  readonly secret: KeyObject

  constructor(secret: KeyObject) {
    this.secret = secret
  }
}

const algorithm = "aes-256-gcm"
const keyBytes = 32
const ringKeyIdMax = 255
const gcmNonceBytes = 12

function rootsOf(ringKeys: readonly RingKey[]): ReadonlyMap<number, KeyObject> {
  const roots = new Map<number, KeyObject>()
  for (const { id, bytes } of ringKeys) {
    assertInteger(id, 1, ringKeyIdMax)
    assert(bytes.length === keyBytes, "a ring key has 32 bytes")
    assert(!roots.has(id), "two ring keys have two ids")
    roots.set(id, createSecretKey(bytes))
  }
  return roots
}

function derive(root: KeyObject, info: string): KeyObject {
  return createSecretKey(new Uint8Array(hkdfSync("sha256", root, "quorumbeat ring key", info, keyBytes)))
}

function seal(key: SealingKey, nonce: Uint8Array, header: Uint8Array, body: Uint8Array): Uint8Array {
  assert(nonce.length === gcmNonceBytes, "a nonce has 12 bytes")
  const cipher = createCipheriv(algorithm, secretOf(key), nonce, { authTagLength: sealTagBytes })
  cipher.setAAD(header)
  const sealed = new Uint8Array(body.length + sealTagBytes)
  sealed.set(cipher.update(body))
  cipher.final()
  sealed.set(cipher.getAuthTag(), body.length)
  return sealed
}

function open(
  key: SealingKey,
  nonce: Uint8Array,
  header: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  assert(nonce.length === gcmNonceBytes, "a nonce has 12 bytes")
  if (sealed.length < sealTagBytes) return undefined
  const bodyLength = sealed.length - sealTagBytes
  const decipher = createDecipheriv(algorithm, secretOf(key), nonce, { authTagLength: sealTagBytes })
  decipher.setAAD(header)
  decipher.setAuthTag(sealed.subarray(bodyLength))
  const text = decipher.update(sealed.subarray(0, bodyLength))
  try {
    decipher.final()
  } catch {
    // All inputs were checked above: what is left to fail is the tag, and that is the answer.
    return undefined
  }
  return new Uint8Array(text.buffer, text.byteOffset, text.length)
}

function secretOf(key: SealingKey): KeyObject {
  assert(key instanceof HostSealingKey, "sealing keys come from this module")
  return key.secret
}

/** The one line of a ring key file: id, a space, 32 bytes as 43 characters of base64url. */
export function formatRingKey(ringKey: RingKey): string {
  assertInteger(ringKey.id, 1, ringKeyIdMax)
  assert(ringKey.bytes.length === keyBytes, "a ring key has 32 bytes")
  return `${ringKey.id} ${Buffer.from(ringKey.bytes).toString("base64url")}\n`
}

/** An error, in words without the key, when the text is not what `formatRingKey` writes; the agent does not start. */
export function parseRingKey(text: string): Result<RingKey, string> {
  const [, id = "", key = ""] = /^([1-9]\d{0,2}) ([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])\n?$/.exec(text) ?? []
  if (key === "") return err("expected one line: key id, a space, 32 bytes as 43 characters of base64url")
  if (Number(id) > ringKeyIdMax) return err(`expected a key id from 1 to ${ringKeyIdMax}`)
  return ok({ id: Number(id), bytes: new Uint8Array(Buffer.from(key, "base64url")) })
}
