/**
 * What the witness must know of a cluster: its nodes with their keys, its leases, the timings that arbitration needs.
 * Written by the operator (`PUT /v1/clusters/:cluster`), versioned with the cluster's own configuration
 * (SPEC W14). Defaults stand here and nowhere else.
 */
import * as v from "valibot"
import { err, ok, type Result } from "../protocol/result.ts"
import {
  configurationDocumentMax,
  nameSchema,
  nodeSchema,
  siteSchema,
  ticketSchema,
  ttlSchema,
  wholeSchema,
} from "../protocol/summary-schemas.ts"
import type { Millis, NodeId, SiteId } from "../protocol/units.ts"
import { millis, ticketName } from "../protocol/units.ts"
import type { ArbiterRules } from "./arbiter.ts"
import { isPublicKey } from "./public-key.ts"

/** Bytes of a configuration: 64 nodes with their keys, with room. */
export const configurationBytesMax = 65_536

const sitesMax = 16
const nodesMax = 64
const ticketsMax = 32

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
  /** As people call it, for alerts. */
  name: v.optional(nameSchema),
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
  /** The whole of a configuration that a running cluster registered, for nodes that missed it. */
  document: v.optional(v.pipe(v.string(), v.maxLength(configurationDocumentMax))),
  receivers: v.optional(v.never("receivers stand in the alert rules: quorumbeat alerts rules apply FILE")),
})

/** The configuration as stored, wire names and all: it is JSON on both ends of its life. */
export type WitnessConfiguration = v.InferOutput<typeof configurationSchema>

/** What is wrong with a configuration, for the operator who wrote it. Nothing was stored. */
export interface ConfigurationError {
  readonly kind: "malformed"
  readonly detail: string
}

/** Reads what an operator sent or what is stored; anything else is an error, never an exception. */
export function parseConfiguration(text: string): Result<WitnessConfiguration, ConfigurationError> {
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
  const contradiction = findContradiction(parsed.output)
  return contradiction === undefined ? ok(parsed.output) : err({ kind: "malformed", detail: contradiction })
}

/** The part that arbitration rests on. */
export function arbiterRules(configuration: WitnessConfiguration): ArbiterRules {
  const { version, checksum, sites, tickets, nodes, rho } = configuration
  return {
    version,
    checksum,
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

function findContradiction(configuration: WitnessConfiguration): string | undefined {
  const { sites, tickets, nodes } = configuration
  if (hasDuplicates(sites)) return "sites: a site is named twice"
  if (hasDuplicates(tickets)) return "tickets: a ticket is named twice"
  if (hasDuplicates(nodes.map(({ node }) => node))) return "nodes: a node is named twice"
  if (hasDuplicates(nodes.map((node) => node.public_key))) return "nodes: two nodes have the same key"
  const names = nodes.flatMap(({ name }) => (name === undefined ? [] : [name]))
  if (hasDuplicates(names)) return "nodes: two nodes have the same name"
  const stray = nodes.find(({ site }) => !sites.includes(site))
  if (stray !== undefined) return `nodes: node ${stray.node} is in the unknown site ${stray.site}`
  return undefined
}

function hasDuplicates(values: readonly unknown[]): boolean {
  return new Set(values).size !== values.length
}
