/**
 * A module with some rule of the program taken out: bundled from source with patches, and imported. Shows that a
 * check can see what the rule is for. A patch that no longer fits the source fails.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import * as esbuild from "esbuild"
import type { Patch } from "../../node-agent/build.ts"

const root = resolve(import.meta.dirname, "../..")

/** What `file` (a path from the root) exports, with `patches` applied to whatever it imports. */
export async function importPatched(file: string, patches: readonly Patch[]): Promise<unknown> {
  const folder = mkdtempSync(join(tmpdir(), "quorumbeat-patched-"))
  try {
    const outfile = join(folder, "patched.mjs")
    await esbuild.build({
      entryPoints: [join(root, file)],
      outfile,
      bundle: true,
      format: "esm",
      platform: "node",
      logLevel: "silent",
      plugins: [patcher(patches)],
      banner: {
        js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
      },
    })
    const module: unknown = await import(/* @vite-ignore */ pathToFileURL(outfile).href)
    return module
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function patcher(patches: readonly Patch[]): esbuild.Plugin {
  const byPath = Map.groupBy(patches, (patch) => resolve(root, patch.file))
  return {
    name: "patched",
    setup: (build) => {
      build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const found = byPath.get(path)
        if (found === undefined) return undefined
        const contents = found.reduce(applied, readFileSync(path, "utf8"))
        return { contents, loader: "ts" }
      })
    },
  }
}

function applied(source: string, { file, find, replace }: Patch): string {
  const parts = source.split(find)
  if (parts.length !== 2)
    throw new Error(`patch of ${file}: found ${parts.length - 1} times, not once: ${find}`)
  return parts.join(replace)
}
