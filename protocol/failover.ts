/**
 * How long a service is away at most after one fault, from the timings alone: for each kind of fault who goes on, the bound and how it comes
 * about. The bounds hold while nothing else fails, passes and loops keep within their budgets (`pass_ms`,
 * `lateness_ms`), and witness and WAN answer within the times assumed below. They are compared with what simulated clusters
 * of the same configuration do. What a service needs for starting comes on top.
 */
import { never } from "./assert.ts"
import type { ClusterConfig, NodeConfig, ServiceConfig, SiteConfig } from "./cluster.ts"
import { type Millis, millis, type NodeId, stretched } from "./units.ts"
import { mandateVoters, viewStanding } from "./votes.ts"
import { resetSurelyAfter } from "./watchdog.ts"

/** Of the network beyond the ring; people read them beside the bounds. */
export const assumed = {
  /** From posting a claim to its answer, without the arbitration window. */
  witnessAnswer: millis(250),
  /** Claims that would change the holder wait for rivals (SPEC W10). */
  arbitrationWindow: millis(50),
  /** Between two sites, one way. */
  wanDelay: millis(100),
  /** From ordering a durable write to its end. */
  write: millis(50),
} as const

export interface FaultBound {
  readonly fault: string
  readonly outcome: string
  /** How long the service is away at most; `undefined`: until somebody or something comes back. */
  readonly worst: Millis | undefined
  /** The bound with its numbers; empty where there is nothing to add up. */
  readonly figures: string
  /** Who takes the service over, where somebody does by itself. */
  readonly heir?: "node" | "site"
}

/** The longest takeovers that happen by themselves; `undefined`: there is none. */
export interface TakeoverBounds {
  /** Another node of the site takes over. */
  readonly node: Millis | undefined
  /** Another site does. */
  readonly site: Millis | undefined
}

/** Passes from the first join to the installed view: joins, commit token, reports, and two for their safety. */
const formingPasses = 6
/** Passes until a message that was ordered is delivered everywhere: one to pick it up, two until it is safe. */
const orderPasses = 3
/** Heartbeats that must be missing before another holder counts as gone (SPEC M10). */
const heartbeatsMissing = 3

/** For one service, every kind of fault that its layout can have. */
export function faultBounds(config: ClusterConfig, service: ServiceConfig): readonly FaultBound[] {
  const ticket = config.tickets.find(({ name }) => name === service.ticket)
  const sites = config.sites.filter(({ name }) => ticket?.sites.includes(name))
  const scene: Scene = { config, service, sites, times: timesOf(config, service) }
  return [
    ...sites.flatMap((site) => nodeFaults(scene, site)),
    ...siteFaults(scene),
    ...witnessFaults(scene),
    serviceFault(scene),
  ]
}

export function takeoverBounds(config: ClusterConfig, service: ServiceConfig): TakeoverBounds {
  const bounds = faultBounds(config, service)
  const longest = (heir: FaultBound["heir"]): Millis | undefined => {
    const times = bounds.flatMap((bound) =>
      bound.heir === heir && bound.worst !== undefined ? [bound.worst] : [],
    )
    return times.length === 0 ? undefined : millis(Math.max(...times))
  }
  return { node: longest("node"), site: longest("site") }
}

interface Scene {
  readonly config: ClusterConfig
  readonly service: ServiceConfig
  readonly sites: readonly SiteConfig[]
  readonly times: Times
}

/** The parts that bounds are made of. */
interface Times {
  /** Until a dead node is accused, from its death (as T1 counts). */
  readonly detect: number
  readonly form: number
  /** Until activateAt, from the death: a survivor may have handled the token one pass later (SPEC L4). */
  readonly debt: number
  readonly order: number
  /** What an owner's lease still has when another node dies. */
  readonly leaseLeft: number
  /** Until an owner that is gone surely acts no more, once its rights are over; `undefined`: a person says so. */
  readonly margin: number | undefined
  /** Until its fence devices have turned it off and the confirmation is ordered; `undefined`: not each node has one. */
  readonly fence: number | undefined
  /** Until the view that needs the witness was granted its voice and all its members know. */
  readonly voice: number
}

function timesOf(config: ClusterConfig, service: ServiceConfig): Times {
  const t = config.timings
  const order = orderPasses * t.pass
  return {
    detect: t.heartbeat + 2 * t.pass + t.misses * t.retransmit + t.lateness,
    form: formingPasses * t.pass,
    debt: t.pass + stretched(t.lease, t.rho),
    order,
    leaseLeft: t.lease - t.heartbeat - 2 * t.pass,
    margin: marginOf(config, service),
    fence: fenceOf(config, service, order),
    // The first answer may bring a memo of others; then the plan is written with one more claim (SPEC VL5).
    voice: 2 * assumed.witnessAnswer + assumed.arbitrationWindow + assumed.write + order,
  }
}

