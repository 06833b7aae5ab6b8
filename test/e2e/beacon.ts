/** A second service for labs: it runs on a node as long as its file is there, so that a test can start and kill it by hand. */
import { mkdirSync } from "node:fs"
import { dirname, join } from "node:path"
import type { ClusterLayout } from "../support/cluster/layout.ts"
import type { Lab } from "./lab.ts"

export const beaconFile = ({ directory }: ClusterLayout, node: string): string =>
  join(directory, "beacons", node)

interface BeaconPlan {
  /** Further keys of the service. */
  readonly service?: string
  /** Further keys of its resource. */
  readonly resource?: string
  /** Seconds that its stop takes. */
  readonly stopSeconds?: number
}

export function withBeacon(toml: string, layout: ClusterLayout, plan: BeaconPlan = {}): string {
  const { service = "", resource = "", stopSeconds = 0 } = plan
  const shell = (script: string): string => JSON.stringify(["/bin/sh", "-c", script])
  const file = beaconFile(layout, "$QUORUMBEAT_NODE")
  return `${toml}
[[service]]
name = "beacon"
${service}
proof = "self-lease"
self_lease_margin_ms = 50
[[service.resource]]
kind = "command"
name = "file"
start = ${shell(`touch ${file}`)}
stop = ${shell(`sleep ${stopSeconds}; rm -f ${file}`)}
monitor = ${shell(`test -e ${file} || exit 7`)}
monitor_interval_ms = 500
${resource}
`
}

/** Where the files are; a companion of the lab. */
export function prepareBeacons({ cluster }: Lab): void {
  mkdirSync(dirname(beaconFile(cluster.layout, "any")), { recursive: true })
}
