/** What an administrator of one cluster may ask of its object besides alerts: credentials, node keys, and its end. */
import { never } from "../protocol/assert.ts"
import type { WallTime } from "../protocol/units.ts"
import type { AdminCommand } from "./admin-commands.ts"
import type { PlacedEvent } from "./alerts/incidents.ts"
import { readClock } from "./clock.ts"
import type { WitnessConfiguration } from "./configuration.ts"
import { type Credentials, credentialsMax, describeCredential, endOf } from "./credentials.ts"
import type { RequestReason } from "./errors.ts"

export type AdminAnswer =
  | { readonly kind: "ok"; readonly body: object }
  | { readonly kind: "refused"; readonly reason: RequestReason; readonly detail: string }

export interface Administered {
  readonly credentials: Credentials
  readonly configuration: WitnessConfiguration
  /** Public keys that are not believed any more. */
  readonly revokedKeys: readonly string[]
  readonly revokeKey: (key: string) => void
  /** One transaction: `work`, and the events it returns. */
  readonly commit: (now: WallTime, work: () => readonly PlacedEvent[]) => void
}

export async function administer(command: AdminCommand, cluster: Administered): Promise<AdminAnswer> {
  const { credentials, configuration } = cluster
  switch (command.kind) {
    case "list-credentials":
      return { kind: "ok", body: { credentials: credentials.list().map(describeCredential) } }
    case "create-credential": {
      if (credentials.list().length >= credentialsMax)
        return { kind: "refused", reason: "limit-reached", detail: `${credentialsMax} credentials` }
      const { name, scope, expires_in_days: days } = command.credential
      const now = readClock()
      const made = await credentials.create({ name, scope, expiresAt: endOf(days, now) }, now)
      return { kind: "ok", body: { ...describeCredential(made.credential), credential: made.text } }
    }
    case "revoke-credential":
      return revokeCredential(command.id, cluster)
    case "revoke-node": {
      const found = configuration.nodes.find(({ node }) => node === command.node)
      if (found === undefined)
        return { kind: "refused", reason: "unknown-node", detail: String(command.node) }
      cluster.revokeKey(found.public_key)
      return { kind: "ok", body: { node: command.node, revoked_key: found.public_key } }
    }
    default:
      return never(command)
  }
}

function revokeCredential(id: string, { credentials, commit }: Administered): AdminAnswer {
  const credential = credentials.list().find((each) => each.id === id)
  if (credential === undefined) return { kind: "refused", reason: "unknown-credential", detail: id }
  const now = readClock()
  commit(now, () => credentials.revoke(credential, now))
  return { kind: "ok", body: { revoked: id } }
}
