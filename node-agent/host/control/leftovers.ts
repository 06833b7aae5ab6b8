/**
 * What a control process that was killed left running: starts and stops whose outcome nobody has seen. They are ended
 * before anything is said about the services, because "stopped" holds only when no start is in flight.
 */
import { readdirSync, readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import {
  bootId,
  forgetOperation,
  type OperationRecord,
  operationVariable,
  pidPath,
  recordPath,
  revokeOperation,
} from "./operation.ts"
import { endGroup, groupMembers, hasVariable, type ProcessStat, parseStat, readStat } from "./processes.ts"

export interface Leftover {
  readonly service: string
  readonly resource: string
  readonly action: "start" | "stop"
  /** `false`: its processes would not end and may still act. */
  readonly ended: boolean
}

/** How long a child may need between creating its pid file and writing into it. */
const pidFilePatience = 2_000
const pollInterval = 10

/** Ends all of them, at the same time. A directory that does not exist holds none. */
export async function endLeftovers(
  directory: string,
  patience = pidFilePatience,
): Promise<readonly Leftover[]> {
  const boot = bootId()
  const found = recordsIn(directory).map(async (record): Promise<readonly Leftover[]> => {
    const isOurs = record.boot === boot
    const ended = !isOurs || (await endOne(directory, record, patience))
    if (ended) forgetOperation(directory, record.id)
    return isOurs
      ? [{ service: record.service, resource: record.resource, action: record.action, ended }]
      : []
  })
  return (await Promise.all(found)).flat()
}

async function endOne(directory: string, record: OperationRecord, patience: number): Promise<boolean> {
  if (revokeOperation(directory, record.id)) return true
  const leader = await readLeader(pidPath(directory, record.id), patience)
  if (leader === undefined) return false
  // The pid may belong to somebody else by now: the leader has the start time it wrote down; what it left behind in
  // its group, once it is gone, has the operation's name in its environment.
  const isLeader = readStat(leader.pid)?.startTime === leader.startTime
  const isOurGroup =
    isLeader ||
    groupMembers(leader.pid).some((member) => hasVariable(member.pid, operationVariable(record.id)))
  return !isOurGroup || (await endGroup(leader.pid))
}

async function readLeader(path: string, patience: number): Promise<ProcessStat | undefined> {
  for (let waited = 0; waited <= patience; waited += pollInterval) {
    const text = readFileSync(path, "utf8")
    if (text.endsWith("\n")) return parseStat(text)
    await sleep(pollInterval)
  }
  return undefined
}

function recordsIn(directory: string): readonly OperationRecord[] {
  let names: readonly string[]
  try {
    names = readdirSync(directory)
  } catch {
    return []
  }
  return names
    .filter((name) => name.endsWith(".json"))
    .map((name) => JSON.parse(readFileSync(recordPath(directory, name.slice(0, -".json".length)), "utf8")))
}
