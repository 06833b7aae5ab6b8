/**
 * What every kind of resource can do, and which class does it. A service starts its resources in order and stops them in
 * reverse (`service.ts`); each kind has a file here. None of them is on the way of a right: they run in the control
 * process, which may be slow or killed.
 */
import type { ResourceConfig } from "../../../../protocol/cluster.ts"
import type { Instant, ServiceName } from "../../../../protocol/units.ts"
import { createCommand } from "./command.ts"
import { IpResource } from "./ip.ts"
import { createOcf } from "./ocf.ts"
import { SystemdResource } from "./systemd.ts"

export interface Resource {
  readonly config: ResourceConfig
  /** Must not begin after `deadline`. What is there already is a success. */
  start(epoch: string, deadline: Instant): Action
  /** What is not there is a success. Goes ahead whatever else fails: no disk may keep a service alive. */
  stop(epoch: string): Action
  /** Changes nothing. */
  monitor(epoch: string): Look
  /** The service is over for this process. */
  close(): void
}

export interface Action {
  /** Why it failed, in words for the log and the operator; `undefined`: it succeeded. */
  readonly failure: Promise<string | undefined>
  /** Ends it as soon as can be; it has then failed. */
  cancel(): void
}

export interface Look {
  readonly finding: Promise<Finding>
  cancel(): void
}

export type Finding =
  | { readonly kind: "running" }
  | { readonly kind: "stopped" }
  | { readonly kind: "failed"; readonly reason: string }

/** What every resource of a service is made with. */
export interface ResourceContext {
  readonly service: ServiceName
  readonly runtimeDirectory: string
  /** QUORUMBEAT_CLUSTER, _NODE, _SITE, _SERVICE, _LEASE_FILE. */
  readonly environment: Readonly<Record<string, string>>
  /** What its programs printed, line by line. */
  readonly printed: (resource: string, text: string) => void
}

export function createResource(config: ResourceConfig, context: ResourceContext): Resource {
  switch (config.kind) {
    case "command":
      return createCommand(config, context)
    case "ocf":
      return createOcf(config, context)
    case "systemd":
      return new SystemdResource(config, context)
    case "ip":
      return new IpResource(config, context)
  }
}

/** An action that fails before it begins. */
export function failed(reason: string): Action {
  return { failure: Promise.resolve(reason), cancel: () => undefined }
}
