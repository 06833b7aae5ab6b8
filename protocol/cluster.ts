/**
 * The cluster configuration as all code sees it, after `config.ts` has read, completed and checked it. Nothing
 * here is optional that has a default: defaults live in `config.ts` and nowhere else.
 */
import type { Millis, NodeId, ServiceName, SiteId, Ticket } from "./units.ts"

export type ProfileName = "industrial" | "energy" | "relaxed"

/** All durations in milliseconds; `config.ts` holds the inequalities between them (SPEC T). */
export interface Timings {
  /** T: every `heartbeat` the representative releases the token for two passes. */
  readonly heartbeat: Millis
  /** Between two sendings of an unacknowledged frame. */
  readonly retransmit: Millis
  /** Unacknowledged sendings in a row that put the successor on the fail list. */
  readonly misses: number
  /** L: a ring lease lasts this long from the first sending of the token that proved it. */
  readonly lease: Millis
  /** Budget for one pass of the token round the ring. */
  readonly pass: Millis
  /** Budget for the lateness of one node's loop. */
  readonly lateness: Millis
  /** Bound on the clock RATE error, as a fraction (0.001 = 1000 ppm). Offsets never matter. */
  readonly rho: number
  /** How long Gather waits for a node that was lately heard and that nobody accuses. */
  readonly gatherWait: Millis
  readonly voiceTtl: Millis
  readonly mandateTtl: Millis
  /** How often voice and mandate are renewed with every voter. */
  readonly renewal: Millis
  readonly wanHeartbeat: Millis
  /** A site not heard for this long counts as silent (for people; ends no right). */
  readonly wanSilent: Millis
  /** Time a site that is not the first choice leaves to the better ones before it claims a vacant mandate, per rank. */
  readonly claimStagger: Millis
  /** How often a site's reporter posts a summary when nothing presses. */
  readonly summaryInterval: Millis
}

/** From where on a link counts as suspect. */
export interface LinkThresholds {
  readonly jitter: Millis
  /** From here on it is critical. */
  readonly jitterCritical: Millis
  /** Share of frames lost, in millionths. */
  readonly lossPpm: number
  /** Round trip. */
  readonly rtt: Millis
}

export type SplitPolicy = "split" | "last-man-standing"

export interface SiteConfig {
  readonly name: SiteId
  readonly policy: SplitPolicy
  /** Without a witness an even site may name one node that then counts one vote more. */
  readonly tieBreaker: NodeId | undefined
  /** This site's own way to the witness (a proxy, another name); `undefined`: the cluster's. */
  readonly witnessUrl: string | undefined
}

export interface UdpAddress {
  /** Literal IPv4 or IPv6 address. */
  readonly host: string
  readonly port: number
}

export interface NodeConfig {
  readonly id: NodeId
  /** For people. Unique. */
  readonly name: string
  readonly site: SiteId
  readonly votes: number
  /** Ring links, 1..8, each on its own network. */
  readonly links: readonly UdpAddress[]
  /** Where nodes of other sites reach this one; `undefined` in a cluster of one site. */
  readonly wan: UdpAddress | undefined
  /** Where it listens for them, if that differs (address translation between the sites). */
  readonly wanBind: UdpAddress | undefined
  /** Ed25519 public key, 32 bytes, base64url. */
  readonly publicKey: string
  /** The machine's watchdog, if the agent is to arm it; then others may count on it. */
  readonly watchdog: WatchdogConfig | undefined
}

export interface WatchdogConfig {
  readonly device: string
  /** Whole seconds, as the device counts. */
  readonly timeout: Millis
}

export interface WitnessConfig {
  readonly url: string
  /** Ed25519 public key, 32 bytes, base64url. */
  readonly publicKey: string
}

export interface TicketConfig {
  readonly name: Ticket
  /** Sites that may hold it, first choice first. */
  readonly sites: readonly SiteId[]
}

/** What proves by itself that an absent owner no longer acts (SPEC S). `operator` means: nothing does. */
export type TakeoverProof =
  | {
      readonly kind: "self-lease" /** After the deadline the service is surely gone. */
      readonly margin: Millis
    }
  /** It acts through its floating addresses only, and they end with the lease (SPEC G). */
  | { readonly kind: "gate" }
  /** Each node able to run it has an armed watchdog: it is reset unless it stops the service in time. */
  | { readonly kind: "watchdog" }
  | { readonly kind: "operator" }