function marginOf({ nodes, timings }: ClusterConfig, service: ServiceConfig): number | undefined {
  switch (service.proof.kind) {
    case "self-lease":
      return stretched(service.proof.margin, timings.rho)
    case "watchdog":
      return Math.max(
        ...nodes.flatMap(({ id, watchdog }) =>
          watchdog !== undefined && service.nodes.includes(id)
            ? [resetSurelyAfter(watchdog.timeout, timings.rho)]
            : [],
        ),
      )
    // It closes with the lease, by the kernel's own hand.
    case "gate":
      return 0
    case "operator":
      return undefined
    default:
      return never(service.proof)
  }
}

/** The first level at once: if it fails, more than one thing fails. An agent's `off`, then its `status`. */
function fenceOf({ fences = [] }: ClusterConfig, service: ServiceConfig, order: number): number | undefined {
  const times = service.nodes.map((id) => {
    const devices = fences.filter((device) => device.nodes.some(({ node }) => node === id))
    const first = Math.min(...devices.map(({ level }) => level))
    return Math.max(
      ...devices.filter(({ level }) => level === first).map(({ delay, timeout }) => delay + 2 * timeout),
    )
  })
  return times.every(Number.isFinite) ? Math.max(...times) + order : undefined
}

const standings = ["majority-alone", "needs-witness", "minority"] as const

/** The nodes of a site by what is left of it without them. */
function nodeFaults(scene: Scene, site: SiteConfig): readonly FaultBound[] {
  const { config } = scene
  const nodes = config.nodes.filter((node) => node.site === site.name)
  const standingWithout = ({ id }: NodeConfig) => {
    const rest = nodes.map((node) => node.id).filter((other) => other !== id)
    return rest.length === 0 ? "minority" : viewStanding(config, site.name, rest).kind
  }
  return standings.flatMap((standing) => {
    const group = nodes.filter((node) => standingWithout(node) === standing)
    if (group.length === 0) return []
    const who = nameGroup(site, nodes, group)
    const heirs = (dead: NodeId): boolean =>
      scene.service.nodes.some((id) => id !== dead && nodes.some((node) => node.id === id))
    const owners = group.filter(({ id }) => scene.service.nodes.includes(id))
    const here = owners.filter(({ id }) => heirs(id))
    const away = owners.filter(({ id }) => !heirs(id))
    if (standing === "minority") return [siteStops(scene, site, `${who} dies`)]
    return [
      ...(here.length > 0 ? [ownerDies(scene, who, standing)] : []),
      ...(away.length > 0 ? [noHeir(site, who)] : []),
      ...(nodes.length > 1 ? [bystanderDies(scene, who, standing)] : []),
    ]
  })
}

function nameGroup(site: SiteConfig, all: readonly NodeConfig[], group: readonly NodeConfig[]): string {
  return group.length === all.length && group.length > 1
    ? `one node of ${site.name}`
    : group.map(({ name }) => name).join(" or ")
}

function ownerDies({ times }: Scene, who: string, standing: string): FaultBound {
  const fault = `${who} dies, running it`
  const proof = times.margin ?? times.fence
  if (proof === undefined) return blocked(fault)
  const { total, figures } = newView(times, standing)
  const word = times.margin === undefined ? "fence" : "margin"
  return {
    fault,
    outcome: standing === "needs-witness" ? "the rest goes on with the witness" : "the rest goes on alone",
    worst: millis(total + proof + times.order),
    figures: `${figures} + ${word} ${figure(proof)} + order ${figure(times.order)}`,
    heir: "node",
  }
}

/** Until a new view may act: what absent members may do is over, it is installed and, if need be, granted the voice. */
function newView(times: Times, standing: string): { readonly total: number; readonly figures: string } {
  const { debt, detect, form, voice } = times
  const formed = `detect ${figure(detect)} + form ${figure(form)}`
  return standing === "needs-witness"
    ? {
        total: Math.max(debt, detect + form + voice),
        figures: `max(lease' ${figure(debt)}, ${formed} + voice ${figure(voice)})`,
      }
    : {
        total: Math.max(debt, detect + form),
        figures: `max(lease' ${figure(debt)}, ${formed})`,
      }
}

function bystanderDies({ times }: Scene, who: string, standing: string): FaultBound {
  const { total, figures } = newView(times, standing)
  return {
    fault: `${who} dies, not running it`,
    outcome: "stays; its lease may pause",
    worst: millis(Math.max(0, total - times.leaseLeft)),
    figures: `${figures} - lease left ${figure(times.leaseLeft)}`,
  }
}

