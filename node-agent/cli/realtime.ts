/** The hidden `quorumbeat realtime LAUNCH-FILE`: second stage of `quorumbeat agent`. */
import { LaunchFailure, runRealtime } from "../host/launch.ts"
import { CommandFailure, exitStatus } from "./command.ts"

export async function realtime([file = ""]: readonly string[]): Promise<number> {
  try {
    await runRealtime(file)
  } catch (cause) {
    if (cause instanceof LaunchFailure) throw new CommandFailure(exitStatus.failed, cause.message)
    throw cause
  }
  // Sockets and timers that still wait must not keep a node that has left alive.
  process.exit(exitStatus.done)
}
