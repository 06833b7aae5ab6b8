/** The temporary folder of a run, with the programs built into it, and the promise that nothing is left running. */
import { mkdtempSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { type Bundle, build, type Patch } from "../../../node-agent/build.ts"
import { endAll } from "./child.ts"

export interface Workplace {
  readonly directory: string
  readonly program: string
  readonly bundles: readonly Bundle[]
}

const root = resolve(import.meta.dirname, "../../..")

/** Builds agent and witness there. `purpose` is part of the folder's name. */
export async function createWorkplace(purpose: string, patches: readonly Patch[] = []): Promise<Workplace> {
  const directory = mkdtempSync(join(tmpdir(), `quorumbeat-${purpose}-`))
  const bin = join(directory, "bin")
  const bundles = await build({ outdir: bin, patches })
  // workerd is not part of the bundle: it is looked for from where the program is.
  symlinkSync(join(root, "node_modules"), join(directory, "node_modules"))
  return { directory, program: join(bin, "quorumbeat.js"), bundles }
}

export function removeWorkplace({ directory }: Workplace): void {
  rmSync(directory, { recursive: true, force: true })
}

/** However this process ends, what it has started ends with it; only its own kill -9 cannot be helped. */
export function endEverythingAtExit(): void {
  process.on("exit", endAll)
  for (const [signal, number] of [
    ["SIGINT", 2],
    ["SIGTERM", 15],
    ["SIGHUP", 1],
  ] as const) {
    process.on(signal, () => process.exit(128 + number))
  }
}
