/** Reading the cluster configuration for a command, and finding this node in it. */
import { hostname } from "node:os"
import type { ClusterConfig, NodeConfig } from "../../protocol/cluster.ts"
import { loadConfigFile } from "../host/config-file.ts"
import { CommandFailure, exitStatus, usageFailure } from "./command.ts"

export function readConfiguration(path: string): ClusterConfig {
  const config = loadConfigFile(path)
  if (config.kind === "ok") return config.value
  throw new CommandFailure(exitStatus.usage, config.error.join("\n"))
}

/** By `--node`, or else by the host's name. */
export function findSelf(config: ClusterConfig, name: string | undefined): NodeConfig {
  const wanted = name ?? hostname().split(".")[0] ?? ""
  const node = config.nodes.find((each) => each.name === wanted)
  if (node !== undefined) return node
  const names = config.nodes.map((each) => each.name).join(", ")
  const hint = name === undefined ? "this host's name is not one of its nodes; say --node" : "no such node"
  throw usageFailure(`${hint}: ${wanted} (cluster ${config.name} has ${names})`)
}
