/** `quorumbeat config apply`: a changed configuration for the running cluster (SPEC LC). */
import { configChange } from "../../protocol/config-change.ts"
import { documentOfFile } from "../host/configuration-document.ts"
import { commandAgent, fetchConfiguration } from "./agent-client.ts"
import { CommandFailure, exitStatus, print } from "./command.ts"
import { readConfiguration } from "./configuration.ts"

/** Shows the difference and, with `yes`, orders it; resolves when it is active, or with why not. */
export async function applyConfiguration(
  file: string,
  runtimeDirectory: string,
  yes: boolean,
): Promise<number> {
  const next = readConfiguration(file)
  const active = await fetchConfiguration(runtimeDirectory)
  const { lines, refusals, added } = configChange(active, next)
  print(`cluster ${active.name}: version ${active.version} -> ${next.version}`)
  for (const line of lines) print(line)
  if (refusals.length > 0) throw new CommandFailure(exitStatus.failed, refusals.join("\n"))
  if (!yes) {
    print("nothing is changed; --yes orders it")
    return exitStatus.done
  }
  const status = await commandAgent(runtimeDirectory, {
    kind: "configure",
    document: documentOfFile(file),
  })
  if (status === exitStatus.done && added !== undefined)
    print(`now copy ${file} to ${added.name} as its cluster.toml and start its agent`)
  return status
}
