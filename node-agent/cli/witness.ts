/** `quorumbeat witness`: run one here, tell one about a cluster, believe a new one. */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { runEmbeddedWitness } from "../host/embedded-witness.ts"
import { readNodeKey, readSecret } from "../host/key-file.ts"
import { callWitness, type WitnessApi } from "../host/witness-api.ts"
import { registerCluster } from "../host/witness-registration.ts"
import { commandAgent } from "./agent-client.ts"
import { type Command, CommandFailure, exitStatus, parseOptions, print, usageFailure } from "./command.ts"
import { readConfiguration } from "./configuration.ts"
import { defaultPaths } from "./paths.ts"

const help = `Usage: quorumbeat witness --state-dir DIR --key FILE --credential-file FILE [options]
       quorumbeat witness register --credential-file FILE [options]
       quorumbeat witness accept [--runtime-dir DIR]

(no word)  runs the witness on this machine instead of on Cloudflare. It belongs on a machine that shares neither power
           nor network with the sites.
  --listen HOST:PORT         where nodes reach it (127.0.0.1:8787); HTTPS is a proxy's business
  --state-dir DIR            its storage, for it alone
  --key FILE                 its Ed25519 key (\`quorumbeat keygen --witness\`)
  --credential-file FILE     the operator's credential (\`quorumbeat keygen --credential\`)
  --receiver-key FILE        seals receivers' secrets (\`quorumbeat keygen --receivers\`); the newest first, may be given
                             again; without it a key is made of the witness's own
  --allow-private-receivers  let alerts go to private addresses
  --posts-per-second N       how many posts a second one cluster may make (40)

register   tells the witness of a cluster, or of its changed configuration
  --config FILE              cluster configuration (${defaultPaths.config})
  --url URL                  the witness, if not as configured
  --credential-file FILE     the operator's credential
  --alerts FILE              also replaces the alert rules (as: quorumbeat alerts apply FILE)

accept     believes the witness object that is seen now, although another one was known: after the witness was restored
           or set up anew, and after making sure that the former one is gone
  --runtime-dir DIR          the agent's runtime directory (${defaultPaths.runtime})

Exit status: 0 done; 1 failed; 2 wrong use; 3 no agent.`

export const witness: Command = {
  summary: "run a witness here, register a cluster with one, accept a new one",
  help,
  async run(parameters) {
    const [word, ...rest] = parameters
    if (word === "register") return register(rest)
    if (word === "accept") return accept(rest)
    return serve(parameters)
  },
}

async function serve(parameters: readonly string[]): Promise<number> {
  const { values } = parseOptions(parameters, {
    listen: { type: "string", default: "127.0.0.1:8787" },
    "state-dir": { type: "string" },
    key: { type: "string" },
    "credential-file": { type: "string" },
    "receiver-key": { type: "string", multiple: true, default: [] as string[] },
    "allow-private-receivers": { type: "boolean", default: false },
    "posts-per-second": { type: "string" },
  })
  const stateDirectory = required("--state-dir", values["state-dir"])
  const keyFile = required("--key", values.key)
  const credential = readOneSecret(required("--credential-file", values["credential-file"]))
  const key = readNodeKey(keyFile)
  if (key.kind === "error") throw usageFailure(key.error)
  const receiverKeys = values["receiver-key"].map(readOneSecret).join(" ")
  const result = await runEmbeddedWitness({
    listen: values.listen,
    stateDirectory,
    bindings: {
      WITNESS_KEY: JSON.stringify(key.value.privateKey.export({ format: "jwk" })),
      OPERATOR_CREDENTIAL_SHA256: createHash("sha256").update(credential).digest("hex"),
      ...(receiverKeys === "" ? {} : { RECEIVER_KEY: receiverKeys }),
      ...(values["allow-private-receivers"] ? { ALLOW_PRIVATE_RECEIVERS: "1" } : {}),
      ...(values["posts-per-second"] === undefined ? {} : { POSTS_PER_SECOND: values["posts-per-second"] }),
    },
  })
  if (result.kind === "error") throw new CommandFailure(exitStatus.failed, result.error)
  return result.value
}

async function register(parameters: readonly string[]): Promise<number> {
  const { values } = parseOptions(parameters, {
    config: { type: "string", default: defaultPaths.config },
    url: { type: "string" },
    "credential-file": { type: "string" },
    alerts: { type: "string" },
  })
  const config = readConfiguration(values.config)
  const credential = readOneSecret(required("--credential-file", values["credential-file"]))
  const rules = values.alerts === undefined ? undefined : readText(values.alerts)
  const result = await registerCluster({ config, url: values.url, credential })
  if (result.kind === "error") throw new CommandFailure(exitStatus.failed, result.error)
  const url = values.url ?? config.witness?.url ?? ""
  if (rules !== undefined) await applyRules({ url, cluster: config.name, credential }, rules)
  print(result.value)
  return exitStatus.done
}

async function applyRules(api: WitnessApi, text: string): Promise<void> {
  const applied = await callWitness(api, {
    method: "PUT",
    path: "/alerts/rules",
    body: { type: "toml", text },
  })
  if (applied.kind === "error") {
    throw new CommandFailure(exitStatus.failed, `registered, but not its alert rules: ${applied.error}`)
  }
}

function accept(parameters: readonly string[]): Promise<number> {
  const { values } = parseOptions(parameters, {
    "runtime-dir": { type: "string", default: defaultPaths.runtime },
  })
  return commandAgent(values["runtime-dir"], { kind: "witness-accept" })
}

function required(option: string, value: string | undefined): string {
  if (value === undefined) throw usageFailure(`${option} is missing; see --help`)
  return value
}

function readOneSecret(path: string): string {
  const text = readSecret(path)
  if (text.kind === "error") throw usageFailure(text.error)
  return text.value.trim()
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8")
  } catch (cause) {
    throw usageFailure(`${path}: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}
