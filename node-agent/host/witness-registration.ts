/** Tells the witness what it must know of a cluster: `PUT /v1/clusters/<name>`. Each call replaces what it knew. */
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { registrationOf } from "../../protocol/registration.ts"
import { err, ok, type Result } from "../../protocol/result.ts"

export interface Registration {
  readonly config: ClusterConfig
  /** Overrides the configuration's own. */
  readonly url: string | undefined
  readonly credential: string
}

const patience = 15_000

/** Ok: the witness's answer. The error is one line. */
export async function registerCluster(registration: Registration): Promise<Result<string, string>> {
  const { config, url, credential } = registration
  const base = url ?? config.witness?.url
  if (base === undefined) return err(`cluster ${config.name} has no witness; add [witness] or say --url`)
  const target = `${base.replace(/\/+$/, "")}/v1/clusters/${encodeURIComponent(config.name)}`
  try {
    const response = await fetch(target, {
      method: "PUT",
      headers: { authorization: `Bearer ${credential}`, "content-type": "application/json" },
      body: JSON.stringify(registrationOf(config)),
      signal: AbortSignal.timeout(patience),
    })
    const body = (await response.text()).trim()
    return response.ok ? ok(body) : err(`${target}: refused with status ${response.status}: ${body}`)
  } catch (cause) {
    const detail = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
    return err(`${target}: cannot be reached: ${detail instanceof Error ? detail.message : String(detail)}`)
  }
}
