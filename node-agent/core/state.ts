/**
 * A node's whole state: one plain, printable record. Its parts are readonly values replaced whole; only `step` and
 * the handlers it names assign them.
 */
import type { ClusterConfig, NodeConfig } from "../../protocol/cluster.ts"
import type {
  CommitFrame,
  ConfigurationMark,
  DropReason,
  EvidenceFrame,
  OrderedMessage,
  TokenFrame,
} from "../../protocol/frame.ts"
import type { HealthEntry } from "../../protocol/health.ts"
import type { ReportedEvent } from "../../protocol/summaries.ts"
import type {
  Epoch,
  Incarnation,
  Instant,
  Millis,
  NodeId,
  RingId,
  ServiceName,
  SiteId,
  Ticket,
  WallTime,
} from "../../protocol/units.ts"
import type { ViewStanding } from "../../protocol/votes.ts"
import type { Conditions } from "./conditions.ts"
import type { ConfigurationState, Joint } from "./configuration-state.ts"
import type { Debt } from "./debts.ts"
import type { DurableState } from "./durable.ts"
import type { OperatorCommand, Vouched } from "./events.ts"
import type { FenceAttempt } from "./fencing.ts"
import type { Join, Told } from "./gather.ts"
import type { Links } from "./link-state.ts"
import type { Random } from "./random.ts"
import type { Sessions } from "./session.ts"
import type { RemoteSite } from "./sites.ts"
import type { WatchdogState } from "./watchdog.ts"
import type { WitnessState } from "./witness-state.ts"

export interface NodeState {
  /** Replaced when another one becomes active (SPEC LC5), with all that follows from it. */
  config: ClusterConfig
  self: NodeConfig
  readonly incarnation: Incarnation
  readonly random: Random
  readonly sessions: Sessions
  readonly links: Links
  /** L' of this configuration: what others wait where a holder counts L. */
  leaseStretched: Millis
  configuration: ConfigurationState
  /** Any document gives a configuration or nothing; what a document is, the host knows. */
  readonly readConfiguration: (document: string) => ClusterConfig | undefined
  /** The instant of the latest step: what was due by then has been looked at. */
  steppedAt: Instant
  durable: DurableRecord
  membership: Membership
  /** The ring whose token this node handles; undefined in Gather: a ring that was left is never handled again. */
  ring: Ring | undefined
  /** The latest view installed. Its rights end with its ring's; in Gather what is left of them may be used. */
  view: View | undefined
  /** Received and not yet known to be safe when the last installed ring was left (SPEC R11). */
  left: LeftRing | undefined
  debts: readonly Debt[]
  /** What was known of nodes off the ring when no better ring was found. */
  outlook: string
  /** How often this node began to gather. */
  gatherRound: number
  /** The highest ring sequence seen. */
  sequence: number
  /** Sequence of the last ring known to hold the site's voice at the witness with this node in it; 0: none. */
  voiceRing: number
  /** Version of the memo whose content this node knows (it wrote or adopted it); 0: there was none. */
  memoVersion: number
  peers: ReadonlyMap<NodeId, Peer>
  /** How late this node has been lately: so many more silences are needed before it accuses (SPEC LN8). */
  localHealth: number
  /** What the members of the site agree on, changed by ordered messages only. */
  ordered: OrderedState
  tickets: ReadonlyMap<Ticket, TicketState>
  activations: ReadonlyMap<ServiceName, Activation>
  witness: WitnessState
  sites: ReadonlyMap<SiteId, RemoteSite>
  /** Services that are active twice, as far as this node hears (SPEC S22). */
  doubles: ReadonlySet<ServiceName>
  operator: OperatorState
  health: HealthEntry
  conditions: Conditions
  wall: WallTime
  control: "absent" | "present"
  /** Does the kernel close floating addresses here when their lease ends (SPEC G)? `none`: there are none. */
  gate: "none" | "ready" | "missing"
  watchdog: WatchdogState
  /** Until then this node's vote counts for no pledge: its record was lost (SPEC M9). */
  amnesiaUntil: Instant | undefined
  /** Its record is lost, and the view that it left last asked the witness for the voice in vain: the next one goes on without (SPEC V12). */
  unaided: boolean
  /** The record was lost and nobody has told the pin yet: no witness is believed (SPEC W6). */
  pinLost: boolean
  leaving: "no" | "departing" | "departed"
  /** Leaving takes no longer than until then. */
  leaveBy: Instant | undefined
  nextOperation: number
  /** Nodes that this one is having turned off, or has failed to. */
  fencing: readonly FenceAttempt[]
  /** A node no start of which is known is not turned off before then: it may be on its way up (SPEC S15). */
  strangersFencedFrom: Instant
  /** Fence devices that did not answer when last looked at, and why. */
  deadDevices: ReadonlyMap<string, string>
  nextRequest: number
  nextWanHeartbeat: Instant
  dropped: Readonly<Partial<Record<DropReason, number>>>
  recent: readonly ReportedEvent[]
  nextEvent: number
}

