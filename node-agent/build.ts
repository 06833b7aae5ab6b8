// Builds what is installed: the agent as one file for Node, behind an entry that an older Node can read, and the witness as one
// file for workerd, both with their packages bundled in. Run directly, it builds to dist/ and prints the sizes.
//
// A build can be given patches that replace pieces of source text. The demo uses that to take one safety rule
// out and show what the rule is for. A patch that no longer matches the source fails the build, so a demo can
// never silently show the unpatched program.

import { chmod, readFile } from "node:fs/promises"
import { builtinModules } from "node:module"
import { isAbsolute, join, relative, resolve } from "node:path"
import { gzipSync } from "node:zlib"
import * as esbuild from "esbuild"

/** Replaces `find` in `file` (a path from the repository root) by `replace`. `find` must occur exactly once. */
export interface Patch {
  readonly file: string
  readonly find: string
  readonly replace: string
}

export interface BuildOptions {
  /** Where the bundles go; relative to the repository root, or absolute. */
  readonly outdir: string
  readonly patches?: readonly Patch[]
}

/** One written bundle: its absolute path and its length in bytes, as it is and compressed. */
export interface Bundle {
  readonly path: string
  readonly bytes: number
  readonly gzipBytes: number
}

/**
 * Writes `quorumbeat.js`, what it loads (`agent.js`, `simulation.js`) and `witness.js` into `outdir`. Throws, naming the cause,
 * when one of them cannot be built.
 */
export async function build(options: BuildOptions): Promise<readonly Bundle[]> {
  const outdir = isAbsolute(options.outdir) ? options.outdir : join(root, options.outdir)
  const patcher = new Patcher(options.patches ?? [])
  const entry = await bundle(patcher, {
    entryPoints: [join(root, "node-agent/entry.js")],
    outfile: join(outdir, "quorumbeat.js"),
    platform: "node",
    target: "node18",
    external: ["./agent.js"],
  })
  await chmod(entry.path, 0o755)
  const agent = await bundle(patcher, {
    entryPoints: [join(root, "node-agent/main.ts")],
    outfile: join(outdir, "agent.js"),
    platform: "node",
    target: "node24",
    // What is native stays an installed package: workerd, a program, and koffi, which brings a library for each platform.
    external: ["workerd", "koffi"],
    banner: { js: agentBanner },
    plugins: [simulationApart],
  })
  const simulation = await bundle(patcher, {
    entryPoints: [join(root, "node-agent/simulation/what-if.ts")],
    outfile: join(outdir, "simulation.js"),
    platform: "node",
    target: "node24",
  })
  const witness = await bundle(patcher, {
    entryPoints: [join(root, "worker/index.ts")],
    outfile: join(outdir, "witness.js"),
    platform: "neutral",
    target: "es2024",
    mainFields: ["module", "main"],
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*", ...builtinModules],
    minify: true,
  })
  patcher.assertAllUsed()
  return [entry, agent, simulation, witness]
}

/** The simulation is a file of its own, which `quorumbeat simulate` loads: the agent does not carry it. */
const simulationApart: esbuild.Plugin = {
  name: "simulation-apart",
  setup: (pluginBuild) => {
    pluginBuild.onResolve({ filter: /\/simulation\/what-if\.ts$/ }, ({ kind }) =>
      kind === "dynamic-import" ? { path: "./simulation.js", external: true } : undefined,
    )
  },
}

const root = resolve(import.meta.dirname, "..")

// CommonJS packages in an ES module still call `require` for Node's own modules.
const agentBanner = [
  'import { createRequire as createRequireForBundle } from "node:module";',
  "const require = createRequireForBundle(import.meta.url);",
].join("\n")

async function bundle(
  patcher: Patcher,
  options: esbuild.BuildOptions & { readonly outfile: string },
): Promise<Bundle> {
  await esbuild.build({
    absWorkingDir: root,
    bundle: true,
    format: "esm",
    charset: "utf8",
    legalComments: "none",
    logLevel: "silent",
    ...options,
    plugins: [patcher.plugin, ...(options.plugins ?? [])],
  })
  const content = await readFile(options.outfile)
  return { path: options.outfile, bytes: content.length, gzipBytes: gzipSync(content, { level: 9 }).length }
}

/** Applies patches while esbuild loads the named sources, and remembers which were applied. */
class Patcher {
  readonly plugin: esbuild.Plugin
  readonly #patchesByPath: ReadonlyMap<string, readonly Patch[]>
  readonly #used = new Set<Patch>()

  constructor(patches: readonly Patch[]) {
    this.#patchesByPath = Map.groupBy(patches, (patch) => resolve(root, patch.file))
    this.plugin = {
      name: "patch",
      setup: (pluginBuild) => {
        if (patches.length === 0) return
        pluginBuild.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
          const patchesOfFile = this.#patchesByPath.get(path)
          if (patchesOfFile === undefined) return undefined
          const source = await readFile(path, "utf8")
          return { contents: this.#apply(patchesOfFile, source), loader: "ts" }
        })
      },
    }
  }

  /** Throws when a patch names a file that no bundle contains. */
  assertAllUsed(): void {
    for (const patch of [...this.#patchesByPath.values()].flat()) {
      if (!this.#used.has(patch)) throw new Error(`patch of ${patch.file}: no bundle contains this file`)
    }
  }

  #apply(patches: readonly Patch[], source: string): string {
    let patched = source
    for (const patch of patches) {
      const parts = patched.split(patch.find)
      if (patch.find === "" || parts.length !== 2) {
        const count = patch.find === "" ? "is empty" : `occurs ${parts.length - 1} times`
        throw new Error(`patch of ${patch.file}: the text to find ${count}, not once: ${patch.find}`)
      }
      patched = parts.join(patch.replace)
      this.#used.add(patch)
    }
    return patched
  }
}

async function main(): Promise<void> {
  const kib = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KiB`.padStart(12)
  for (const { path, bytes, gzipBytes } of await build({ outdir: "dist" })) {
    console.log(`${relative(root, path).padEnd(20)}${kib(bytes)}  gzip${kib(gzipBytes)}`)
  }
}

if (import.meta.main) {
  try {
    await main()
  } catch (error) {
    console.error(`build failed: ${error instanceof Error ? error.message : String(error)}`)
    process.exitCode = 1
  }
}
