/**
 * What an OCF agent says of itself (`meta-data`): its parameters and how long its actions take. Names and forms that are
 * wrong are found before anything has to start.
 */
import { execFile } from "node:child_process"
import { accessSync, constants } from "node:fs"
import { SaxesParser, type SaxesTagPlain } from "saxes"
import type { OcfResource } from "../../../../protocol/cluster.ts"
import { type Millis, millis } from "../../../../protocol/units.ts"

export const ocfRoot = "/usr/lib/ocf"

/** `ocf:heartbeat:IPaddr2` -> the agent's path. */
export function ocfProgram(agent: string): string {
  const [, provider, type] = agent.split(":")
  return `${ocfRoot}/resource.d/${provider}/${type}`
}

export interface OcfMetadata {
  readonly parameters: ReadonlyMap<string, OcfParameter>
  /** By action: the least time limit that the agent advises. */
  readonly timeouts: ReadonlyMap<string, Millis>
}

export interface OcfParameter {
  readonly isRequired: boolean
  /** As the agent says: string, integer, boolean, second, ... */
  readonly type: string
}

/** The advised limit of `meta-data` itself is 5 s in nearly all agents. */
const metadataTimeout = 20_000
const metadataBytesMax = 1 << 20

/** What is wrong with a resource's agent or parameters, in words for the operator; none: nothing. */
export async function checkOcfParameters(config: OcfResource): Promise<readonly string[]> {
  const metadata = await readOcfMetadata(config.agent)
  if (metadata.kind === "failed") return [`${config.agent}: ${metadata.reason}`]
  return problemsOf(config, metadata.metadata)
}

export type OcfMetadataResult =
  | { readonly kind: "read"; readonly metadata: OcfMetadata }
  | { readonly kind: "failed"; readonly reason: string }

/** Runs the agent's `meta-data`, which by the standard changes nothing. */
export function readOcfMetadata(agent: string): Promise<OcfMetadataResult> {
  const program = ocfProgram(agent)
  try {
    accessSync(program, constants.X_OK)
  } catch {
    return Promise.resolve({ kind: "failed", reason: `${program} is not there or cannot be run` })
  }
  const options = {
    timeout: metadataTimeout,
    maxBuffer: metadataBytesMax,
    env: { ...process.env, OCF_ROOT: ocfRoot },
  }
  return new Promise((resolve) => {
    execFile(program, ["meta-data"], options, (cause, printed) => {
      if (cause !== null) resolve({ kind: "failed", reason: `meta-data: ${cause.message.trim()}` })
      else resolve(parseOcfMetadata(printed))
    })
  })
}

export function parseOcfMetadata(xml: string): OcfMetadataResult {
  const parameters = new Map<string, OcfParameter>()
  const timeouts = new Map<string, Millis>()
  let failure: string | undefined
  let parameter: SaxesTagPlain | undefined
  const parser = new SaxesParser()
  parser.on("error", (cause) => {
    failure ??= cause.message
  })
  parser.on("opentag", (tag) => {
    const { name } = tag.attributes
    if (tag.name === "parameter") parameter = tag
    if (tag.name === "content" && parameter?.attributes.name !== undefined)
      parameters.set(parameter.attributes.name, {
        isRequired: parameter.attributes.required === "1",
        type: tag.attributes.type ?? "string",
      })
    if (tag.name === "action" && name !== undefined && !timeouts.has(name))
      timeouts.set(name, durationOf(tag.attributes.timeout ?? ""))
  })
  parser.write(xml).close()
  if (failure !== undefined) return { kind: "failed", reason: `meta-data: ${failure}` }
  if (timeouts.size === 0) return { kind: "failed", reason: "meta-data: names no actions" }
  return { kind: "read", metadata: { parameters, timeouts } }
}

/** Unknown names, required ones that are missing, and values of the wrong form. */
export function problemsOf({ agent, parameters }: OcfResource, metadata: OcfMetadata): readonly string[] {
  const unknown = Object.keys(parameters)
    .filter((name) => !metadata.parameters.has(name))
    .map(
      (name) =>
        `${agent}: no parameter ${name}; there are ${[...metadata.parameters.keys()].sort().join(", ")}`,
    )
  const missing = [...metadata.parameters]
    .filter(([name, { isRequired }]) => isRequired && parameters[name] === undefined)
    .map(([name]) => `${agent}: parameter ${name} is required`)
  const malformed = Object.entries(parameters).flatMap(([name, value]) => {
    const expected = expectedForm(metadata.parameters.get(name)?.type ?? "", value)
    return expected === undefined ? [] : [`${agent}: parameter ${name} is "${value}", expected ${expected}`]
  })
  return [...unknown, ...missing, ...malformed]
}

const booleans = ["true", "false", "yes", "no", "on", "off", "1", "0"]

/** `undefined`: it has the form of its type. Types beyond these two take any text. */
function expectedForm(type: string, value: string): string | undefined {
  if (type === "integer" && !/^-?\d+$/.test(value)) return "a whole number"
  if (type === "boolean" && !booleans.includes(value.toLowerCase())) return "true or false"
  return undefined
}

/** `20s`, `20`, `500ms`, `1m`; 0 if it says nothing. */
function durationOf(text: string): Millis {
  const [, amount = "0", unit = "s"] = /^(\d+)(ms|s|m)?$/.exec(text) ?? []
  const factor = unit === "ms" ? 1 : unit === "m" ? 60_000 : 1_000
  return millis(Number(amount) * factor)
}
