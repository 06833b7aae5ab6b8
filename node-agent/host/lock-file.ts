/**
 * One agent a node. The lock is flock(2) on a file in the state directory, because it ends by itself when the last
 * process holding the descriptor ends, however that process ends, and leaves nothing to clean up. (A pid file can be
 * stale; an abstract socket guards a network namespace, not a directory; a socket file outlives its process.)
 *
 * Node has no flock. The lock belongs to the open file, not to who called flock: util-linux's `flock` takes it on
 * the descriptor it inherits, exits, and it stays ours. The control process gets the descriptor too, so a new agent
 * waits until the old one's control process has stopped the services.
 */
import { spawnSync } from "node:child_process"
import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs"

/** In the state directory of an agent or a witness. */
export const lockFileName = "agent.lock"
/** `flock --conflict-exit-code`: tells "held by another" from "flock failed". */
const heldStatus = 87

export type LockResult =
  | { readonly kind: "locked"; readonly descriptor: number }
  /** `holder`: what the holder wrote about itself (its pid), for people. */
  | { readonly kind: "held"; readonly holder: string }
  | { readonly kind: "failed"; readonly reason: string }

/**
 * Waits at most `seconds` for another holder of the file `path` to end. Blocks: for use before the loop starts, and by
 * commands.
 */
export function takeLock(path: string, seconds: number): LockResult {
  let descriptor: number
  try {
    descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)
  } catch (cause) {
    return { kind: "failed", reason: cause instanceof Error ? cause.message : String(cause) }
  }
  const { status, error, stderr } = spawnSync(
    "flock",
    ["--exclusive", "--timeout", String(seconds), "--conflict-exit-code", String(heldStatus), "3"],
    { stdio: ["ignore", "ignore", "pipe", descriptor], encoding: "utf8" },
  )
  if (status === 0) {
    ftruncateSync(descriptor)
    writeSync(descriptor, `${process.pid}\n`, 0)
    return { kind: "locked", descriptor }
  }
  closeSync(descriptor)
  if (status === heldStatus) return { kind: "held", holder: readFileSync(path, "utf8").trim() }
  const reason = error === undefined ? stderr.trim() || `flock ended with status ${status}` : error.message
  return { kind: "failed", reason: `cannot run flock (util-linux): ${reason}` }
}
