/** What this machine lacks to use a fence device: the agent, parameters it knows, secrets that only their owner can read. */
import { execFile } from "node:child_process"
import { accessSync, constants } from "node:fs"
import type { FenceDevice } from "../../../../protocol/cluster.ts"
import { parseOcfMetadata } from "../resources/ocf-metadata.ts"
import { fenceProgram, readSecrets } from "./fence-agent.ts"

/** In words for the operator; none: nothing is missing. Asks nothing of the device itself. */
export async function fenceProblemsHere(device: FenceDevice): Promise<readonly string[]> {
  const program = fenceProgram(device.agent)
  try {
    accessSync(program, constants.X_OK)
  } catch {
    return [`${program} is not there or cannot be run`]
  }
  const secrets = readSecrets(device)
  if (secrets.kind === "error") return [secrets.error]
  const described = parseOcfMetadata(await metadataOf(program))
  if (described.kind === "failed") return [`${device.agent}: ${described.reason}`]
  const { parameters } = described.metadata
  const given = [...Object.keys(device.parameters), ...Object.keys(secrets.value)]
  const unknown = given.filter((name) => !parameters.has(name))
  return unknown.map((name) => `${device.agent}: no parameter ${name}; see \`${program} --help\``)
}

/** FenceAgentAPI: XML as that of OCF agents. Empty if it cannot be had. */
function metadataOf(program: string): Promise<string> {
  return new Promise((resolve) => {
    execFile(program, ["-o", "metadata"], { timeout: 20_000, maxBuffer: 1 << 20 }, (_cause, printed) => {
      resolve(printed)
    })
  })
}
