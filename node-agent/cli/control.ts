/** The hidden `quorumbeat control`: the agent's second process, started by the first. */
import { fstatSync } from "node:fs"
import { runControl } from "../host/control/control.ts"
import { controlDescriptor } from "../host/control-process.ts"
import { usageFailure } from "./command.ts"

export function control(): Promise<number> {
  if (!isSocket(controlDescriptor))
    throw usageFailure("control is started by `quorumbeat agent`, not by hand")
  runControl(controlDescriptor)
  return new Promise(() => undefined)
}

function isSocket(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isSocket()
  } catch {
    // Not open.
    return false
  }
}
