/**
 * `<runtime dir>/<service>.epoch`: the epoch a service was activated with and how far that came, for the next control
 * process. `starting` or `stopping` left behind means: interrupted, finish by stopping.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { ServiceName } from "../../../protocol/units.ts"

const phases = ["starting", "running", "stopping"] as const
export type ActivationPhase = (typeof phases)[number]

export interface Activation {
  readonly epoch: string
  readonly phase: ActivationPhase
}

/** Why it could not be written; `undefined`: it was. */
export function writeActivation(
  directory: string,
  service: ServiceName,
  activation: Activation,
): string | undefined {
  const path = activationPath(directory, service)
  try {
    writeFileSync(`${path}.new`, `${activation.epoch}\n${activation.phase}\n`, { mode: 0o600 })
    renameSync(`${path}.new`, path)
    return undefined
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause)
  }
}

/** `undefined`: not active, as far as is written down. */
export function readActivation(directory: string, service: ServiceName): Activation | undefined {
  let text: string
  try {
    text = readFileSync(activationPath(directory, service), "utf8")
  } catch {
    return undefined
  }
  const [epoch = "", word] = text.split("\n")
  const phase = phases.find((each) => each === word)
  return phase === undefined ? { epoch, phase: "stopping" } : { epoch, phase }
}

export function removeActivation(directory: string, service: ServiceName): void {
  rmSync(activationPath(directory, service), { force: true })
}

function activationPath(directory: string, service: ServiceName): string {
  return join(directory, `${service}.epoch`)
}
