/**
 * What this machine lacks to run the configured resources: programs that are not there, OCF agents that do not know their
 * parameters or advise longer limits, units that systemd does not know or would start by itself.
 */
import { execFile } from "node:child_process"
import { accessSync, constants } from "node:fs"
import { never } from "../../../../protocol/assert.ts"
import type {
  CommandResource,
  IpResource,
  OcfResource,
  ResourceConfig,
} from "../../../../protocol/cluster.ts"
import { interfaceNames, interfaceOfNetwork } from "../../interface.ts"
import { problemsOf, readOcfMetadata } from "./ocf-metadata.ts"
import { systemctl } from "./systemd.ts"

/** In words for the operator; none: nothing is missing. */
export async function problemsHere(config: ResourceConfig): Promise<readonly string[]> {
  switch (config.kind) {
    case "command":
      return commandProblems(config)
    case "ocf":
      return ocfProblems(config)
    case "systemd":
      return unitProblems(config.unit)
    case "ip":
      return ipProblems(config)
    default:
      return never(config)
  }
}

function commandProblems({ start, stop, monitor }: CommandResource): readonly string[] {
  const programs = new Set([start[0], stop[0], monitor[0]])
  return [...programs].flatMap((program = "") => (canRun(program) ? [] : [`${program} cannot be run`]))
}

async function ocfProblems(config: OcfResource): Promise<readonly string[]> {
  const result = await readOcfMetadata(config.agent)
  if (result.kind === "failed") return [`${config.agent}: ${result.reason}`]
  const limits = [
    ["start", config.startTimeout],
    ["stop", config.stopTimeout],
    ["monitor", config.monitorTimeout],
  ] as const
  const short = limits.flatMap(([action, limit]) => {
    const advised = result.metadata.timeouts.get(action) ?? 0
    return limit < advised ? [`${action}_timeout_ms is ${limit}, ${config.agent} advises ${advised}`] : []
  })
  return [...problemsOf(config, result.metadata), ...short]
}

async function unitProblems(unit: string): Promise<readonly string[]> {
  if (!canRun(systemctl)) return [`${systemctl} cannot be run`]
  const state = await unitFileState(unit)
  if (state === "enabled")
    return [`${unit} is enabled: systemd would start it at boot, whoever has the right`]
  if (state === "") return [`${unit}: systemd has no such unit, or does not run here`]
  return []
}

function unitFileState(unit: string): Promise<string> {
  return new Promise((resolve) => {
    const parameters = ["show", "--property=UnitFileState", "--value", "--", unit]
    execFile(systemctl, parameters, { timeout: 10_000 }, (cause, printed) => {
      resolve(cause === null ? printed.trim() : "")
    })
  })
}

const nft = "/usr/sbin/nft"

function ipProblems({ device, address, prefix }: IpResource): readonly string[] {
  const isUnknown = device !== undefined && !interfaceNames().includes(device)
  const isNowhere = device === undefined && interfaceOfNetwork({ address, prefix }) === undefined
  return [
    ...(canRun(nft) ? [] : [`${nft} cannot be run: there is no gate here`]),
    ...(isUnknown ? [`there is no interface ${device}`] : []),
    ...(isNowhere ? [`no running interface has an address of the network of ${address}/${prefix}`] : []),
  ]
}

function canRun(program: string): boolean {
  try {
    accessSync(program, constants.X_OK)
    return true
  } catch {
    return false
  }
}
