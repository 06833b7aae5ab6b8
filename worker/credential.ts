/** The operator's credential: compared by its hash, in constant time. The credential itself is stored nowhere. */

import type { RequestReason } from "./errors.ts"

/** Why a request is not the operator's; `undefined` if it is. `expected` is SHA-256 in hexadecimal. */
export async function refuseCredential(
  authorization: string | undefined,
  expected: string | undefined,
): Promise<RequestReason | undefined> {
  if (expected === undefined || !/^[0-9a-fA-F]{64}$/.test(expected.trim()))
    return "operator-credential-not-set"
  const credential = /^Bearer +([^\s]+)$/i.exec(authorization ?? "")?.[1]
  if (credential === undefined) return "credential-missing"
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(credential))
  const wanted = Uint8Array.from(expected.trim().match(/../g) ?? [], (byte) => Number.parseInt(byte, 16))
  return crypto.subtle.timingSafeEqual(digest, wanted) ? undefined : "credential-invalid"
}
