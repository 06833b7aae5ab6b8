/** The embedded witness as a process: `quorumbeat witness`, with workerd below it. */
import { join } from "node:path"
import { Child } from "./child.ts"
import type { ClusterLayout } from "./layout.ts"
import { waitFor } from "./waiting.ts"

const startLimit = 15_000

export class Witness {
  /** `--receiver-key`, from the next start on. */
  receiverKeyFiles: readonly string[] = []
  readonly #layout: ClusterLayout
  readonly #program: string
  #child: Child | undefined

  constructor(layout: ClusterLayout, program: string) {
    this.#layout = layout
    this.#program = program
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Resolves once it answers. */
  async start(): Promise<void> {
    const { witnessPort, witnessDirectory, witnessKeyFile, credentialFile, directory, witnessUrl } =
      this.#layout
    const child = new Child({
      name: "witness",
      program: [
        ...[process.execPath, this.#program, "witness", "--listen", `127.0.0.1:${witnessPort}`],
        ...["--state-dir", witnessDirectory, "--key", witnessKeyFile, "--credential-file", credentialFile],
        ...["--allow-private-receivers", "--posts-per-second", "100000"],
        ...this.receiverKeyFiles.flatMap((file) => ["--receiver-key", file]),
      ],
      logFile: join(directory, "witness.log"),
    })
    this.#child = child
    await waitFor(
      { what: "the witness answers", limit: startLimit, instead: () => child.lastWords() },
      async () => {
        if (!child.isRunning) throw new Error(`witness: ended: ${child.lastWords()}`)
        return (await isHealthy(witnessUrl)) || undefined
      },
    )
  }

  /** kill -9 of it and of workerd. */
  async kill(): Promise<void> {
    await this.#child?.kill()
  }
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/v1/health`, { signal: AbortSignal.timeout(1_000) })).ok
  } catch {
    // Not there yet.
    return false
  }
}
