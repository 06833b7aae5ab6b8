/** The log: one JSON object a line on standard error, for journald and whoever reads it. */
import { writeSync } from "node:fs"
import type { LogFields, LogLevel } from "../../core/effects.ts"
import { wallNow } from "../clock.ts"
import type { LogLine } from "./messages.ts"

const levels: readonly LogLevel[] = ["debug", "info", "warn", "error"]

export type Log = (level: LogLevel, event: string, fields: LogFields) => void

export function isLogged(level: LogLevel, lowest: LogLevel): boolean {
  return levels.indexOf(level) >= levels.indexOf(lowest)
}

function formatLogLine(node: number, line: LogLine): string {
  const time = new Date(line.at).toISOString()
  return JSON.stringify({ level: line.level, time, node, event: line.event, ...line.fields })
}

/** Writes at once; a reader that does not keep up may hold up the caller, which is why only control does this. */
export function writeLogLine(node: number, line: LogLine): void {
  try {
    writeSync(2, `${formatLogLine(node, line)}\n`)
  } catch {
    // Nobody reads standard error any more, or it is full and does not block: there is no other place to say so.
  }
}

export function createLog(node: number, lowest: LogLevel): Log {
  return (level, event, fields) => {
    if (isLogged(level, lowest)) writeLogLine(node, { at: wallNow(), level, event, fields })
  }
}