export interface DurableRecord {
  readonly state: DurableState
  /** Number of the latest write ordered, and of the latest known to be on the disk. */
  readonly ordered: number
  readonly written: number
  /** The ring sequence known to be on the disk, and the higher ones on their way. */
  readonly reserved: number
  /** The last write that changed a pledge, or told of a release. */
  readonly pledgeWrite: number
  /** The last write that raised the voice epoch. */
  readonly voiceWrite: number
  readonly reserving: readonly { readonly write: number; readonly ringSequence: number }[]
}

export type Membership =
  /** The raised incarnation is being stored, then the boot debt runs out: nothing is joined before (SPEC L7). */
  | { readonly kind: "booting"; readonly until: Instant }
  | Gather
  | Commit
  /** The token goes round, reports are exchanged, the view is not installed yet. */
  | { readonly kind: "recovery"; readonly since: Instant; readonly reported: boolean }
  | { readonly kind: "operational"; readonly since: Instant }

export interface Gather {
  readonly kind: "gather"
  readonly since: Instant
  readonly reason: string
  readonly joins: ReadonlyMap<NodeId, Join>
  /** All that joined since the gathering began, also who fell silent since: whom it leaves out is held off. */
  readonly called: ReadonlySet<NodeId>
  /** When this round began. */
  readonly began: Instant
  /** Peers that were silent, with the round of the accusation; an echo of it, or of a later one, clears it. */
  readonly accused: ReadonlyMap<NodeId, number>
  /** What came with the joins of this round. */
  readonly evidence: ReadonlyMap<NodeId, EvidenceFrame>
  /** Lately heard or former members: waited for until `waitUntil` unless accused. */
  readonly expected: readonly NodeId[]
  readonly waitUntil: Instant
  readonly nextJoin: Instant
  readonly lookedAt: Instant
  readonly lookAt: Instant | undefined
  /** As last said, to say at once what changed; undefined: to say it in any case. */
  readonly told: Told | undefined
}

export interface Commit {
  readonly kind: "commit"
  readonly ring: RingId
  readonly members: readonly NodeId[]
  readonly incarnations: ReadonlyMap<NodeId, Incarnation>
  /** To the successor, once write `after` is on the disk. */
  readonly sending:
    | {
        readonly to: NodeId
        readonly frame: CommitFrame
        readonly sendings: number
        readonly nextAt: Instant
      }
    | undefined
  readonly after: number
  readonly until: Instant
}

