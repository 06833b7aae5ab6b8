/**
 * What must hold at every true instant, checked after each step of any node (SPEC I). The oracle knows what no node
 * knows, the true time, and reads the state of the nodes; it uses none of their debts, waits and proofs.
 *
 * - I1: at most one node may act for a service: lease files ahead at two nodes are a violation, running or not; of a
 *   service whose proof is an operator's word, two nodes that run it.
 * - I2: two nodes of a site that exercise voice do so in one view, two that exercise a ticket's mandate are in one site.
 *   Rights are taken as intervals from the later of now and `activateAt`: what overlaps would be exercised by both if
 *   nothing else happened.
 * - I3: epochs of successive activations never fall, and one epoch is never used by two nodes. Passed over where a site goes
 *   on without the memo after a lost record (SPEC V12).
 * - I4: members of a view that have delivered the same messages have the same state.
 * - I5: commands acknowledged to operators are not lost (`acknowledged.ts`).
 * - Durable numbers and ring sequences never fall; a ring has one set of members, of one configuration (LC6).
 * - No deadline beyond its proof: every member has handled the token since (L3), the claim was first sent since (W2), a
 *   site's vote is bound at one of its nodes at least as long (M3). No lease file beyond a live right (S1).
 * - What people must hear of leaves an event (A1).
 *
 * A guest that stood still without knowing may for a stated time act on what it had left (SPEC, out of scope): such a
 * machine is passed over until that time is over, and not a moment longer.
 */

import type { ConfigurationMark } from "../../protocol/frame.ts"
import type { LeaseAnswer } from "../../protocol/lease.ts"
import {
  type Instant,
  type NodeId,
  type RingId,
  ringKey,
  type ServiceName,
  sameRing,
} from "../../protocol/units.ts"
import type { ArbiterState } from "../../worker/arbiter.ts"
import { compatible, markOf } from "../core/configuration-spread.ts"
import { serviceUntil } from "../core/rights.ts"
import type { NodeState, OrderedState } from "../core/state.ts"
import { AcknowledgedCommands } from "./acknowledged.ts"
import { type Audible, audibleOf, isUnsaid, toldOf } from "./audible.ts"
import { holderOf, isOneHolder, type Right, rightsOf } from "./exercised.ts"
import { type Host, trueTime } from "./machine.ts"

/** Documents that an answer may still name. */
const postedMax = 2000

/** One is enough; the rest mostly repeats it. */
const violationsMax = 10

type Granted = LeaseAnswer & { readonly kind: "granted" | "renewed" | "repeated" }

/** A site's vote that a node counts on, until then in true time. */
interface Counted {
  readonly voter: string
  readonly ticket: string
  readonly epoch: number
  readonly until: number
}

interface Seen {
  readonly id: NodeId
  /** What the voice of its site is called. */
  readonly voice: string
  audible: Audible | undefined
  lastHandling: Instant | undefined
  /** Those that it exercises. */
  rights: readonly Right[]
  ordered: OrderedState | undefined
  /** The ring whose token it handles. */
  handling: RingId | undefined
  ring: string
  /** The same as its view has it. */
  viewRing: RingId | undefined
  ringSequence: number
  durable: readonly number[]
  /** The parts of the state that the last looks were at: while they are the same, nothing new is to be found. */
  looked: Looked
}

interface Looked {
  readonly view: NodeState["view"]
  readonly tickets: NodeState["tickets"] | undefined
  readonly lease: Instant | undefined
  readonly disk: Host["disk"]
}

const nothing: Looked = { view: undefined, tickets: undefined, lease: undefined, disk: undefined }

export class Oracle {
  readonly violations: string[] = []
  readonly #hosts: ReadonlyMap<number, Host>
  readonly #seen = new Map<Host, Seen>()
  readonly #lastActivation = new Map<ServiceName, { epoch: string; node: number }>()
  /** Activations, as `service|epoch`, that a guest which stood still woke with: its next view may go on with them (SPEC, out of scope). */
  readonly #handedOn = new Set<string>()
  /** By `ring|number`: the state, and who had it first. */
  readonly #states = new Map<string, { readonly text: string; readonly node: number }>()
  readonly #rings = new Map<string, { readonly members: string; readonly mark: ConfigurationMark }>()
  /** By `ring|node`: the true time of the node's latest handling of the ring's token. */
  readonly #handled = new Map<string, number>()

