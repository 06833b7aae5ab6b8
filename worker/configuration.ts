/**
 * What the witness must know of a cluster: its nodes with their keys, its leases, the timings that arbitration needs and
 * where alerts go. Written by the operator (`PUT /v1/clusters/:cluster`), versioned with the cluster's own configuration
 * (SPEC W14). Defaults stand here and nowhere else.
 */
import * as v from "valibot"
import { err, ok, type Result } from "../protocol/result.ts"
import { nodeSchema, siteSchema, ticketSchema, ttlSchema, wholeSchema } from "../protocol/summary-schemas.ts"
import type { Millis, NodeId, SiteId } from "../protocol/units.ts"
import { millis, ticketName } from "../protocol/units.ts"
import { describeReceiver, receiverSchema, receiverTargets } from "./alerts/receivers/receiver.ts"
import { type TargetPolicy, webhookTarget } from "./alerts/target.ts"
import type { ArbiterRules } from "./arbiter.ts"
import { isPublicKey } from "./signing.ts"

/** Bytes of a configuration: 64 nodes and 16 receivers with their keys, with room. */
export const configurationBytesMax = 65_536

const sitesMax = 16
const nodesMax = 64
const ticketsMax = 32
const receiversMax = 16

/** Rivals need one round trip to meet (SPEC W10). */
const arbitrationWindowDefault = millis(50)
/** A site that posts every 2 s is silent after 15 missed posts; shorter would page for a slow uplink. */
const deadManDefault = millis(30_000)
const intervalDefault = millis(2_000)
const voiceTtlDefault = millis(10_000)
const mandateTtlDefault = millis(10_000)

const duration = (min: number, max: number) =>
  v.pipe(v.number(), v.minValue(min), v.maxValue(max), v.transform(millis))
const listOf = <T extends v.GenericSchema>(item: T, min: number, max: number) =>
  v.pipe(v.array(item), v.minLength(min), v.maxLength(max))

const nodeEntrySchema = v.object({
  node: nodeSchema,
  site: siteSchema,
  public_key: v.pipe(v.string(), v.check(isPublicKey, "not an Ed25519 public key in base64url")),
  votes: v.optional(wholeSchema, 1),
})

const configurationSchema = v.object({
  version: v.pipe(wholeSchema, v.minValue(1)),
  checksum: v.pipe(v.string(), v.minLength(1), v.maxLength(128)),
  sites: listOf(siteSchema, 1, sitesMax),
  tickets: v.optional(listOf(ticketSchema, 0, ticketsMax), () => [ticketName("main")]),
  nodes: listOf(nodeEntrySchema, 1, nodesMax),
  preferred_nodes: v.optional(listOf(nodeSchema, 0, nodesMax), () => []),
  rho: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(0.1)), 0.001),
  voice_ttl_ms: v.optional(ttlSchema, voiceTtlDefault),
  mandate_ttl_ms: v.optional(ttlSchema, mandateTtlDefault),
  interval_ms: v.optional(duration(100, 60_000), intervalDefault),
  arbitration_window_ms: v.optional(duration(0, 1_000), arbitrationWindowDefault),
  dead_man_ms: v.optional(duration(5_000, 3_600_000), deadManDefault),
  receivers: v.optional(listOf(receiverSchema, 0, receiversMax), () => []),
})

/** The configuration as stored, wire names and all: it is JSON on both ends of its life. */
export type WitnessConfiguration = v.InferOutput<typeof configurationSchema>

/** What is wrong with a configuration, for the operator who wrote it. Nothing was stored. */
export interface ConfigurationError {
  readonly kind: "malformed"
  readonly detail: string
}

/** Reads what an operator sent or what is stored; anything else is an error, never an exception. */
export function parseConfiguration(
  text: string,
  policy: TargetPolicy,
): Result<WitnessConfiguration, ConfigurationError> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return err({ kind: "malformed", detail: "not a JSON text" })
  }
  const parsed = v.safeParse(configurationSchema, value, { abortEarly: true })
  if (!parsed.success) {
    const [issue] = parsed.issues
    return err({ kind: "malformed", detail: `${v.getDotPath(issue) ?? "configuration"}: ${issue.message}` })
  }
  const contradiction = findContradiction(parsed.output, policy)
  return contradiction === undefined ? ok(parsed.output) : err({ kind: "malformed", detail: contradiction })
}

/** The part that arbitration rests on. */
export function arbiterRules(configuration: WitnessConfiguration): ArbiterRules {
  const { version, sites, tickets, nodes, rho } = configuration
  return {
    version,
    sites,
    tickets,
    nodes,
    preferredNodes: configuration.preferred_nodes,
    rho,
    voiceTtl: configuration.voice_ttl_ms,
    mandateTtl: configuration.mandate_ttl_ms,
  }
}

/** The shortest TTL any lease of the cluster may have: a third of it is the longest interval between posts. */
export function shortestTtl(configuration: WitnessConfiguration): Millis {
  return millis(Math.min(configuration.voice_ttl_ms, configuration.mandate_ttl_ms))
}

export function siteOf(configuration: WitnessConfiguration, node: NodeId): SiteId | undefined {
  return configuration.nodes.find((entry) => entry.node === node)?.site
}

/** The configuration as an operator may read it: of secrets the last characters, of URLs that are secret the origin. */
export function redacted(configuration: WitnessConfiguration): object {
  return { ...configuration, receivers: configuration.receivers.map(describeReceiver) }
}

function findContradiction(configuration: WitnessConfiguration, policy: TargetPolicy): string | undefined {
  const { sites, tickets, nodes, receivers } = configuration
  if (hasDuplicates(sites)) return "sites: a site is named twice"
  if (hasDuplicates(tickets)) return "tickets: a ticket is named twice"
  if (hasDuplicates(nodes.map(({ node }) => node))) return "nodes: a node is named twice"
  if (hasDuplicates(nodes.map((node) => node.public_key))) return "nodes: two nodes have the same key"
  if (hasDuplicates(receivers.map(({ name }) => name))) return "receivers: a receiver is named twice"
  const stray = nodes.find(({ site }) => !sites.includes(site))
  if (stray !== undefined) return `nodes: node ${stray.node} is in the unknown site ${stray.site}`
  for (const receiver of receivers) {
    for (const url of receiverTargets(receiver)) {
      const target = webhookTarget(url, policy)
      if (target.kind === "error") return `receivers: ${receiver.name}: ${target.error}`
    }
  }
  return undefined
}

function hasDuplicates(values: readonly unknown[]): boolean {
  return new Set(values).size !== values.length
}
