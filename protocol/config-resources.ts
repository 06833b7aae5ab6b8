/**
 * The `[[service.resource]]` tables: what each kind of resource is told, and what all of them have. A kind is one entry of
 * `kinds` and one case of `readKind`.
 */
import type {
  CommandResource,
  IpResource,
  OcfResource,
  ResourceConfig,
  ResourceLimits,
  SystemdResource,
} from "./cluster.ts"
import { bounds } from "./config-bounds.ts"
import {
  argument,
  deviceName,
  floatingAddress,
  integer,
  ocfAgent,
  oneOf,
  plainName,
  programPath,
  systemdUnit,
  variableName,
} from "./config-leaves.ts"
import { entries, list, optional, required, type Table, tables } from "./config-reader.ts"
import { defaults } from "./profiles.ts"
import { millis } from "./units.ts"

export interface ResourceDraft {
  readonly table: Table
  /** For checks between resources, however wrong the rest may be. */
  readonly name: string | undefined
  readonly restartLimit: number | undefined
  /** `undefined`: some field was wrong or missing, and an error is noted. */
  readonly config: ResourceConfig | undefined
}

type Kind = ResourceConfig["kind"]

const commonKeys = [
  "kind",
  "name",
  "start_timeout_ms",
  "stop_timeout_ms",
  "monitor_timeout_ms",
  "monitor_interval_ms",
  "restart_limit",
]

/** The keys of each kind beside the common ones. */
const kinds: Readonly<Record<Kind, readonly string[]>> = {
  command: ["start", "stop", "monitor", "environment"],
  ocf: ["agent", "parameters"],
  systemd: ["unit"],
  ip: ["address", "device"],
}

const kindLeaf = oneOf(...Object.keys(kinds).filter(isKind))

export function readResources(service: Table): readonly ResourceDraft[] {
  return tables(service, "resource", keysOf, {
    min: 1,
    max: bounds.resources,
    noun: "[[service.resource]] tables",
  }).map(readResource)
}

/** A table of no known kind may have the keys of any: that it has no kind is one error, not one a key. */
function keysOf(fields: Readonly<Record<string, unknown>>): readonly string[] {
  const { kind } = fields
  const own = typeof kind === "string" && isKind(kind) ? kinds[kind] : Object.values(kinds).flat()
  return [...commonKeys, ...own]
}

function readResource(table: Table): ResourceDraft {
  const kind = required(table, "kind", kindLeaf)
  const limits = readLimits(table, kind)
  const restartLimit = optional(table, "restart_limit", integer(0, bounds.failures), 0)
  const config = kind === undefined ? undefined : readKind(table, kind, limits)
  return { table, name: limits.name, restartLimit, config: withRestarts(config, restartLimit) }
}

/** None is what a resource has where nothing is said: that must not change the checksum. */
function withRestarts(
  config: ResourceConfig | undefined,
  restartLimit: number | undefined,
): ResourceConfig | undefined {
  if (config === undefined || restartLimit === undefined) return undefined
  return restartLimit === 0 ? config : { ...config, restartLimit }
}

type Read<T> = { readonly [K in keyof T]: T[K] | undefined }

function readLimits(table: Table, kind: Kind | undefined): Read<ResourceLimits> {
  const duration = (key: string, max: number, fallback: number) => {
    const read = optional(table, key, integer(1, max), fallback)
    return read === undefined ? undefined : millis(read)
  }
  return {
    name: required(table, "name", plainName),
    startTimeout: duration("start_timeout_ms", bounds.resourceTimeout, defaults.startTimeout),
    stopTimeout: duration("stop_timeout_ms", bounds.resourceTimeout, defaults.stopTimeout),
    monitorTimeout: duration("monitor_timeout_ms", bounds.resourceTimeout, defaults.monitorTimeout),
    monitorInterval: duration(
      "monitor_interval_ms",
      bounds.monitorInterval,
      kind === "ip" ? defaults.monitorIntervalIp : defaults.monitorInterval,
    ),
  }
}

function readKind(table: Table, kind: Kind, limits: Read<ResourceLimits>): ResourceConfig | undefined {
  switch (kind) {
    case "command":
      return whole<CommandResource>({ kind, ...limits, ...readCommand(table) })
    case "ocf":
      return whole<OcfResource>({
        kind,
        ...limits,
        agent: required(table, "agent", ocfAgent),
        parameters: variables(table, "parameters"),
      })
    case "systemd":
      return whole<SystemdResource>({ kind, ...limits, unit: required(table, "unit", systemdUnit) })
    case "ip":
      return readIp(table, limits)
  }
}

function readCommand(table: Table): Read<Omit<CommandResource, "kind" | keyof ResourceLimits>> {
  const command = (key: string) =>
    wholeList(
      list(table, key, (index) => (index === 0 ? programPath : argument), {
        min: 1,
        max: bounds.arguments,
        noun: "strings, the program and its arguments",
      }),
    )
  return {
    start: command("start"),
    stop: command("stop"),
    monitor: command("monitor"),
    environment: variables(table, "environment"),
  }
}

function variables(table: Table, key: string): Readonly<Record<string, string>> {
  return Object.fromEntries(entries(table, key, { key: variableName, value: argument }, bounds.variables))
}

function readIp(table: Table, limits: Read<ResourceLimits>): IpResource | undefined {
  const read = required(table, "address", floatingAddress)
  const device = optional(table, "device", deviceName, null)
  const fields = whole<ResourceLimits>(limits)
  if (read === undefined || device === undefined || fields === undefined) return undefined
  return { kind: "ip", ...fields, ...read, device: device ?? undefined }
}

/** `fields` if each of them could be read. */
function whole<T extends object>(fields: Read<T>): T | undefined {
  return isWhole(fields) ? fields : undefined
}

function isWhole<T extends object>(fields: Read<T>): fields is T & Read<T> {
  return Object.values(fields).every((value) => value !== undefined)
}

function wholeList<T>(elements: readonly (T | undefined)[] | undefined): readonly T[] | undefined {
  const read = elements?.flatMap((element) => (element === undefined ? [] : [element]))
  return read?.length === elements?.length ? read : undefined
}

function isKind(text: string): text is Kind {
  return Object.hasOwn(kinds, text)
}
