/** Reads a request's body as text of one content type, never more of it than allowed. */
import { err, ok, type Result } from "../protocol/result.ts"
import type { RequestReason } from "./errors.ts"

export function readJsonBody(request: Request, bytesMax: number): Promise<Result<string, RequestReason>> {
  return readTextBody(request, bytesMax, "application/json")
}

export async function readTextBody(
  request: Request,
  bytesMax: number,
  expected: "application/json" | "application/toml",
): Promise<Result<string, RequestReason>> {
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase()
  if (type !== expected)
    return err(expected === "application/json" ? "content-type-not-json" : "content-type-not-toml")
  if (Number(request.headers.get("content-length") ?? 0) > bytesMax) return err("body-too-large")
  const body = await readAtMost(request.body, bytesMax)
  if (body === undefined) return err("body-too-large")
  try {
    return ok(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body))
  } catch {
    // Not UTF-8, hence neither JSON nor TOML.
    return err(expected === "application/json" ? "body-not-json" : "rules-malformed")
  }
}

/** The whole stream; `undefined` if it is longer than allowed, whatever its Content-Length said. */
async function readAtMost(stream: ReadableStream | null, bytesMax: number): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of stream ?? []) {
    const bytes: Uint8Array = chunk
    length += bytes.length
    if (length > bytesMax) return undefined
    chunks.push(bytes)
  }
  const whole = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks) {
    whole.set(chunk, offset)
    offset += chunk.length
  }
  return whole
}
