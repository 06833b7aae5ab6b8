/** `quorumbeat init`: makes what a node of a new cluster needs, one step at a time, and says what is left to do. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { hostname } from "node:os"
import { dirname, join } from "node:path"
import { epoch, incarnation } from "../../protocol/units.ts"
import type { DurableState } from "../core/durable.ts"
import { createNodeKey, createRingKey, readNodeKey } from "../host/key-file.ts"
import { replaceState, stateFileName } from "../host/state-file.ts"
import { type Command, CommandFailure, exitStatus, parseOptions, print, usageFailure } from "./command.ts"
import { findSelf, readConfiguration } from "./configuration.ts"
import { exampleConfig } from "./example-config.ts"
import { defaultPaths } from "./paths.ts"

const help = `Usage: quorumbeat init [options]

Prepares this machine as a node of a NEW cluster. Makes what is missing and touches nothing that is there:

  1. this node's key; its public key goes into cluster.toml
  2. a ring key, on the first node only (--new-ring-key): copy it to the others
  3. an example cluster.toml, if there is none: edit it, copy it to every node, run init again
  4. the state directory, marked as fresh: this cluster never ran, so there is nothing to remember

A node that has lost its state must NOT be initialised again: start the agent without it, and it will keep its votes back
until nothing it may have promised can still hold.

  --config FILE    cluster configuration (${defaultPaths.config})
  --node NAME      which of its nodes this is (this host's name)
  --key FILE       this node's key (${defaultPaths.nodeKey})
  --ring-key FILE  the shared ring key (${defaultPaths.ringKey})
  --new-ring-key   make the ring key if it is missing
  --state-dir DIR  state directory (${defaultPaths.state})

Exit status: 0 ready to start; 1 something is left to do, as printed; 2 wrong options or configuration.`

const options = {
  config: { type: "string", default: defaultPaths.config },
  node: { type: "string" },
  key: { type: "string", default: defaultPaths.nodeKey },
  "ring-key": { type: "string", default: defaultPaths.ringKey },
  "new-ring-key": { type: "boolean", default: false },
  "state-dir": { type: "string", default: defaultPaths.state },
} as const

export const init: Command = {
  summary: "prepare this machine as a node of a new cluster",
  help,
  async run(parameters) {
    const { values } = parseOptions(parameters, options)
    const publicKey = prepareNodeKey(values.key)
    const hasRingKey = prepareRingKey(values["ring-key"], values["new-ring-key"])
    if (!existsSync(values.config)) {
      const name = values.node ?? hostname().split(".")[0] ?? "a1"
      mkdirSync(dirname(values.config), { recursive: true })
      writeFileSync(values.config, exampleConfig(name, publicKey), { flag: "wx", mode: 0o644 })
      print(`${values.config}: an example was written; edit it, copy it to every node, then run init again`)
      return exitStatus.failed
    }
    const config = readConfiguration(values.config)
    const self = findSelf(config, values.node)
    if (self.publicKey !== publicKey) {
      throw usageFailure(`${values.config}: node ${self.name} must have public_key = "${publicKey}"`)
    }
    await prepareState(values["state-dir"], {
      format: 1,
      cluster: config.name,
      node: self.id,
      incarnation: incarnation(0),
      ringSequence: 0,
      voiceEpoch: epoch(0),
      tickets: config.tickets.map((ticket) => {
        return { ticket: ticket.name, epoch: epoch(0), pledgeNumber: 0, releasedEpoch: epoch(0) }
      }),
      pledges: [],
      witness: undefined,
      fresh: true,
    })
    if (!hasRingKey) return exitStatus.failed
    print(`node ${self.name} of cluster ${config.name} is ready: start \`quorumbeat agent\``)
    return exitStatus.done
  },
}

function prepareNodeKey(path: string): string {
  if (existsSync(path)) {
    const key = readNodeKey(path)
    if (key.kind === "error") throw usageFailure(key.error)
    print(`${path}: this node's public key is ${key.value.publicKey}`)
    return key.value.publicKey
  }
  mkdirSync(dirname(path), { recursive: true })
  const made = createNodeKey(path)
  if (made.kind === "error") throw new CommandFailure(exitStatus.failed, made.error)
  print(`${path}: made; this node's public key is ${made.value}`)
  return made.value
}

function prepareRingKey(path: string, isWanted: boolean): boolean {
  if (existsSync(path)) return true
  if (!isWanted) {
    print(`${path}: missing; copy it from another node, or make it on the first node with --new-ring-key`)
    return false
  }
  mkdirSync(dirname(path), { recursive: true })
  const made = createRingKey(path, 1)
  if (made.kind === "error") throw new CommandFailure(exitStatus.failed, made.error)
  print(`${path}: made; copy it to every node of the cluster`)
  return true
}

async function prepareState(directory: string, state: DurableState): Promise<void> {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, stateFileName)
  if (existsSync(path)) {
    print(`${path}: there already, left as it is`)
    return
  }
  await replaceState(directory, state)
  print(`${path}: written, marked as fresh`)
}
