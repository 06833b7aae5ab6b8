/** Sends one notification over HTTP. The only place where the witness reaches out; what came of it is a value. */

import type { HttpAnswer, HttpRequest } from "./alerts/notification.ts"
import { type TargetPolicy, webhookTarget } from "./alerts/target.ts"

/** A slow receiver should fail over to its next attempt; five at once stay far below an alarm's minute. */
const timeoutMs = 10_000
/** Some services answer with the whole message, and its id is wanted. */
const answerBytesMax = 65_536

/** One attempt. Redirects are not followed: they would lead around the check of the target. */
export async function attempt(request: HttpRequest, policy: TargetPolicy): Promise<HttpAnswer> {
  const target = webhookTarget(request.url, policy)
  if (target.kind === "error") return { kind: "failed", reason: target.error }
  // Not `AbortSignal.timeout`: its timer would outlive the answer and keep the object from sleeping.
  const patience = new AbortController()
  const timer = setTimeout(() => patience.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
  try {
    const { url, ...init } = request
    const response = await fetch(url, { ...init, redirect: "manual", signal: patience.signal })
    return {
      kind: "answered",
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: await beginning(response),
    }
  } catch (error) {
    // No name, no route, no TLS, no answer in time: all of them are "try again later".
    return { kind: "failed", reason: error instanceof Error ? error.message : "failed" }
  } finally {
    clearTimeout(timer)
  }
}

/** The body's first bytes; the rest is not waited for. */
async function beginning(response: Response): Promise<string> {
  if (response.body === null) return ""
  const reader = response.body.getReader()
  const decoder = new TextDecoder()
  let text = ""
  for (let bytes = 0; bytes < answerBytesMax; ) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    bytes += value.length
    text += decoder.decode(value, { stream: true })
  }
  await reader.cancel()
  return text
}