  /** By `node.life.counter`: the true time of a document's first sending. */
  readonly #posted = new Map<string, number>()
  /** By `voter|ticket|site`, and epoch: until when some node of the voter holds it bound, in true time. */
  readonly #boundUntil = new Map<string, Map<number, number>>()
  /** By `lease|site`: until when anybody there may count on it, in true time. */
  readonly #provenUntil = new Map<string, number>()

  readonly acknowledged: AcknowledgedCommands

  constructor(hosts: ReadonlyMap<number, Host>, witness: () => ArbiterState) {
    this.#hosts = hosts
    this.acknowledged = new AcknowledgedCommands(hosts, witness, (now, what) =>
      this.#violated(now, "I5", what),
    )
  }

  #violated(now: number, rule: string, what: string): void {
    if (this.violations.length < violationsMax) this.violations.push(`t=${now.toFixed(2)} ${rule} ${what}`)
  }

  #seenOf(host: Host): Seen {
    const known = this.#seen.get(host)
    if (known !== undefined) return known
    const seen: Seen = {
      id: host.id,
      voice: `voice:${host.site}`,
      audible: undefined,
      lastHandling: undefined,
      rights: [],
      ordered: undefined,
      handling: undefined,
      ring: "",
      viewRing: undefined,
      ringSequence: 0,
      durable: [],
      looked: nothing,
    }
    this.#seen.set(host, seen)
    return seen
  }

  /** The agent's process has ended: it exercises nothing. `lost`: its record was lost, numbers start anew. */
  ended(host: Host, lost: boolean): void {
    const seen = this.#seenOf(host)
    seen.rights = []
    seen.ordered = undefined
    seen.audible = undefined
    seen.looked = nothing
    seen.handling = undefined
    this.acknowledged.ended(host)
    if (!lost) return
    seen.durable = []
    seen.ringSequence = 0
  }

  /** After a step, before its effects: what it handled may be what they rest on. */
  handled(host: Host, now: number): void {
    const { ring } = host.node ?? {}
    const seen = this.#seenOf(host)
    // A ring left in this step may have been handled in it, for the last time.
    const { handling } = seen
    if (handling !== undefined && (ring === undefined || !sameRing(handling, ring.id)))
      this.#handled.set(`${ringKey(handling)}|${host.id}`, now)
    seen.handling = ring?.id
    if (ring?.lastHandling === undefined || ring.lastHandling === seen.lastHandling) return
    seen.lastHandling = ring.lastHandling
    this.#handled.set(`${ringKey(ring.id)}|${host.id}`, trueTime(host, ring.lastHandling))
  }

  /** A document was sent for the first time. */
  posted(host: Host, counter: number, now: number): void {
    this.#posted.set(`${host.id}.${host.life}.${counter}`, now)
    const [oldest] = this.#posted.keys()
    if (this.#posted.size > postedMax && oldest !== undefined) this.#posted.delete(oldest)
  }

  /** A grant reached the node whose claim it names: until then it, and whom it tells, may count on the lease. */
  granted(host: Host, { name, claim, ttl }: Granted): void {
    const posted = this.#posted.get(`${host.id}.${host.life}.${claim.counter}`)
    if (claim.node !== host.id || posted === undefined) return
    const until = posted + ttl / (1 - host.config.timings.rho)
    const key = `${name}|${host.site}`
    this.#provenUntil.set(key, Math.max(until, this.#provenUntil.get(key) ?? 0))
  }

  #checkGrants(host: Host, node: NodeState, voice: string, now: number): void {
    this.#checkGrant(host, voice, node.view?.voice.deadline, now)
    for (const { ticket, votes } of node.tickets.values()) {
      for (const [voter, vote] of votes) {
        const until = trueTime(host, vote.until)
        if (until <= now) continue
        if (voter === "@witness") this.#checkGrant(host, `mandate:${ticket}`, vote.until, now)
        else this.#checkBound(host, { voter, ticket, epoch: vote.epoch, until }, now)
      }
    }
  }

  #checkGrant(host: Host, name: string, deadline: Instant | undefined, now: number): void {
    const until = deadline === undefined ? 0 : trueTime(host, deadline)
    if (until <= now) return
    const proven = this.#provenUntil.get(`${name}|${host.site}`) ?? 0
    if (until > proven + 0.001)
      this.#violated(now, "W2", `${name}: node ${host.id} until ${until}, proven until ${proven}`)
  }

  /** A release that was told and the pledges that it frees may be delivered in one step, and answers for these be sent after it (SPEC M11). */
  #isGivenUp(site: string, ticket: string, epoch: number): boolean {
    return [...this.#hosts.values()].some(
      (host) =>
        host.site === site &&
        host.disk?.tickets.some((stored) => stored.ticket === ticket && (stored.givenUp ?? 0) >= epoch),
    )
  }

  #checkBound(host: Host, { voter, ticket, epoch, until }: Counted, now: number): void {
    // One step may deliver a pledge and the next one to the same site, at a higher epoch: the former is not seen.
    let bound = 0
    for (const [at, end] of this.#boundUntil.get(`${voter}|${ticket}|${host.site}`) ?? [])
      if (at >= epoch) bound = Math.max(bound, end)
    if (until > bound + 0.001 && !this.#isGivenUp(host.site, ticket, epoch))
      this.#violated(
        now,
        "M3",
        `${ticket}: node ${host.id} counts ${voter} until ${until}, bound until ${bound}`,
      )
  }

  #noteBindings(host: Host, node: NodeState): void {
    for (const { ticket, pledge } of node.tickets.values()) {
      if (pledge === undefined) continue
      const key = `${host.site}|${ticket}|${pledge.site}`
      const known = this.#boundUntil.get(key) ?? new Map<number, number>()
      known.set(pledge.epoch, Math.max(trueTime(host, pledge.until), known.get(pledge.epoch) ?? 0))
      this.#boundUntil.set(key, known)
    }
  }

  stepped(host: Host, now: number): void {
    const { node } = host
    if (node === undefined) return
    // The memo was not to be had after a lost record: epochs may fall (SPEC V12).
    if (node.unaided) this.#lastActivation.clear()
    const seen = this.#seenOf(host)
    const { looked } = seen
    const lease = node.ring?.lease
    const isNew = looked.view !== node.view || looked.tickets !== node.tickets
    if (isNew) this.#noteBindings(host, node)
    if (host.exposedUntil > now) {
      seen.rights = []
      seen.looked = { ...nothing, disk: looked.disk }
    } else {
      if (isNew || looked.lease !== lease) this.#checkRights(host, node, seen, now)
      if (isNew) this.#checkGrants(host, node, seen.voice, now)
      if (isNew || looked.lease !== lease)
        seen.looked = { view: node.view, tickets: node.tickets, lease, disk: looked.disk }
    }
    this.acknowledged.stepped(host, node, now)
    this.#checkActs(host, node, now)
    this.#checkAudible(host, node, seen, now)
    this.#checkRing(host, node, seen, now)
    this.#checkOrdered(host, node, seen, now)
    this.#checkDurable(host, node, seen, now)
  }

  /** L7: before its time a view orders no pledge, no assignment and no release. */
  #checkActs(host: Host, { view, tickets }: NodeState, now: number): void {
    if (view === undefined || trueTime(host, view.activateAt) <= now + 0.001) return
    const acts = [...view.underWay].filter((act) => /^(assign|revoke|release):/.test(act))
    const pledged = [...tickets.values()].some((state) => state.ordering !== undefined)
    if (pledged || acts.length > 0)
      this.#violated(now, "L7", `node ${host.id} acts before its view may: ${pledged ? "pledge" : acts}`)
  }

  /** Every change that people must hear of came with an event in the same step. */
  #checkAudible(host: Host, node: NodeState, seen: Seen, now: number): void {
    const before = seen.audible
    const audible = audibleOf(node, before)
    seen.audible = audible
    if (before !== undefined && isUnsaid(before, audible))
      this.#violated(now, "A1", `node ${host.id} said nothing of ${toldOf(before)}, then ${toldOf(audible)}`)
  }

  #checkRights(host: Host, node: NodeState, seen: Seen, now: number): void {
    seen.rights = rightsOf(host, node, seen.voice, now)
    for (const mine of seen.rights) {
      for (const other of this.#seen.values()) if (other !== seen) this.#checkOverlap(host, mine, other, now)
    }
  }

  #checkOverlap(host: Host, mine: Right, { id, rights }: Seen, now: number): void {
    for (const theirs of rights) {
      const overlap = Math.min(mine.until, theirs.until) - Math.max(mine.from, theirs.from, now)
      if (overlap <= 0 || theirs.name !== mine.name || isOneHolder(mine, theirs)) continue
      this.#violated(
        now,
        "I2",
        `${mine.name}: node ${host.id} as ${holderOf(mine)} and node ${id} as ${holderOf(theirs)}`,
      )
    }
  }

  #checkRing(host: Host, node: NodeState, seen: Seen, now: number): void {
    const { view } = node
    if (view === undefined || view.ring === seen.viewRing) return
    seen.viewRing = view.ring
    if (ringKey(view.ring) === seen.ring) return
    seen.ring = ringKey(view.ring)
    if (view.ring.sequence <= seen.ringSequence)
      this.#violated(now, "R8", `node ${host.id}: ring ${seen.ring} after sequence ${seen.ringSequence}`)
    seen.ringSequence = view.ring.sequence
    const [members, mark] = [view.members.join(","), markOf(node)]
    const known = this.#rings.get(seen.ring)
    this.#rings.set(seen.ring, { members, mark })
    if (known === undefined) return
    if (known.members !== members)
      this.#violated(now, "R9", `ring ${seen.ring} has members ${known.members} and ${members}`)
    if (!compatible(mark, known.mark))
      this.#violated(now, "LC6", `ring ${seen.ring} with versions ${known.mark.version} and ${mark.version}`)
  }

  #checkOrdered(host: Host, { view, ring, ordered }: NodeState, seen: Seen, now: number): void {
    if (view === undefined || ordered === seen.ordered) return
    seen.ordered = ordered
    // A memo comes under the number of what was decided before it.
    const delivered = ring === undefined ? "left" : ring.delivered
    const key = `${ringKey(view.ring)}|${ordered.number.ring}.${ordered.number.seq}|${delivered}`
    const text = JSON.stringify(ordered)
    const known = this.#states.get(key)
    if (known === undefined) this.#states.set(key, { text, node: host.id })
    else if (known.text !== text)
      this.#violated(
        now,
        "I4",
        `nodes ${known.node} and ${host.id} differ at ${key}:\n${known.text}\n${text}`,
      )
  }

  /** What is on the disk: what was only ordered may be lost with the process. */
  #checkDurable(host: Host, node: NodeState, seen: Seen, now: number): void {
    const { disk: state } = host
    if (state === undefined || state === seen.looked.disk) return
    seen.looked = { ...seen.looked, disk: state }
    const tickets = node.config.tickets.flatMap(({ name }) => {
      const {
        epoch = 0,
        pledgeNumber = 0,
        releasedEpoch = 0,
        givenUp = 0,
      } = state.tickets.find((each) => each.ticket === name) ?? {}
      return [epoch, pledgeNumber, releasedEpoch, givenUp]
    })
    const numbers = [state.incarnation, state.ringSequence, state.voiceEpoch, ...tickets]
    const fell = seen.durable.findIndex((before, index) => (numbers[index] ?? 0) < before)
    if (fell >= 0) this.#violated(now, "D1", `node ${host.id}: ${seen.durable} then ${numbers}`)
    seen.durable = numbers
  }

  /** A lease file was written. */
  leased(host: Host, service: ServiceName, now: number): void {
    const lease = host.leases.get(service)
    if (lease === undefined || lease.until <= now || host.exposedUntil > now) return
    this.#checkLease(host, service, now)
    this.#checkRight(host, service, lease.until, now)
    this.#checkProof(host, service, lease.until, now)
  }

  /** A service was started: what nothing but an operator or a reset ends must not run elsewhere. */
  started(host: Host, service: ServiceName, now: number): void {
    if (host.exposedUntil > now) return
    const lease = host.leases.get(service)
    if (lease !== undefined && lease.until > now) this.#checkLease(host, service, now)
    const proof = host.config.services.find((each) => each.name === service)?.proof.kind
    if (proof !== "operator" && proof !== "watchdog") return
    for (const other of this.#hosts.values()) {
      if (other !== host && other.exposedUntil <= now && other.running.has(service))
        this.#violated(now, "I1", `${service} runs on node ${host.id} and on node ${other.id}`)
    }
  }

  #checkLease(host: Host, service: ServiceName, now: number): void {
    const mine = host.leases.get(service)
    if (mine === undefined) return
    const proof = host.config.services.find((each) => each.name === service)?.proof
    // A service that ends itself is surely gone the margin after its deadline.
    const margin = proof?.kind === "self-lease" ? proof.margin : 0
    for (const other of this.#hosts.values()) {
      const theirs = other.leases.get(service)
      if (other === host || theirs === undefined || isPassedOver(other, now)) continue
      // What a guest that stood still was left with, its service uses to the end of its margin.
      if (theirs.until <= other.exposedUntil) continue
      if (theirs.until + (other.running.has(service) ? margin : 0) <= now) continue
      const until = Math.min(mine.until, theirs.until).toFixed(2)
      this.#violated(
        now,
        "I1",
        `${service}: node ${host.id} (${mine.epoch}) and node ${other.id} (${theirs.epoch}) until ${until}`,
      )
    }
    this.#checkEpoch(host, service, mine.epoch, now)
  }

  /** Its whole guest stood still, and it cannot know. */
  wokeUnaware(host: Host): void {
    for (const [service, { epoch }] of host.leases) this.#handedOn.add(`${service}|${epoch}`)
  }

  #checkEpoch(host: Host, service: ServiceName, epoch: string, now: number): void {
    if (this.#handedOn.has(`${service}|${epoch}`)) return
    const last = this.#lastActivation.get(service)
    this.#lastActivation.set(service, { epoch, node: host.id })
    if (last === undefined) return
    const difference = compareEpochs(epoch, last.epoch)
    if (difference < 0 || (difference === 0 && last.node !== host.id))
      this.#violated(
        now,
        "I3",
        `${service}: ${epoch} on node ${host.id} after ${last.epoch} on node ${last.node}`,
      )
  }

  /** S1: voice and mandate of this very moment reach as far as the file does. */
  #checkRight(host: Host, service: ServiceName, until: number, now: number): void {
    const { node } = host
    // It left the ring after the write, in the same step: what is left of its rights may be used (L3).
    if (node?.ring === undefined) return
    const ticket = host.config.services.find((each) => each.name === service)?.ticket
    const state = ticket === undefined ? undefined : node.tickets.get(ticket)
    const right = state === undefined ? undefined : serviceUntil(node, state)
    if (right !== undefined && until <= trueTime(host, right) + 0.001) return
    this.#violated(now, "S1", `${service}: node ${host.id} until ${until}, with rights until ${right}`)
  }

  /** L2, L3: every member has handled the ring's token so lately that the deadline is within its lease. */
  #checkProof(host: Host, service: ServiceName, until: number, now: number): void {
    const { node } = host
    if (node?.ring === undefined) return
    const { lease, rho } = node.config.timings
    for (const member of node.ring.members) {
      const handled = this.#handled.get(`${ringKey(node.ring.id)}|${member}`)
      if (handled !== undefined && until <= handled + lease / (1 - rho) + 0.001) continue
      this.#violated(
        now,
        "L3",
        `${service}: node ${host.id} until ${until.toFixed(2)}, node ${member} handled at ${handled}`,
      )
    }
  }
}

/** It stands still, or goes on and cannot know that it did. */
const isPassedOver = (host: Host, now: number): boolean =>
  host.suspendedAt !== undefined || host.exposedUntil > now

/** Of two dotted activation epochs: which is later. */
export function compareEpochs(a: string, b: string): number {
  const [left, right] = [a.split("."), b.split(".")]
  for (const [index, part] of left.entries()) {
    const difference = Number(part) - Number(right[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
