/**
 * Receivers' secrets at rest: AES-256-GCM with a key that is a secret of the Worker, so that who reads the storage, a copy
 * of it or a log of it reads no secret. Pure but for WebCrypto.
 *
 * Keys are `id:base64` of 32 bytes, newest first, separated by spaces: the first seals, all open. To rotate: put a new one
 * in front, let what is stored be sealed anew (each change of the receivers does, and each start of the object), then
 * take the old one away. A deployment that sets no key has one made of the witness's own key (HKDF), which then must not
 * be lost either; it goes on opening what it sealed after a key was set.
 *
 * Sealed text: `sealed.1.<key id>.<nonce>.<ciphertext>` in base64url. `context` (whose secrets they are) is authenticated: what
 * was sealed for one cluster does not open as another's.
 */
import { assert } from "../../protocol/assert.ts"
import { err, ok, type Result } from "../../protocol/result.ts"

/** WebCrypto's own type, by which every runtime calls it. */
type CryptoKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>

export interface SealingKey {
  readonly id: string
  readonly key: CryptoKey
}

/** The first one seals. */
export type KeyRing = readonly [SealingKey, ...SealingKey[]]

export type SealingFault = "key-malformed" | "key-twice" | "no-key"
export type OpeningFault = "not-sealed" | "unknown-key" | "damaged"

const keyBytes = 32
/** Random nonces of 96 bits: safe for 2^32 seals a key, which at one a second are 136 years. */
const nonceBytes = 12
const keyIdPattern = /^[A-Za-z0-9_-]{1,32}$/
const derivedId = "witness"

/** Reads the keys' secret; `witnessKey` is the witness's own, of which a last key is made. */
export async function readKeyRing(
  secret: string | undefined,
  witnessKey: string | undefined,
): Promise<Result<KeyRing, SealingFault>> {
  const keys: SealingKey[] = []
  for (const text of (secret ?? "").split(/\s+/).filter((each) => each !== "")) {
    const [id = "", encoded = "", ...rest] = text.split(":")
    const bytes = decoded(encoded)
    if (rest.length > 0 || !keyIdPattern.test(id) || id === derivedId || bytes?.length !== keyBytes)
      return err("key-malformed")
    if (keys.some((key) => key.id === id)) return err("key-twice")
    keys.push({ id, key: await importKey(bytes) })
  }
  const derived = witnessKey === undefined || witnessKey === "" ? [] : [await derivedKey(witnessKey.trim())]
  const [first, ...others] = [...keys, ...derived]
  return first === undefined ? err("no-key") : ok([first, ...others])
}

export async function sealText([{ id, key }]: KeyRing, text: string, context: string): Promise<string> {
  const nonce = crypto.getRandomValues(new Uint8Array(nonceBytes))
  const plain = new TextEncoder().encode(text)
  const sealed = await crypto.subtle.encrypt(parameters(nonce, id, context), key, plain)
  return ["sealed", "1", id, encoded(nonce), encoded(new Uint8Array(sealed))].join(".")
}

/** The text that was sealed for this context; else why it cannot be had. Nothing of it is in the fault. */
export async function openText(
  ring: KeyRing,
  sealed: string,
  context: string,
): Promise<Result<string, OpeningFault>> {
  const parts = partsOf(sealed)
  if (parts === undefined) return err("not-sealed")
  const found = ring.find(({ id }) => id === parts.id)
  if (found === undefined) return err("unknown-key")
  try {
    const algorithm = parameters(parts.nonce, parts.id, context)
    const plain = await crypto.subtle.decrypt(algorithm, found.key, parts.ciphertext)
    return ok(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(plain))
  } catch {
    // Another key under the same id, another context, bytes that changed: one answer, they cannot be told apart.
    return err("damaged")
  }
}

/** Whether the newest key sealed it. What an older one did should be sealed anew. */
export function isSealedByNewest([newest]: KeyRing, sealed: string): boolean {
  return partsOf(sealed)?.id === newest.id
}

function partsOf(sealed: string) {
  const [word, version, id, nonce, ciphertext, ...rest] = sealed.split(".")
  if (word !== "sealed" || version !== "1" || id === undefined || rest.length > 0) return undefined
  const nonceRead = decoded(nonce ?? "")
  const ciphertextRead = decoded(ciphertext ?? "")
  if (nonceRead?.length !== nonceBytes || ciphertextRead === undefined) return undefined
  return { id, nonce: nonceRead, ciphertext: ciphertextRead }
}

function parameters(iv: Uint8Array<ArrayBuffer>, id: string, context: string) {
  return {
    name: "AES-GCM",
    iv,
    additionalData: new TextEncoder().encode(`quorumbeat receivers\n${id}\n${context}`),
  }
}

function importKey(bytes: Uint8Array<ArrayBuffer>): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"])
}

async function derivedKey(witnessKey: string): Promise<SealingKey> {
  const encoder = new TextEncoder()
  const material = await crypto.subtle.importKey("raw", encoder.encode(witnessKey), "HKDF", false, [
    "deriveKey",
  ])
  const algorithm = {
    name: "HKDF",
    hash: "SHA-256",
    salt: new Uint8Array(),
    info: encoder.encode("quorumbeat receivers"),
  }
  const key = await crypto.subtle.deriveKey(
    algorithm,
    material,
    { name: "AES-GCM", length: keyBytes * 8 },
    false,
    ["encrypt", "decrypt"],
  )
  return { id: derivedId, key }
}

function encoded(bytes: Uint8Array): string {
  assert(bytes.length < 1_000_000, "what is sealed is a few settings")
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")
}

/** Base64, of either alphabet. */
function decoded(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text)) return undefined
  try {
    const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"))
    return Uint8Array.from(plain, (character) => character.charCodeAt(0))
  } catch {
    // Of an impossible length.
    return undefined
  }
}