/** What every kind of resource has. */
export interface ResourceLimits {
  readonly name: string
  readonly startTimeout: Millis
  readonly stopTimeout: Millis
  readonly monitorTimeout: Millis
  readonly monitorInterval: Millis
  /** So many failures of it on a node are answered by a restart there. Left out: none. */
  readonly restartLimit?: number
}

/** A program of the operator's, with arguments for each action. */
export interface CommandResource extends ResourceLimits {
  readonly kind: "command"
  readonly start: readonly string[]
  readonly stop: readonly string[]
  /** Exit status 0: running, 7: not running, anything else: failed. */
  readonly monitor: readonly string[]
  /** More variables for the program. */
  readonly environment: Readonly<Record<string, string>>
}

/** An agent of the Open Cluster Framework, below /usr/lib/ocf/resource.d. */
export interface OcfResource extends ResourceLimits {
  readonly kind: "ocf"
  /** `ocf:PROVIDER:TYPE`. */
  readonly agent: string
  /** Become OCF_RESKEY_*. */
  readonly parameters: Readonly<Record<string, string>>
}

/** A unit of systemd. */
export interface SystemdResource extends ResourceLimits {
  readonly kind: "systemd"
  /** With its suffix, as `postgresql.service`. */
  readonly unit: string
}

/** A floating address, behind the gate. */
export interface IpResource extends ResourceLimits {
  readonly kind: "ip"
  /** Literal, without a zone. */
  readonly address: string
  readonly prefix: number
  /** `undefined`: the interface that has an address of the same network. */
  readonly device: string | undefined
}

export type ResourceConfig = CommandResource | OcfResource | SystemdResource | IpResource

/** Where a service goes, beside the order of its nodes. `undefined`: as `defaults` say. */
export interface PlacementRules {
  /** Failures on one node from which on it is passed over. */
  readonly migrationThreshold: number | undefined
  /** How long after the last one failures on a node are forgotten; `undefined`: never. */
  readonly failureTimeout: Millis | undefined
  /** Services that it never shares a node with, whichever of the two says so. */
  readonly antiAffinity: readonly ServiceName[] | undefined
  /** It goes back to an earlier one of its nodes that has been able for so long; `undefined`: it stays. */
  readonly failbackAfter: Millis | undefined
}

export interface ServiceConfig extends PlacementRules {
  readonly name: ServiceName
  readonly ticket: Ticket
  /** Nodes able to run it, first choice first. */
  readonly nodes: readonly NodeId[]
  readonly mode: "automatic" | "manual"
  readonly proof: TakeoverProof
  /** Started in order, stopped in reverse. */
  readonly resources: readonly ResourceConfig[]
}

/** A device that turns nodes off: an agent of Debian's `fence-agents`. */
export interface FenceDevice {
  readonly name: string
  /** Its file name, as `fence_ipmilan`. */
  readonly agent: string
  /** Which nodes it turns off, each by its plug (outlet, port, domain) where the device has several. */
  readonly nodes: readonly { readonly node: NodeId; readonly plug: string | undefined }[]
  /** Lower ones are tried first; all devices of one level must succeed (two power supplies). */
  readonly level: number
  /** `off` leaves the node off; `reboot` turns it on again. */
  readonly action: "off" | "reboot"
  /** Given to the agent on its standard input, with what is in `secretsFile`. */
  readonly parameters: Readonly<Record<string, string>>
  /** `name=value` lines; readable by its owner only. */
  readonly secretsFile: string | undefined
  readonly delay: Millis
  readonly timeout: Millis
  readonly monitorInterval: Millis
}

export interface ClusterConfig {
  readonly name: string
  /** Rises by one with each change of the file. */
  readonly version: number
  readonly profile: ProfileName
  readonly timings: Timings
  /** `undefined`: those of `profiles.ts`. */
  readonly links: LinkThresholds | undefined
  /** How far a node's wall clock may be off before people are told; `undefined`: that of `profiles.ts`. */
  readonly clockLimit: Millis | undefined
  readonly sites: readonly SiteConfig[]
  /** Ascending by id. */
  readonly nodes: readonly NodeConfig[]
  readonly witness: WitnessConfig | undefined
  readonly tickets: readonly TicketConfig[]
  readonly services: readonly ServiceConfig[]
  /** By name; `undefined`: there are none. */
  readonly fences: readonly FenceDevice[] | undefined
  /** SHA-256 over the canonical form, hex; the same on every node or services lock. */
  readonly checksum: string
}
