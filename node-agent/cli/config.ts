/** `quorumbeat config`: is this file a cluster, and the running cluster's next? */
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { fenceProblemsHere } from "../host/control/fence/fence-installed.ts"
import { problemsHere } from "../host/control/resources/installed.ts"
import { type Command, exitStatus, parseOptions, print, usageFailure } from "./command.ts"
import { applyConfiguration } from "./config-apply.ts"
import { readConfiguration } from "./configuration.ts"
import { defaultPaths } from "./paths.ts"
import { proofSheet } from "./proof-sheet.ts"

const help = `Usage: quorumbeat config check FILE [--resources]
       quorumbeat config apply FILE [--yes]

Reads the configuration and says what it means, with the checksum that must be the same on every node, and its proof
sheet: every inequality with its numbers, the worst time without each service for each kind of fault, and what the witness
costs. Or every error, with line and key. Exit status: 0 usable; 2 not.

apply changes the configuration of the running cluster to FILE: checks it and shows the difference; with --yes orders it through
the ring of this node's site and waits until it is active. FILE has the next version and adds or removes one node at most.
Exit status: 0 active, or without --yes shown and changeable; 1 refused, with the reason; 2 not usable; 3 no agent answers.

  --yes        apply: do it; without it only the difference is shown
  --runtime-dir DIR  apply: of the agent (${defaultPaths.runtime})
  --resources  check: also look whether this machine can run each resource: programs, OCF agents and their parameters and
               limits, systemd units, fence agents. Exit status 1 if not`

const options = {
  resources: { type: "boolean" },
  yes: { type: "boolean", default: false },
  "runtime-dir": { type: "string", default: defaultPaths.runtime },
} as const

export const config: Command = {
  summary: "check a cluster configuration, or change that of the running cluster",
  help,
  async run(parameters) {
    const { positionals, values } = parseOptions(parameters, options, { min: 2, max: 2 })
    const [action, file = ""] = positionals
    if (action === "apply") return await applyConfiguration(file, values["runtime-dir"], values.yes)
    if (action !== "check") throw usageFailure(`config ${action}: expected check or apply`)
    const configuration = readConfiguration(file)
    print(describe(configuration))
    print(proofSheet(configuration))
    return values.resources === true ? checkResources(configuration) : exitStatus.done
  },
}

/** Each problem on a line of its own, or that there is none. */
async function checkResources({ services, fences = [] }: ClusterConfig): Promise<number> {
  let status: number = exitStatus.done
  for (const device of fences) {
    const problems = await fenceProblemsHere(device)
    for (const problem of problems) print(`fence device ${device.name}: ${problem}`)
    if (problems.length > 0) status = exitStatus.failed
  }
  for (const service of services) {
    for (const resource of service.resources) {
      const problems = await problemsHere(resource)
      for (const problem of problems) print(`service ${service.name}, resource ${resource.name}: ${problem}`)
      if (problems.length > 0) status = exitStatus.failed
    }
  }
  if (status === exitStatus.done) print("this machine can run every resource")
  return status
}

function describe(configuration: ClusterConfig): string {
  const { timings } = configuration
  const sites = configuration.sites.map((site) => {
    const nodes = configuration.nodes.filter((node) => node.site === site.name)
    const names = nodes.map((node) => (node.votes === 1 ? node.name : `${node.name} (${node.votes} votes)`))
    return `site ${site.name}: ${names.join(", ")}`
  })
  const services = configuration.services.map((service) => {
    const resources = service.resources.map((resource) => resource.name).join(", ")
    return `service ${service.name}: ${service.mode}, ticket ${service.ticket}, proof ${service.proof.kind}: ${resources}`
  })
  return [
    `cluster ${configuration.name}, version ${configuration.version}`,
    `profile ${configuration.profile}: heartbeat ${timings.heartbeat} ms, lease ${timings.lease} ms`,
    ...sites,
    configuration.witness === undefined ? "no witness" : `witness ${configuration.witness.url}`,
    ...services,
    `checksum ${configuration.checksum}`,
  ].join("\n")
}
