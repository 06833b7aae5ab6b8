/** The hidden `quorumbeat control`: the agent's second process, started by the first. */
import { fstatSync } from "node:fs"
import { getPriority, setPriority } from "node:os"
import { runControl } from "../host/control/control.ts"
import { controlDescriptor } from "../host/control-process.ts"
import { usageFailure } from "./command.ts"

export function control(): Promise<number> {
  if (!isSocket(controlDescriptor))
    throw usageFailure("control is started by `quorumbeat agent`, not by hand")
  // Of a real-time process that is nicer than others; under FIFO children begin at normal priority anyway.
  if (getPriority() < 0) setPriority(0)
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
