/**
 * Sends the pages that `paging/pager.ts` decides on: reads the alert rules of this node's own disk, sends, keeps the timer.
 * Runs in the control process, whose troubles are not the ring's. A file that cannot be used costs pages, not the node.
 */
import { randomInt } from "node:crypto"
import { lookup as systemLookup } from "node:dns"
import { statSync } from "node:fs"
import type { ClusterConfig } from "../../../protocol/cluster.ts"
import { after, millis, type WallTime, wallTime } from "../../../protocol/units.ts"
import type { NodeStatus } from "../../core/status.ts"
import {
  type AlertFile,
  classify,
  type HttpAnswer,
  type Notification,
  type Receiver,
  readAlertFile,
  refusedAddress,
  refusedTarget,
  requestFor,
  silenceOf,
} from "../../paging/page.ts"
import {
  idlePager,
  type Letter,
  nextLetters,
  nextLook,
  observe,
  type Pager,
  referenceOf,
  type Sight,
  settled,
} from "../../paging/pager.ts"
import { sightOf } from "../../paging/sight.ts"
import { monotonicNow, wallNow } from "../clock.ts"
import { readSecret } from "../key-file.ts"
import { HttpClient, type Lookup } from "./http-post.ts"
import type { Log } from "./log-writer.ts"

export interface DirectPagesOptions {
  readonly config: ClusterConfig
  /** Alert rules with receivers and their secrets; only its owner may read it. */
  readonly file: string
  readonly log: Log
}

const timeoutMs = 10_000
/** Looks that are due sooner still wait so long, or a mistake in arithmetic would be a loop. */
const lookSoonestMs = 50
const lookLatestMs = 60_000

export class DirectPages {
  readonly #options: DirectPagesOptions
  readonly #http = new HttpClient(checkedLookup)
  #file: AlertFile | undefined
  #fileSeen = ""
  #pager: Pager = idlePager
  #sight: Sight | undefined
  #timer: NodeJS.Timeout | undefined
  /** Wall time at an instant of the monotonic clock: a step of the wall clock neither hastens nor holds up a page. */
  #anchor = { wall: wallNow(), at: monotonicNow() }
  #closed = false

  constructor(options: DirectPagesOptions) {
    this.#options = options
    this.#readFile()
  }

  /** With every new picture of the node, about once a second. */
  see(status: NodeStatus): void {
    this.#readFile()
    this.#sight = sightOf(status, this.#options.config)
    this.#look()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#http.close()
  }

  #look(): void {
    if (this.#closed || this.#sight === undefined || this.#file === undefined) return
    const { rules, receivers } = this.#file
    const before = this.#pager.mode
    if (before === "reachable") this.#anchor = { wall: wallNow(), at: monotonicNow() }
    const now = this.#now()
    const pager = observe(this.#pager, this.#sight, { rules, cluster: this.#options.config.name }, now)
    const next = nextLetters(pager, receivers, now)
    this.#pager = next.pager
    if (pager.mode !== before) this.#options.log("warn", "direct-paging", { mode: pager.mode })
    for (const letter of next.letters) void this.#send(letter, letter.receiver)
    this.#setTimer(receivers, now)
  }

  #setTimer(receivers: readonly Receiver[], now: WallTime): void {
    clearTimeout(this.#timer)
    if (this.#pager.mode !== "paging") return
    const wait = (nextLook(this.#pager, receivers) ?? now + lookLatestMs) - now
    this.#timer = setTimeout(() => this.#look(), Math.min(Math.max(wait, lookSoonestMs), lookLatestMs))
  }

  async #send(letter: Letter, receiver: Receiver): Promise<void> {
    const { notification, rendering } = letter
    const reference = referenceOf(this.#pager, notification)
    const request = await requestFor(notification, receiver, { now: this.#now(), reference, rendering })
    const answer = request === undefined ? undefined : await this.#ask(request)
    if (this.#closed) return
    const now = this.#now()
    const outcome = answer && classify(receiver, answer, now)
    const chance = randomInt(2 ** 32) / 2 ** 32
    const { pager, ending } = settled(this.#pager, { notification, receiver, outcome, chance }, now)
    this.#pager = pager
    this.#tell(notification, ending, outcome?.reason ?? silenceOf(receiver, notification.action))
    this.#look()
  }

  #tell(notification: Notification, ending: ReturnType<typeof settled>["ending"], reason: string): void {
    const { receiver, action, incidents } = notification
    const [lead] = incidents
    const level = ending === "told" || ending === "not-told" ? "info" : ending === "again" ? "warn" : "error"
    this.#options.log(level, "page", {
      receiver,
      action,
      incident: lead.id,
      title: lead.title,
      ending,
      reason,
    })
  }

  async #ask(request: Parameters<HttpClient["ask"]>[0]): Promise<HttpAnswer> {
    const refused = refusedTarget(request.url)
    if (refused !== undefined) return { kind: "failed", reason: refused }
    const answer = await this.#http.ask(request, after(monotonicNow(), millis(timeoutMs)))
    return answer.kind === "ok"
      ? { kind: "answered", ...answer.value }
      : { kind: "failed", reason: answer.error }
  }

  /** At the start, and whenever it changed: secrets are changed without restarting a node. */
  #readFile(): void {
    const { file, log } = this.#options
    const seen = versionOf(file)
    if (seen === this.#fileSeen) return
    this.#fileSeen = seen
    const text = readSecret(file)
    const read = text.kind === "ok" ? readAlertFile(text.value) : text
    if (read.kind === "ok") this.#file = read.value
    // The former one, if there was one, is better than none.
    else log("error", "alerts-file-unusable", { file, reason: read.error })
  }

  #now(): WallTime {
    return wallTime(this.#anchor.wall + Math.round(monotonicNow() - this.#anchor.at))
  }
}

/** Connects to addresses only that were checked: what a name resolves to may change between a check and a connection. */
export const checkedLookup: Lookup = (hostname, options, callback) => {
  systemLookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, [])
    const allowed = addresses.filter(({ address }) => refusedAddress(address) === undefined)
    const [first] = allowed
    if (first === undefined) return callback(new Error(`${hostname} has no address that may be reached`), [])
    if (options.all === true) callback(null, allowed)
    else callback(null, first.address, first.family)
  })
}

function versionOf(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false })
  return found === undefined ? "none" : `${found.ino} ${found.mtimeMs} ${found.size} ${found.mode}`
}
