/**
 * Cryptography as synchronous functions that the host passes in, so that the core stays pure and the simulator
 * can stand in its own (SPEC K10). The host implements it with `node:crypto` key objects.
 */

/** A symmetric key held by the host; the core only passes it back. */
export type SealingKey = { readonly kind: "sealing-key" }

export interface Cryptography {
  /** HKDF-SHA-256 of the cluster's ring key `keyId` with `info`; undefined: no such ring key. */
  deriveKey(keyId: number, info: string): SealingKey | undefined
  /** AES-256-GCM. `nonce` is 12 bytes, never used twice with one key. Returns ciphertext and 16-byte tag in one. */
  seal(key: SealingKey, nonce: Uint8Array, header: Uint8Array, body: Uint8Array): Uint8Array
  /** The body, or undefined if the tag does not match. */
  open(key: SealingKey, nonce: Uint8Array, header: Uint8Array, sealed: Uint8Array): Uint8Array | undefined
}
