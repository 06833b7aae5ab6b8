/** The deployment's own credential: compared by its hash, in constant time. The credential itself is stored nowhere. */

import { err, ok, type Result } from "../protocol/result.ts"
import type { RequestReason } from "./errors.ts"

/** The text after `Bearer`. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return /^Bearer +([^\s]+)$/i.exec(authorization ?? "")?.[1]
}

/** Whether `credential` is the deployment's. `expected` is SHA-256 in hexadecimal. */
export async function isOperator(
  credential: string,
  expected: string | undefined,
): Promise<Result<boolean, RequestReason>> {
  if (expected === undefined || !/^[0-9a-fA-F]{64}$/.test(expected.trim()))
    return err("operator-credential-not-set")
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(credential))
  const wanted = Uint8Array.from(expected.trim().match(/../g) ?? [], (byte) => Number.parseInt(byte, 16))
  return ok(crypto.subtle.timingSafeEqual(digest, wanted))
}