/** One ring from its first token to its end. */
export interface Ring {
  readonly id: RingId
  /** Ascending; the first is the representative. */
  readonly members: readonly NodeId[]
  readonly incarnations: ReadonlyMap<NodeId, Incarnation>
  /** When this node left what it was in before: rights told while the view forms count from here (SPEC L8). */
  readonly leftAt: Instant
  /** Highest token number handled; 0: none. */
  readonly handled: number
  readonly lastHandling: Instant | undefined
  /** s_i: just before the token was sent for the first time at the last handling. */
  readonly firstSent: Instant | undefined
  /** The ring lease: `s_i + L` of the handling before the last. */
  readonly lease: Instant | undefined
  readonly outstanding:
    | { readonly token: TokenFrame; readonly sendings: number; readonly nextAt: Instant }
    | undefined
  /** Kept by the representative until `releaseAt` (idle pacing). */
  readonly holding: { readonly token: TokenFrame; readonly releaseAt: Instant } | undefined
  /** Representative only: passes since the release, quiet passes in a row, and the pace. */
  readonly passes: number
  readonly quiet: number
  readonly cycleStart: Instant
  /** Messages received and not delivered, ascending and without gap. */
  readonly log: readonly OrderedMessage[]
  readonly received: number
  readonly delivered: number
  /** Received messages whose durable write is under way: they hold `aru` back. */
  readonly unstored: readonly { readonly seq: number; readonly write: number }[]
  /** `aru` as this node sent it at its last handling. */
  readonly aruSent: number
  /** Payloads to order at the next visits. */
  readonly pending: readonly string[]
  readonly wantedAt: Instant | undefined
  /** The token is overdue: the predecessor is probed. */
  readonly overdue:
    | { readonly probe: number; readonly sendings: number; readonly nextAt: Instant }
    | undefined
  /** Report parts per member while in Recovery; complete ones parsed at installation. */
  readonly reports: ReadonlyMap<NodeId, readonly (string | undefined)[]>
  /** Own health entry as last put on the token, to send it again when it changes. */
  readonly healthTold: HealthTold | undefined
}

interface HealthTold {
  readonly bytes: Uint8Array
  /** What it was made of: while these are the same, so is the entry. */
  readonly health: NodeState["health"]
  readonly activations: NodeState["activations"]
}

export interface LeftRing {
  readonly id: RingId
  readonly messages: readonly OrderedMessage[]
}

export interface View {
  readonly ring: RingId
  readonly members: readonly NodeId[]
  readonly incarnations: ReadonlyMap<NodeId, Incarnation>
  readonly installedAt: Instant
  /** Before it this view performs no act of voice (SPEC L7). */
  readonly activateAt: Instant
  readonly standing: ViewStanding
  /** Drives the view: claims, pledges, assigns. */
  readonly coordinator: NodeId
  /** It reaches the majority alone, or was granted the witness's voice lease once: its ordered messages count. */
  readonly entitled: boolean
  /** The grant of the witness that was told last in the order of messages; undefined: none in this view. */
  readonly entitledAt?: Epoch | undefined
  /** A witness object was accepted since: it may give the number of a former grant once more (SPEC W6). */
  readonly renumbered?: boolean | undefined
  readonly voice: VoiceLease
  readonly phases: ReadonlyMap<NodeId, ReadonlyMap<ServiceName, ReportedPhase>>
  /** Members that lost their record and have not learnt since what was done. */
  readonly forgetful: readonly NodeId[]
  /** Members whose votes count: not those that lost their record, unless all of the site are here (SPEC V12). */
  readonly voters: readonly NodeId[]
  /** The whole site, which speaks with the witness all the same: those that remember are no majority (SPEC V12). */
  readonly asksWitness: boolean
  /** Members whose vote counts for no pledge until then. */
  readonly amnesia: ReadonlyMap<NodeId, Instant>
  readonly departing: readonly NodeId[]
  readonly departed: readonly NodeId[]
  /** Ordered acts not delivered yet, by name, so that none is ordered twice. */
  readonly underWay: ReadonlySet<string>
  /** Coordinator: when to look again at services that wait for a proof. */
  /** Coordinator: what it has seen to be so without a break, and since when. */
  readonly since: ReadonlyMap<string, Instant>
  /** Coordinator: where services go by what it ordered and has not been delivered yet. */
  readonly assigning: ReadonlyMap<ServiceName, NodeId>
  readonly lookAgain: Instant | undefined
  /** Coordinator: acts that wait for the memo to be written. */
  readonly memo: MemoProgress
  readonly joint: Joint | undefined
  /** A proposal that all members of this view have stored. */
  readonly proposed: { readonly version: number; readonly checksum: string } | undefined
  /** Pieces of a newer memo on their way. */
  readonly memoPieces: readonly (string | undefined)[]
}

