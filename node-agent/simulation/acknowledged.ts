/**
 * I5: a command that was acknowledged to an operator is not lost by any fault that leaves a quorum. What was ordered is in the
 * memory of the members and, where the view needed the witness, in the memo. So a command is *held* while those who have had it
 * without a break since the acknowledgement reach the majority, or do so together with the witness and its memo: whatever view
 * speaks then has one of them in it, or reads the memo. While it is held nobody who has it loses it, and no coordinator that
 * decides is without it: but one whose view decided before the acknowledgement already lives out its rights, and nothing that it
 * orders is delivered any more. What is not held any more is not looked at again.
 */
import { voiceLease } from "../../protocol/lease.ts"
import { type Epoch, type RingId, type SiteId, sameRing, siteId } from "../../protocol/units.ts"
import { siteLayout } from "../../protocol/votes.ts"
import type { ArbiterState } from "../../worker/arbiter.ts"
import { hasVoice } from "../core/rights.ts"
import type { NodeState, OrderedState } from "../core/state.ts"
import { isDriving } from "../core/view.ts"
import type { Host } from "./machine.ts"
import type { Answer } from "./told.ts"

type Entry = OrderedState["commands"][number]
type Requests = NodeState["operator"]["requests"]

/** As the view of a ring, by one grant of the voice. */
interface Deciding {
  readonly ring: RingId
  readonly voice: Epoch
  readonly since: number
}

interface Acknowledged {
  readonly site: SiteId
  readonly entry: Entry
  readonly at: number
  /** The memo was seen to have it. */
  inMemo: boolean
}

export class AcknowledgedCommands {
  /** How many there were. */
  count = 0
  readonly #hosts: ReadonlyMap<number, Host>
  readonly #witness: () => ArbiterState
  readonly #violated: (now: number, what: string) => void
  /** The newest of each node: one that has it has those before. */
  readonly #held = new Map<number, Acknowledged>()
  /** What each node's operator waits for, and what it had ordered, as of its last step. */
  readonly #before = new Map<Host, { readonly requests: Requests; readonly ordered: OrderedState }>()
  /** As what each node may decide, and since when. */
  readonly #deciding = new Map<Host, Deciding>()
  #memo = { text: "", commands: [] as readonly Entry[] }

  constructor(
    hosts: ReadonlyMap<number, Host>,
    witness: () => ArbiterState,
    violated: (now: number, what: string) => void,
  ) {
    this.#hosts = hosts
    this.#witness = witness
    this.#violated = violated
  }

  /** An operator was answered in this step. */
  answered(host: Host, { request, result }: Answer, now: number): void {
    const { node } = host
    if (node === undefined || result.kind !== "done") return
    const asked = this.#before.get(host)?.requests.find((each) => each.request === request)
    if (asked === undefined) return
    this.count += 1
    const entry = { node: host.id, incarnation: node.incarnation, number: asked.number }
    const acknowledged = { site: siteId(host.site), entry, at: now, inMemo: false }
    if (!has(node.ordered.commands, entry))
      this.#violated(now, `node ${host.id} acknowledged ${asked.command.kind} and does not have it`)
    else if (this.#isHeld(acknowledged)) this.#held.set(host.id, acknowledged)
  }

  /** The process of a node ended: what only it had is gone. */
  ended(host: Host): void {
    this.#before.delete(host)
    this.#deciding.delete(host)
    this.#lookAgain(host.site)
  }

  /** The witness was set back or replaced. */
  forgotten(): void {
    for (const acknowledged of this.#held.values()) acknowledged.inMemo = false
    for (const { name } of this.#hosts.values().next().value?.config.sites ?? []) this.#lookAgain(name)
  }

  #lookAgain(site: string): void {
    for (const [key, acknowledged] of this.#held)
      if (acknowledged.site === site && !this.#isHeld(acknowledged)) this.#held.delete(key)
  }

  stepped(host: Host, node: NodeState, now: number): void {
    const decides = isDriving(node) && hasVoice(node, node.steppedAt)
    const since = this.#decidesSince(host, node, decides, now)
    const before = this.#before.get(host)
    const { requests } = node.operator
    if (before?.requests === requests && before.ordered === node.ordered) return
    this.#before.set(host, { requests, ordered: node.ordered })
    for (const acknowledged of this.#held.values()) {
      const { entry, site } = acknowledged
      if (site !== host.site || has(node.ordered.commands, entry)) continue
      const lost = before !== undefined && has(before.ordered.commands, entry)
      if (lost || (decides && since > acknowledged.at))
        this.#violated(
          now,
          `node ${host.id} ${lost ? "lost" : "decides without"} command ${entry.node}.${entry.incarnation}.${entry.number}, acknowledged at ${acknowledged.at.toFixed(2)}`,
        )
    }
  }

  /** A view that lost the voice and got it back decides anew. */
  #decidesSince(host: Host, { view }: NodeState, decides: boolean, now: number): number {
    if (!decides || view === undefined) return now
    const { ring, voice } = view
    const known = this.#deciding.get(host)
    if (known !== undefined && sameRing(known.ring, ring) && known.voice === voice.epoch) return known.since
    this.#deciding.set(host, { ring, voice: voice.epoch, since: now })
    return now
  }

  #isHeld(acknowledged: Acknowledged): boolean {
    const { site, entry } = acknowledged
    acknowledged.inMemo ||= has(this.#memoOf(site), entry)
    const running = [...this.#hosts.values()].filter((host) => host.site === site && host.node !== undefined)
    const holders = running.filter(({ node }) => node !== undefined && has(node.ordered.commands, entry))
    const configs = new Set(running.map(({ config }) => config))
    if (configs.size === 0) return false
    return [...configs].every((config) => {
      if (!config.sites.some(({ name }) => name === site)) return false
      const { voters, weight, majority } = siteLayout(config, site)
      const votes = voters
        .filter(({ node }) => holders.some(({ id }) => id === node))
        .reduce((sum, voter) => sum + voter.votes, 0)
      return votes >= majority || (acknowledged.inMemo && votes + weight >= majority)
    })
  }

  #memoOf(site: SiteId): readonly Entry[] {
    const text = this.#witness().leases[voiceLease(site)]?.memo.text ?? ""
    if (text !== this.#memo.text) this.#memo = { text, commands: text === "" ? [] : commandsIn(text) }
    return this.#memo.commands
  }
}

function commandsIn(text: string): readonly Entry[] {
  const memo = JSON.parse(text) as { readonly state: OrderedState }
  return memo.state.commands
}

/** It, or one that the same node ordered later. */
function has(commands: readonly Entry[], { node, incarnation, number }: Entry): boolean {
  const known = commands.find((each) => each.node === node)
  if (known === undefined) return false
  return known.incarnation > incarnation || (known.incarnation === incarnation && known.number >= number)
}
