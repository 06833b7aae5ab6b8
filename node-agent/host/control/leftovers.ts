/**
 * Starts and stops that were left behind: a control process that was killed has not seen their outcome, or their processes
 * outlived SIGKILL. They are ended before anything is said about the services, because "stopped" holds only when no start
 * is in flight.
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
  return endAll(directory, recordsIn(directory), patience)
}

/** Those of one service, while nothing of it is under way. */
export async function endLeftoversOf(service: string, directory: string): Promise<readonly Leftover[]> {
  const records = recordsIn(directory).filter((record) => record.service === service)
  return endAll(directory, records, pidFilePatience)
}

async function endAll(
  directory: string,
  records: readonly OperationRecord[],
  patience: number,
): Promise<readonly Leftover[]> {
  const boot = bootId()
  const found = records.map(async (record): Promise<readonly Leftover[]> => {
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
    .flatMap((name) => {
      const id = name.slice(0, -".json".length)
      const record = readRecord(directory, id)
      if (record === undefined) forgetOperation(directory, id)
      return record ?? []
    })
}

/** `undefined`: torn, and so of another boot, which lost its power. Within one it is there whole or not at all. */
function readRecord(directory: string, id: string): OperationRecord | undefined {
  const text = readFileSync(recordPath(directory, id), "utf8")
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