/** The witness's voice lease for this view, as far as this node knows. */
export interface VoiceLease {
  readonly deadline: Instant | undefined
  /** This node's own claim brought it: it tells the others. */
  readonly own: boolean
  readonly epoch: Epoch
  readonly grantedAt: Instant | undefined
  /** It was taken from a holder that shares no member (SPEC W11), or this node does not know that it was not. */
  readonly waitedOut: boolean
}

export interface MemoProgress {
  /** Version and text at the witness as last answered to this view; undefined: not known yet. */
  readonly stored: { readonly version: number; readonly text: string } | undefined
  /** Text of the claim under way. */
  readonly offered: string | undefined
  /** What must not be spoken before the memo says it (SPEC VL5). */
  readonly acts: readonly MemoAct[]
}

export type MemoAct =
  | { readonly kind: "own-vote"; readonly ticket: Ticket; readonly epoch: Epoch; readonly request: number }
  | {
      readonly kind: "pledge-answer"
      readonly to: NodeId
      readonly ticket: Ticket
      readonly epoch: Epoch
      readonly request: number
    }
  | { readonly kind: "recorded"; readonly node: NodeId; readonly number: number }
  | {
      readonly kind: "release"
      readonly ticket: Ticket
      readonly epoch: Epoch
      readonly stopped: boolean
      readonly next: SiteId | undefined
    }

export type Phase = "unknown" | "stopped" | "starting" | "running" | "stopping" | "failed"

export interface ReportedPhase {
  readonly phase: Phase
  readonly epoch: string | undefined
  readonly reason: string
}

/**
 * Orders all states of a site (SPEC R14): the voice epoch, then the ring sequence of the last view that was entitled to
 * act, then the message in it. Views that were not entitled change no state, so a node alone never outruns the others.
 */
export interface StateNumber {
  readonly voice: number
  readonly ring: number
  /** Tells two rings of one sequence apart; does not order. */
  readonly representative: number
  readonly seq: number
}

export interface OrderedState {
  /** The last message applied, and the last one that changed anything. */
  readonly number: StateNumber
  readonly changed: StateNumber
  readonly voiceEpoch: Epoch
  readonly services: readonly ServiceRecord[]
  readonly moves: readonly { readonly ticket: Ticket; readonly site: SiteId }[]
  /** Of this view: a new one begins without, for the node may have acted since. */
  readonly confirmations: readonly ({ readonly node: NodeId } & Vouched)[]
  /** The highest operator command delivered, for each origin. */
  readonly commands: readonly {
    readonly node: NodeId
    readonly incarnation: number
    readonly number: number
  }[]
  /** Nodes that an operator wants to run no service; undefined: none. Version 1 does not say. */
  readonly standby: readonly NodeId[] | undefined
  /** An operator wants nothing done to any service of the site. Version 1 does not say. */
  readonly maintenance: boolean | undefined
}

export interface ServiceRecord {
  readonly service: ServiceName
  readonly mode: "automatic" | "manual"
  readonly wanted: "running" | "stopped"
  readonly assignment: Assignment | undefined
  readonly preferred: NodeId | undefined
  /** In manual mode: an operator asked for the next start. */
  readonly summoned: boolean
  readonly failures: readonly { readonly node: NodeId; readonly count: number }[]
  /** Where a monitor ended the last assignment, and on account of what. Version 1 does not say. */
  readonly failed: { readonly node: NodeId; readonly resource: string } | undefined
  /** Some view without one of those who remember may have assigned it since; until the next assignment. */
  readonly doubt: boolean
  /** Nodes not known to have stopped it, by their last word: to be proven once they are away. */
  readonly unstopped: readonly NodeId[]
  /** Mandate epoch of the last assignment: it was made on proof that no earlier owner acts. */
  readonly provenAt: Epoch
  /** An operator wants nothing done to it. Version 1 does not say. */
  readonly maintenance: boolean | undefined
}

export interface Assignment {
  readonly owner: NodeId
  readonly incarnation: Incarnation
  /** The activation's epoch, dotted: mandate.voice.ring.message. */
  readonly epoch: string
  readonly revoked: boolean
}

