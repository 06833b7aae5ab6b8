/**
 * Looking at and ending processes by what /proc says. A pid alone names nothing for long: together with the start
 * time it does. Zombies count as ended: in a container nobody may ever collect them.
 */
import { readdirSync, readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"

export interface ProcessStat {
  readonly pid: number
  readonly group: number
  /** In clock ticks since boot. */
  readonly startTime: string
  readonly alive: boolean
}

/** The time a group gets between SIGTERM and SIGKILL. */
const terminationGrace = 2_000
/** A process that outlives SIGKILL this long waits in the kernel (a dead disk) and may still act one day. */
const killPatience = 5_000
const pollInterval = 20

/** Reads one line of /proc/<pid>/stat; the name in it may hold spaces and brackets. */
export function parseStat(line: string): ProcessStat | undefined {
  const opening = line.indexOf(" (")
  const closing = line.lastIndexOf(") ")
  if (opening < 0 || closing < 0) return undefined
  const fields = line.slice(closing + 2).split(" ")
  const [state, , group] = fields
  const startTime = fields[19]
  if (state === undefined || group === undefined || startTime === undefined) return undefined
  return {
    pid: Number(line.slice(0, opening)),
    group: Number(group),
    startTime,
    alive: state !== "Z" && state !== "X",
  }
}

/** `undefined`: no such process. */
export function readStat(pid: number): ProcessStat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    // It ended, now or long ago.
    return undefined
  }
}

/** Living members of a process group. */
export function groupMembers(group: number): readonly ProcessStat[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readStat(Number(name)) ?? [])
    .filter((process) => process.group === group && process.alive)
}

/** Whether the process was started with this variable in its environment; `false` if that cannot be read. */
export function hasVariable(pid: number, variable: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(variable)
  } catch {
    return false
  }
}

/** SIGTERM, then SIGKILL for all living members, until none is left. `false`: some would not end. */
export async function endGroup(group: number, grace = terminationGrace): Promise<boolean> {
  signalGroup(group, "SIGTERM")
  if (await isGroupEmpty(group, grace)) return true
  signalGroup(group, "SIGKILL")
  return isGroupEmpty(group, killPatience)
}

function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal)
  } catch {
    // Nobody left to get it.
  }
}

async function isGroupEmpty(group: number, patience: number): Promise<boolean> {
  for (let waited = 0; groupMembers(group).length > 0; waited += pollInterval) {
    if (waited >= patience) return false
    await sleep(pollInterval)
  }
  return true
}
