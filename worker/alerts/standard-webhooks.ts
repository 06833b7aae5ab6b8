/**
 * Signatures of Standard Webhooks 1.0.0: `v1` is HMAC-SHA256 with a shared secret (`whsec_`), `v1a` Ed25519 with a secret key
 * (`whsk_`) whose public half the consumer has. The npm library knows `v1` alone and signs synchronously; WebCrypto has both.
 */

export interface SignedContent {
  /** Without dots: the signed content is split at them. */
  readonly id: string
  /** Whole seconds, of this attempt. */
  readonly timestamp: number
  /** Exactly as sent. */
  readonly body: string
}

/** A shared secret of 24 to 64 bytes, or an Ed25519 key: its seed of 32 bytes, alone or with the public key after it. */
export function isWebhookSecret(text: string): boolean {
  const bytes = bytesOf(text)
  if (bytes === undefined) return false
  if (text.startsWith("whsec_")) return bytes.length >= 24 && bytes.length <= 64
  return text.startsWith("whsk_") && (bytes.length === 32 || bytes.length === 64)
}

/** The three headers, signed with each of `secrets`: while a consumer changes its secret, the old and the new one. */
export async function webhookHeaders(
  content: SignedContent,
  secrets: readonly string[],
): Promise<Readonly<Record<string, string>>> {
  const signatures = await Promise.all(secrets.map((secret) => signatureOf(content, secret)))
  return {
    "webhook-id": content.id,
    "webhook-timestamp": String(content.timestamp),
    "webhook-signature": signatures.join(" "),
  }
}

/** `v1,<base64>` or `v1a,<base64>`, as the secret says. The secret was checked when it was stored. */
export async function signatureOf({ id, timestamp, body }: SignedContent, secret: string): Promise<string> {
  const content = new TextEncoder().encode(`${id}.${timestamp}.${body}`)
  const bytes = bytesOf(secret) ?? new Uint8Array()
  if (secret.startsWith("whsec_")) {
    const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, [
      "sign",
    ])
    return `v1,${base64(await crypto.subtle.sign("HMAC", key, content))}`
  }
  // PKCS 8 around the seed: with it the public half need not be there, nor fit.
  const wrapped = Uint8Array.of(...pkcs8Ed25519, ...bytes.slice(0, 32))
  const key = await crypto.subtle.importKey("pkcs8", wrapped, { name: "Ed25519" }, false, ["sign"])
  return `v1a,${base64(await crypto.subtle.sign("Ed25519", key, content))}`
}

/** RFC 8410: everything of a private key's document that comes before its 32 bytes. */
const pkcs8Ed25519 = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20]

function bytesOf(secret: string): Uint8Array<ArrayBuffer> | undefined {
  const encoded = /^whs(?:ec|k)_([A-Za-z0-9+/]+={0,2})$/.exec(secret)?.[1]
  if (encoded === undefined) return undefined
  try {
    return Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0))
  } catch {
    // Of an impossible length.
    return undefined
  }
}

function base64(bytes: ArrayBuffer): string {
  return btoa(String.fromCharCode(...new Uint8Array(bytes)))
}
