/** Talks to the agent on this machine through its local API. */
import type { ClusterConfig } from "../../protocol/cluster.ts"
import type { CommandResult } from "../core/effects.ts"
import type { OperatorCommand } from "../core/events.ts"
import { apiSocketPath, type StatusAnswer } from "../host/control/local-api.ts"
import { http } from "../host/control/node-http.ts"
import { CommandFailure, exitStatus, print } from "./command.ts"

/** A little more than the agent itself waits for its core. */
const patience = 25_000

export async function fetchStatus(runtimeDirectory: string): Promise<StatusAnswer> {
  const { status, body } = await ask(runtimeDirectory, "GET", "/v1/status", "")
  if (status !== 200) throw new CommandFailure(exitStatus.unreachable, errorOf(body))
  return JSON.parse(body)
}

/** The configuration in use. */
export async function fetchConfiguration(runtimeDirectory: string): Promise<ClusterConfig> {
  const { status, body } = await ask(runtimeDirectory, "GET", "/v1/configuration", "")
  if (status !== 200) throw new CommandFailure(exitStatus.unreachable, errorOf(body))
  return JSON.parse(body)
}

/** Prints the core's answer; 0: done, 1: refused or not answered. */
export async function commandAgent(runtimeDirectory: string, command: OperatorCommand): Promise<number> {
  return outcome(await ask(runtimeDirectory, "POST", "/v1/commands", JSON.stringify(command)))
}

/** Prints where the agent's record now is. */
export async function keepRecord(runtimeDirectory: string): Promise<number> {
  return outcome(await ask(runtimeDirectory, "POST", "/v1/blackbox", ""))
}

function outcome({ status, body }: Answer): number {
  if (status !== 200) throw new CommandFailure(exitStatus.failed, errorOf(body))
  const result: CommandResult = JSON.parse(body)
  if (result.kind === "refused") {
    throw new CommandFailure(exitStatus.failed, `refused (${result.reason}): ${result.message}`)
  }
  print(result.message)
  return exitStatus.done
}

interface Answer {
  readonly status: number
  readonly body: string
}

function ask(runtimeDirectory: string, method: string, path: string, body: string): Promise<Answer> {
  const socketPath = apiSocketPath(runtimeDirectory)
  return new Promise((resolve, reject) => {
    const fail = (reason: string): void => {
      reject(
        new CommandFailure(
          exitStatus.unreachable,
          `${socketPath}: no agent answers (${reason}); is it running?`,
        ),
      )
    }
    const asking = http.request({ socketPath, path, method, timeout: patience }, (response) => {
      let text = ""
      response.setEncoding("utf8")
      response.on("data", (part: string) => {
        text += part
      })
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }))
    })
    asking.on("timeout", () => asking.destroy(new Error("timeout")))
    asking.on("error", (cause) => fail("code" in cause ? String(cause.code) : cause.message))
    asking.end(body)
  })
}

function errorOf(body: string): string {
  try {
    const value: unknown = JSON.parse(body)
    if (typeof value === "object" && value !== null && "error" in value) return String(value.error)
  } catch {
    // Not the agent's JSON: shown as it is.
  }
  return body.trim()
}
