/** Requests of the witness's operator API, for the CLI. A failure is one line that says what to do. */
import { err, ok, type Result } from "../../protocol/result.ts"

export interface WitnessApi {
  /** Of the deployment, without a slash at the end. */
  readonly url: string
  readonly cluster: string
  readonly credential: string
}

export interface ApiCall {
  readonly method: "GET" | "POST" | "PUT" | "DELETE"
  /** Below the cluster. */
  readonly path: string
  readonly body?:
    | { readonly type: "json"; readonly value: object }
    | { readonly type: "toml"; readonly text: string }
}

/** A test of a receiver may take two attempts of ten seconds. */
const patience = 30_000

/** The JSON that came back. */
export async function callWitness(
  api: WitnessApi,
  { method, path, body }: ApiCall,
): Promise<Result<unknown, string>> {
  const target = `${api.url.replace(/\/+$/, "")}/v1/clusters/${encodeURIComponent(api.cluster)}${path}`
  const type = body === undefined ? {} : { "content-type": `application/${body.type}` }
  const text = body === undefined ? null : body.type === "json" ? JSON.stringify(body.value) : body.text
  try {
    const response = await fetch(target, {
      method,
      headers: { authorization: `Bearer ${api.credential}`, ...type },
      body: text,
      redirect: "error",
      signal: AbortSignal.timeout(patience),
    })
    const answered = await response.text()
    return response.ok ? ok(JSON.parse(answered)) : err(refusalOf(response.status, answered))
  } catch (cause) {
    const detail = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
    return err(`${target}: cannot be reached: ${detail instanceof Error ? detail.message : String(detail)}`)
  }
}

function refusalOf(status: number, text: string): string {
  try {
    const { error } = JSON.parse(text) as { error?: { message?: string } }
    if (typeof error?.message === "string") return error.message
  } catch {
    // Not the witness's JSON: a proxy's page, perhaps.
  }
  return `status ${status}: ${text.trim().slice(0, 300)}`
}
