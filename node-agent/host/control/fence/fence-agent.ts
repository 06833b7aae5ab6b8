/**
 * One run of an agent of Debian's `fence-agents`, through their common interface (FenceAgentAPI): options as `name=value` lines
 * on standard input, so that no secret is ever on a command line; the answer is the exit status. What it prints is
 * shown with secrets blotted out.
 */
import { spawn } from "node:child_process"
import type { FenceDevice } from "../../../../protocol/cluster.ts"
import { err, ok, type Result } from "../../../../protocol/result.ts"
import { readSecret } from "../../key-file.ts"
import { endGroup } from "../processes.ts"

export type FenceAction = "on" | "off" | "status" | "monitor"

export const fenceProgram = (agent: string): string => `/usr/sbin/${agent}`

/** FenceAgentAPI: `status` of a plug that is off. */
const offStatus = 2
/** Enough of what an agent prints to say why, and what of it is kept to look for secrets in. */
const shownMax = 2_000
const printedMax = 16_000

/** `plug`: of the node, where the device has several. The error says why, for the operator. */
export async function runFenceAgent(
  device: FenceDevice,
  action: FenceAction,
  plug: string | undefined,
): Promise<Result<undefined, string>> {
  const secrets = readSecrets(device)
  if (secrets.kind === "error") return secrets
  const options = { ...device.parameters, ...(plug === undefined ? {} : { plug }), ...secrets.value, action }
  const { status, printed } = await run(device, options)
  const expected = action === "status" ? offStatus : 0
  if (status === expected) return ok(undefined)
  const blotted = shown(printed, Object.values(secrets.value))
  return err(`${device.agent} ${action}: ${describe(action, status)}${blotted === "" ? "" : `: ${blotted}`}`)
}

interface Ended {
  /** `undefined`: it was ended by its time limit, or could not be run. */
  readonly status: number | undefined
  readonly printed: string
}

function run(device: FenceDevice, options: Readonly<Record<string, string>>): Promise<Ended> {
  const child = spawn(fenceProgram(device.agent), [], { detached: true, stdio: ["pipe", "pipe", "pipe"] })
  let printed = ""
  const note = (chunk: Buffer): void => {
    printed = (printed + chunk.toString("utf8")).slice(0, printedMax)
  }
  child.stdout.on("data", note)
  child.stderr.on("data", note)
  // An agent that ends before it has read its options: its exit status says the rest.
  child.stdin.on("error", () => undefined)
  child.stdin.end(
    Object.entries(options)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(""),
  )
  return new Promise((resolve) => {
    const conclude = (status: number | undefined, text: string): void => {
      clearTimeout(timer)
      resolve({ status, printed: text })
    }
    const timer = setTimeout(() => {
      if (child.pid !== undefined) void endGroup(child.pid)
      conclude(undefined, `no answer within ${device.timeout} ms`)
    }, device.timeout)
    child.on("error", (cause) => conclude(undefined, cause.message))
    child.on("close", (status) => conclude(status ?? undefined, printed))
  })
}

/** Without secrets, the longest first: one may be part of another. What was cut off may have cut one in two. */
export function shown(printed: string, secrets: readonly string[]): string {
  const longest = secrets.map((secret) => secret.trim()).sort((a, b) => b.length - a.length)
  const whole =
    printed.length < printedMax ? printed : printed.slice(0, printedMax - (longest[0]?.length ?? 0))
  const blotted = longest.reduce((text, secret) => text.replaceAll(secret, "***"), whole)
  const oneLine = blotted.trim().replace(/\s*\n\s*/g, "; ")
  return oneLine.slice(0, shownMax)
}

function describe(action: FenceAction, status: number | undefined): string {
  if (status === undefined) return "not done"
  return action === "status" && status === 0 ? "still on" : `exit status ${status}`
}

/** `name=value` lines; empty ones and those that begin with # are skipped. */
export function readSecrets({ secretsFile }: FenceDevice): Result<Readonly<Record<string, string>>, string> {
  if (secretsFile === undefined) return ok({})
  const text = readSecret(secretsFile)
  if (text.kind === "error") return text
  const secrets: Record<string, string> = {}
  for (const [index, line] of text.value.split("\n").entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue
    const [, name, value] = /^([a-z_]+)\s*=\s*(.+)$/.exec(line) ?? []
    if (name === undefined || value === undefined)
      return err(`${secretsFile}:${index + 1}: expected a line name=value`)
    secrets[name] = value
  }
  return ok(secrets)
}
