/**
 * The witness on one's own machine: the pinned workerd binary, a generated configuration and the same bundle that is
 * deployed to Cloudflare. It is as available as this machine and no third place by itself: put it on a machine of a
 * third site, or know that it shares the fate of the site it is in.
 *
 * workerd takes no lock on its state, and two of them on one directory would be two witnesses: the lock is ours.
 */
import { spawn } from "node:child_process"
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { err, ok, type Result } from "../../protocol/result.ts"
import { lockFileName, takeLock } from "./lock-file.ts"

export interface EmbeddedWitness {
  /** `host:port`. */
  readonly listen: string
  readonly stateDirectory: string
  /** Secrets and settings, by the names the Worker reads. */
  readonly bindings: Readonly<Record<string, string>>
}

/** As in wrangler.toml. The key of the object's storage is made of the first two, so state folders can be moved. */
export const workerName = "quorumbeat-witness"
export const objectClass = "ClusterWitness"
export const compatibilityDate = "2026-10-01"

/** Runs until workerd ends; resolves with its exit status. An error says why it did not start. */
export async function runEmbeddedWitness(witness: EmbeddedWitness): Promise<Result<number, string>> {
  const workerd = findWorkerd()
  const bundle = findBundle()
  if (workerd === undefined)
    return err("workerd is not installed; install the npm package with its dependencies")
  if (bundle === undefined) return err("witness.js is not beside this program; run `npm run build`")
  mkdirSync(join(witness.stateDirectory, "objects"), { recursive: true, mode: 0o700 })
  const lock = takeLock(join(witness.stateDirectory, lockFileName), 0)
  if (lock.kind === "failed") return err(`${witness.stateDirectory}: ${lock.reason}`)
  if (lock.kind === "held") return err(`${witness.stateDirectory}: a witness (pid ${lock.holder}) uses it`)
  copyFileSync(bundle, join(witness.stateDirectory, "witness.js"))
  const configuration = join(witness.stateDirectory, "workerd.capnp")
  writeFileSync(configuration, workerdConfiguration(witness), { mode: 0o600 })
  return new Promise((resolve) => {
    const child = spawn(workerd, ["serve", configuration], {
      stdio: ["ignore", "inherit", "inherit", lock.descriptor],
    })
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal))
    child.on("error", (cause) => resolve(err(`workerd cannot be run: ${cause.message}`)))
    child.on("exit", (status, signal) => resolve(ok(signal === null ? (status ?? 1) : 0)))
  })
}

export function workerdConfiguration({ listen, bindings, stateDirectory }: EmbeddedWitness): string {
  const settings = Object.entries(bindings).map(
    ([name, text]) => `    (name = ${quote(name)}, text = ${quote(text)}),`,
  )
  // What a receiver's name resolves to is seen here only; the Worker's own check sees the name.
  const reach = bindings.ALLOW_PRIVATE_RECEIVERS === "1" ? '"private", "public"' : '"public"'
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "witness", worker = .witness),
    (name = "disk", disk = (path = ${quote(join(stateDirectory, "objects"))}, writable = true)),
    (name = "out", network = (allow = [${reach}], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [(name = "http", address = ${quote(listen)}, http = (), service = "witness")],
);
const witness :Workerd.Worker = (
  modules = [(name = "witness.js", esModule = embed "witness.js")],
  compatibilityDate = ${quote(compatibilityDate)},
  globalOutbound = "out",
  durableObjectNamespaces = [
    (className = ${quote(objectClass)}, uniqueKey = ${quote(`${workerName}-${objectClass}`)}, enableSql = true),
  ],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [
    (name = "CLUSTER", durableObjectNamespace = ${quote(objectClass)}),
${settings.join("\n")}
  ],
);
`
}

/** Cap'n Proto's text strings escape as JSON's do. */
function quote(text: string): string {
  return JSON.stringify(text)
}

function findWorkerd(): string | undefined {
  try {
    const workerd: { readonly default?: string } = createRequire(import.meta.url)("workerd")
    return workerd.default
  } catch {
    // The package, or its binary for this machine, is not there.
    return undefined
  }
}

/** Beside the bundled program, or where the build puts it when this runs from source. */
function findBundle(): string | undefined {
  const places = [join(import.meta.dirname, "witness.js"), join(import.meta.dirname, "../../dist/witness.js")]
  return places.find((path) => existsSync(path))
}
