/** Public keys as configurations name them. */
import * as jose from "jose"

/** Whether a text is an Ed25519 public key in base64url; a node is never configured with anything else. */
export function isPublicKey(text: string): boolean {
  return /^[A-Za-z0-9_-]{43}$/.test(text) && jose.base64url.decode(text).length === 32
}
