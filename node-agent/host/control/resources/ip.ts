/**
 * A floating address (SPEC S14): checked for a duplicate, added, announced several times. All by system calls of this
 * process: a start is over in some milliseconds. Whether the address passes is up to the gate, not to what is done here.
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { IpResource as IpConfig } from "../../../../protocol/cluster.ts"
import { type Instant, latest } from "../../../../protocol/units.ts"
import { monotonicNow } from "../../clock.ts"
import {
  addAddress,
  dropWaiting,
  findInterface,
  holdersOf,
  interfaceNames,
  interfaceOfNetwork,
  removeAddress,
} from "../../interface.ts"
import { readLease } from "../../lease-file.ts"
import { loadNative, type Native } from "../../native.ts"
import { Neighbours } from "./neighbours.ts"
import type { Action, Finding, Look, Resource, ResourceContext } from "./resource.ts"

/** How long a probe may stay unanswered. A neighbour on the same cable answers within one; a takeover waits for this. */
const probePatience = 10
const probePoll = 2
/** Milliseconds after the start: at once, soon for what was lost, later for who was away. */
const announcements = [0, 50, 200, 600, 1_500, 4_000, 10_000]
/** How often a claim of somebody else is looked for while announcements go on. */
const rivalPoll = 50

export class IpResource implements Resource {
  readonly config: IpConfig
  readonly #context: ResourceContext
  #neighbours: Neighbours | undefined
  #timers: NodeJS.Timeout[] = []
  #poll: NodeJS.Timeout | undefined
  /** Announces, if the lease allows it. */
  #tell: () => void = () => undefined
  /** Rises with each stop: a start that was under way then goes no further. */
  #stops = 0

  constructor(config: IpConfig, context: ResourceContext) {
    this.config = config
    this.#context = context
  }

  start(epoch: string, deadline: Instant): Action {
    const stopsBefore = this.#stops
    const isCancelled = (): boolean => this.#stops !== stopsBefore
    return {
      failure: failureOf(() => this.#start(epoch, deadline, isCancelled)),
      cancel: () => {
        this.#stops += 1
      },
    }
  }

  stop(): Action {
    this.#stops += 1
    return { failure: failureOf(() => this.#stop()), cancel: () => undefined }
  }

  monitor(): Look {
    const found = async (): Promise<Finding> => {
      const failure = await failureOf(async () => {
        this.#defend()
        return this.#missing(await native())
      })
      if (failure === undefined) return { kind: "running" }
      return failure === absent ? { kind: "stopped" } : { kind: "failed", reason: failure }
    }
    return { finding: found(), cancel: () => undefined }
  }

  close(): void {
    this.#silence()
  }

  async #start(epoch: string, deadline: Instant, isCancelled: () => boolean): Promise<string | undefined> {
    const library = await native()
    const on = findInterface(library, this.#device() ?? "")
    if (on === undefined) return this.#noDevice()
    if (!on.isRunning) return `${on.name} has no carrier`
    this.#silence()
    const neighbours = new Neighbours(library, on, this.config.address)
    this.#neighbours = neighbours
    const rival = await this.#rivalOf(neighbours)
    if (rival !== undefined) return `duplicate address: ${this.config.address} is held by ${rival}`
    if (isCancelled()) return "cancelled"
    if (monotonicNow() >= deadline) return "not begun: the right to start has ended"
    addAddress(library, on, this.config)
    this.#announce(epoch, deadline)
    return undefined
  }

  async #rivalOf(neighbours: Neighbours): Promise<string | undefined> {
    neighbours.probe()
    let rival: string | undefined
    for (let waited = 0; waited < probePatience && rival === undefined; waited += probePoll) {
      await sleep(probePoll)
      rival = neighbours.rival()
    }
    return rival
  }

  /** Now and in some seconds, as long as this activation's lease goes on. */
  #announce(epoch: string, deadline: Instant): void {
    const tell = (): void => {
      const lease = readLease(this.#context.runtimeDirectory, this.#context.service)
      const until = lease?.epoch === epoch ? latest(lease.deadline, deadline) : deadline
      if (until !== undefined && monotonicNow() < until) this.#neighbours?.announce()
    }
    this.#tell = tell
    for (const delay of announcements) {
      if (delay === 0) tell()
      else this.#timers.push(setTimeout(tell, delay))
    }
    const end = monotonicNow() + (announcements.at(-1) ?? 0)
    this.#poll = setInterval(() => {
      this.#defend()
      if (monotonicNow() > end) clearInterval(this.#poll)
    }, rivalPoll)
  }

  /** Whoever claims it now is late, for we were proved to be its only holder: neighbours are told again. */
  #defend(): void {
    const rival = this.#neighbours?.rival()
    if (rival === undefined) return
    this.#tell()
    this.#context.printed(this.config.name, `${this.config.address} was claimed by ${rival}, announced again`)
  }

  async #stop(): Promise<string | undefined> {
    this.#silence()
    const library = await native()
    const names = this.config.device === undefined ? interfaceNames() : [this.config.device]
    const holders = holdersOf(library, this.config.address)
    for (const name of names) {
      const on = findInterface(library, name)
      if (on === undefined) continue
      removeAddress(library, on, this.config)
      // Without a carrier it would leave when the cable is back, and somebody else has the address by then.
      if (holders.includes(name)) dropWaiting(library, on, this.config.address)
    }
    const [left] = holdersOf(library, this.config.address)
    return left === undefined ? undefined : `${this.config.address} is still on ${left}`
  }

  #silence(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers = []
    clearInterval(this.#poll)
    this.#neighbours?.close()
    this.#neighbours = undefined
  }

  /** Why it does not run; `undefined`: it does. */
  #missing(library: Native): string | undefined {
    const holders = holdersOf(library, this.config.address)
    const { device = holders[0] } = this.config
    const on = device === undefined ? undefined : findInterface(library, device)
    if (on === undefined) return absent
    if (!on.isRunning) return `${on.name} has no carrier`
    return holders.includes(on.name) ? undefined : absent
  }

  #device(): string | undefined {
    return this.config.device ?? interfaceOfNetwork(this.config)
  }

  #noDevice(): string {
    const { device, address, prefix } = this.config
    return device === undefined
      ? `no running interface has an address of the network of ${address}/${prefix}: name one with device`
      : `there is no interface ${device}`
  }
}

const absent = "the address is not there"

async function native(): Promise<Native> {
  const loaded = await loadNative()
  if (loaded.kind === "error") throw new Error(`no functions of the C library: ${loaded.error}`)
  return loaded.value
}

/** What is thrown here is the kernel's refusal: a failure of the resource, not of this process. */
async function failureOf(work: () => Promise<string | undefined>): Promise<string | undefined> {
  try {
    return await work()
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause)
  }
}
