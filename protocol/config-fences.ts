/** The `[[fence]]` tables: devices that turn nodes off. */
import type { FenceDevice } from "./cluster.ts"
import { bounds } from "./config-bounds.ts"
import { argument, fenceAgent, filePath, integer, oneOf, plainName, variableName } from "./config-leaves.ts"
import { entries, has, list, optional, required, type Table } from "./config-reader.ts"
import { defaults } from "./profiles.ts"

export interface FenceDraft {
  readonly table: Table
  readonly name: string | undefined
  readonly agent: string | undefined
  readonly nodes: readonly (string | undefined)[] | undefined
  /** By the node's name. */
  readonly plugs: ReadonlyMap<string, string>
  readonly level: number | undefined
  readonly action: FenceDevice["action"] | undefined
  readonly parameters: Readonly<Record<string, string>>
  readonly secretsFile: string | undefined
  readonly delay: number | undefined
  readonly timeout: number | undefined
  readonly monitorInterval: number | undefined
}

export const fenceKeys = [
  "name",
  "agent",
  "nodes",
  "plugs",
  "level",
  "action",
  "parameters",
  "secrets_file",
  "delay_ms",
  "timeout_ms",
  "monitor_interval_ms",
]

export function readFence(table: Table): FenceDraft {
  return {
    table,
    name: required(table, "name", plainName),
    agent: required(table, "agent", fenceAgent),
    nodes: list(table, "nodes", () => plainName, { min: 1, max: bounds.nodes, noun: "names of nodes" }),
    plugs: new Map(entries(table, "plugs", { key: plainName, value: argument }, bounds.nodes)),
    level: optional(table, "level", integer(1, bounds.fenceLevels), 1),
    action: optional(table, "action", oneOf("off", "reboot"), "off"),
    parameters: Object.fromEntries(
      entries(table, "parameters", { key: variableName, value: parameterValue }, bounds.variables),
    ),
    secretsFile: has(table, "secrets_file") ? required(table, "secrets_file", filePath) : undefined,
    delay: optional(table, "delay_ms", integer(0, bounds.resourceTimeout), 0),
    timeout: optional(table, "timeout_ms", integer(1, bounds.resourceTimeout), defaults.fenceTimeout),
    monitorInterval: optional(
      table,
      "monitor_interval_ms",
      integer(1, bounds.monitorInterval),
      defaults.fenceMonitorInterval,
    ),
  }
}

/** One line of the agent's standard input. */
const parameterValue = {
  expected: "a string of one line",
  read: (value: unknown) => {
    const text = argument.read(value)
    return text === undefined || text.includes("\n") ? undefined : text
  },
}