/** A site's vote and, when this site wants it, the mandate for one ticket. */
export interface TicketState {
  readonly ticket: Ticket
  /** The highest epoch this site's vote was ever given for. */
  readonly knownEpoch: Epoch
  /** The highest epoch heard of from anybody: a new claim names a higher one. */
  readonly heardEpoch: Epoch
  /** The highest pledge number known for this site. */
  readonly pledgeNumber: number
  readonly releasedEpoch: Epoch
  /** This site gave its mandate up at this epoch: votes for it or a lower one that still come in are void. */
  readonly givenUp: Epoch
  /** To whom this site's vote is bound, and until when at most. */
  readonly pledge: Pledge | undefined
  /** Coordinator: the pledge ordered and not delivered yet; nothing else is pledged meanwhile. */
  readonly ordering: { readonly site: SiteId; readonly epoch: Epoch; readonly number: number } | undefined
  /** Pledges to THIS site, by voter (site name, or `@witness`). */
  readonly votes: ReadonlyMap<string, Vote>
  /** The epoch this site claims or holds; 0: none. */
  readonly epoch: Epoch
  readonly gainedAt: Instant | undefined
  /** Assigned here since then, as far as this node knows (`proven.ts`). */
  readonly proven: readonly ServiceName[]
  /** Since when it claims in vain; undefined while it does not claim, or holds it. */
  readonly claimingSince: Instant | undefined
  /** When another holder was last known to be there; undefined: never. */
  readonly otherSeen: Instant | undefined
  readonly nextClaim: Instant
  /** Requests under way: when each was first sent, and to whom. */
  readonly requests: ReadonlyMap<
    number,
    { readonly voter: string; readonly sent: Instant; readonly epoch: Epoch }
  >
  /** No claim before then: it was just given up. */
  readonly holdOff: Instant | undefined
}

export interface Pledge {
  readonly site: SiteId
  readonly number: number
  readonly epoch: Epoch
  readonly until: Instant
}

export interface Vote {
  readonly epoch: Epoch
  readonly until: Instant
  /** Learnt by this node itself: it tells the others on the token. */
  readonly own: boolean
}

/** A service on this node. */
export interface Activation {
  readonly service: ServiceName
  readonly phase: Phase
  readonly epoch: string | undefined
  readonly operation: number | undefined
  /** Until when this node may act as owner at `epoch`; never raised except by rights that are all in order. */
  readonly deadline: Instant | undefined
  readonly written: Instant | undefined
  readonly reason: string
  /** It failed; cleared once the others have been told. */
  readonly failed: boolean
  /** Of which resource a monitor said so. */
  readonly failedResource: string | undefined
  /** Found not running while it was left alone (SPEC S17): that has failed once maintenance is over. */
  readonly lost: boolean
  /** It is to be stopped as soon as somebody is there to do it. */
  readonly stopWanted: boolean
  readonly retryAt: Instant | undefined
  /** The epoch last given up: it is never taken up again, whatever the state still says. */
  readonly ended: string | undefined
}

export interface Peer {
  readonly node: NodeConfig
  readonly sameSite: boolean
  readonly nextHello: Instant
  readonly nextProbe: Instant
  readonly probe: number
  /** The latest probe that it answered, and how many in a row while it is not a member: two-way evidence. */
  readonly lastAnswered: number
  readonly answered: number
  /** Whom it reaches both ways and who is in its ring, by its own latest word; undefined: it never said. */
  readonly reaches: readonly NodeId[] | undefined
  readonly ring: readonly NodeId[]
  /** When Gather last ended without it, and how often that has happened. */
  readonly heldOffAt: Instant | undefined
  readonly heldOff: number
  readonly health: HealthEntry | undefined
  /** As its latest join named it. */
  readonly configuration: ConfigurationMark | undefined
  /** A newer configuration is not told to it again before then. */
  readonly nextTelling: Instant
}

export interface OperatorState {
  readonly nextNumber: number
  readonly requests: readonly {
    readonly request: number
    readonly number: number
    readonly command: OperatorCommand
    readonly deadline: Instant
  }[]
}