function noHeir(site: SiteConfig, who: string): FaultBound {
  return {
    fault: `${who} dies, running it`,
    outcome: `no other node of ${site.name} is able to run it: stops until an operator moves the ticket`,
    worst: undefined,
    figures: "",
  }
}

function blocked(fault: string): FaultBound {
  return {
    fault,
    outcome: "blocked until `quorumbeat fence confirm` (proof operator)",
    worst: undefined,
    figures: "",
  }
}

/** The site no longer speaks: as if it were lost. */
function siteStops(scene: Scene, site: SiteConfig, fault: string): FaultBound {
  if (scene.sites.length < 2)
    return {
      fault,
      outcome: `${site.name} no longer speaks: stops until it is back`,
      worst: undefined,
      figures: "",
    }
  return siteLost(scene, fault)
}

function siteFaults(scene: Scene): readonly FaultBound[] {
  const { sites, config, service } = scene
  const { mandateTtl } = config.timings
  if (sites.length < 2) return []
  const witnessVotes = mandateVoters(config, service.ticket).some(({ kind }) => kind === "witness")
  const goesOn = sites.length > 2 || witnessVotes
  const none = millis(0)
  return [
    siteLost(scene, "the site that holds the ticket is lost"),
    {
      fault: "another site is lost",
      outcome: goesOn ? "stays" : "stops: no majority of two is left",
      worst: goesOn ? none : undefined,
      figures: "",
    },
    {
      fault: sites.length > 2 ? "one site is cut off from the others, not holding it" : "the WAN is cut",
      outcome: goesOn ? "stays at the site that holds the ticket" : "stops everywhere: nobody breaks the tie",
      worst: goesOn ? none : undefined,
      figures: "",
    },
    ...(witnessVotes
      ? [
          {
            fault: "the WAN is cut and the witness is away",
            outcome: `stops everywhere within mandate_ttl ${figure(mandateTtl)}`,
            worst: undefined,
            figures: "",
          },
        ]
      : []),
  ]
}

function siteLost({ config, sites, service, times }: Scene, fault: string): FaultBound {
  const t = config.timings
  const voters = mandateVoters(config, service.ticket)
  if (sites.length === 2 && voters.length === 2)
    return { fault, outcome: "stops: no other site has a majority of two", worst: undefined, figures: "" }
  if (times.margin === undefined) return blocked(fault)
  const ttl = stretched(t.mandateTtl, t.rho)
  // The vote is bound from its delivery, and the witness's entry watched from the next reply that shows it.
  const vote = assumed.wanDelay + times.order + assumed.write
  const watched = voters.some(({ kind }) => kind === "witness")
    ? t.summaryInterval + assumed.witnessAnswer
    : 0
  const seen = Math.max(vote, watched)
  const turn = heartbeatsMissing * t.wanHeartbeat + (sites.length - 1) * t.claimStagger
  const free =
    sites.length > 2 ? ttl + seen + (sites.length - 1) * t.claimStagger : Math.max(ttl + seen, turn)
  // A claim may meet a higher epoch, and is then made again.
  const claim = 2 * (2 * assumed.wanDelay + assumed.witnessAnswer + times.order + assumed.write)
  const ranks = sites.length > 2 ? ` + rank ${figure((sites.length - 1) * t.claimStagger)}` : ""
  return {
    fault,
    outcome: "the next site in order goes on",
    worst: millis(free + claim + times.margin + times.order),
    figures: `mandate_ttl' ${figure(ttl)} + seen ${figure(seen)}${ranks} + claim ${figure(claim)} + margin ${figure(times.margin)} + order ${figure(times.order)}`,
    heir: "site",
  }
}

function witnessFaults({ config, sites }: Scene): readonly FaultBound[] {
  if (config.witness === undefined) return []
  const wan = sites.length > 1 ? " and the sites hear each other" : ""
  return [
    {
      fault: "the witness is away",
      outcome: `stays, while views speak alone${wan}`,
      worst: millis(0),
      figures: "",
    },
  ]
}

/** It ends by itself: found by its monitor, stopped, and started again where it failed least. */
function serviceFault({ service, times }: Scene): FaultBound {
  const found = Math.max(...service.resources.map((each) => each.monitorInterval + each.monitorTimeout))
  const stop = service.resources.reduce((sum, each) => sum + each.stopTimeout, 0)
  return {
    fault: "the service itself fails",
    outcome: "stopped and started again, elsewhere if it can",
    worst: millis(found + stop + 2 * times.order),
    figures: `monitor ${figure(found)} + stop ${figure(stop)} + order ${figure(2 * times.order)}`,
  }
}

function figure(value: number): string {
  return String(Math.round(value * 10) / 10)
}
