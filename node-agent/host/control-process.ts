/**
 * Starts the control process: this same program with the hidden subcommand `control`. It inherits standard error
 * (where it writes the log), the socket pair on descriptor 3 and the agent's lock on 4.
 */
import { spawn } from "node:child_process"
import { Duplex } from "node:stream"
import type { ControlProcess } from "./control-link.ts"

export interface SpawnedControl extends ControlProcess {
  /** `undefined`: it could not be started. */
  readonly pid: number | undefined
}

const controlSubcommand = "control"
export const controlDescriptor = 3

/** Small heap steps instead of large ones: it idles most of the time, and memory is budgeted (110 MB for both). */
const controlFlags = ["--max-semi-space-size=1", "--disable-warning=ExperimentalWarning"]

export function spawnControl(program: readonly string[], lockDescriptor: number): SpawnedControl {
  const [executable = process.execPath, ...parameters] = program
  const child = spawn(executable, [...parameters, controlSubcommand], {
    stdio: ["ignore", "ignore", "inherit", "pipe", lockDescriptor],
  })
  const socket = child.stdio[controlDescriptor]
  let reason = ""
  const control: SpawnedControl = {
    pid: child.pid,
    get backlog() {
      return socket instanceof Duplex ? socket.writableLength : 0
    },
    write: (line) => {
      if (socket instanceof Duplex && socket.writable) socket.write(line)
    },
    end: () => {
      if (socket instanceof Duplex) socket.end()
    },
    kill: () => {
      child.kill("SIGKILL")
    },
    received: () => undefined,
    ended: () => undefined,
  }
  const isGone = once(() => control.ended(reason))
  child.on("error", (cause) => {
    // It could not be started, or not be signalled; without a pid there is no exit to wait for.
    reason = cause.message
    if (child.pid === undefined) isGone()
  })
  child.on("exit", (status, signal) => {
    reason = signal === null ? `exit status ${status}` : `signal ${signal}`
    socket?.destroy()
    isGone()
  })
  if (socket instanceof Duplex) {
    socket.on("data", (chunk: Buffer) => control.received(chunk))
    // A closed socket without an exit is a control process that can no longer be talked to.
    socket.on("close", () => child.kill("SIGKILL"))
    socket.on("error", () => child.kill("SIGKILL"))
  }
  return control
}

/** How to start this program again: the executable, its flags and the script. */
export function ownProgram(): readonly string[] {
  const [, script] = process.argv
  return [process.execPath, ...controlFlags, ...(script === undefined ? [] : [script])]
}

function once(work: () => void): () => void {
  let done = false
  return () => {
    if (done) return
    done = true
    work()
  }
}
