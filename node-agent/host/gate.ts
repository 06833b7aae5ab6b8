/**
 * The gate (SPEC G): floating addresses pass only while the lease of their service is fresh, and the kernel sees to that.
 * Whatever becomes of this process (killed, stopped, wedged), what it allowed last ends by itself.
 *
 * What may be open is written whole, with absolute ends, by one batch over netlink in the step that renewed the lease: no
 * program is started and nobody else's turn is waited for. The tables are owned by this process where the kernel has
 * tables that outlive their owner (Linux 6.9): nobody else then changes or flushes them. On older kernels a flush is found
 * by the next batch, at most `check`'s interval later, and the tables are made again.
 */
import { spawnSync } from "node:child_process"
import type { Instant, ServiceName } from "../../protocol/units.ts"
import { monotonicNow, wallNow } from "./clock.ts"
import {
  adoptTables,
  type ClockReading,
  createTables,
  deleteTables,
  type OpenAddress,
  openBatch,
} from "./gate-batch.ts"
import { endStarting, gatedOf, gateRules, gateTable, leftRules, startingRules } from "./gate-rules.ts"
import { holdersOf } from "./interface.ts"
import { type Native, NativeFailure } from "./native.ts"
import { NetlinkSocket, netlinkNetfilter } from "./netlink.ts"

export type GateState =
  /** No service of this node has an address. */
  | { readonly kind: "none" }
  /** `owned`: nobody else can change the tables. */
  | { readonly kind: "ready"; readonly owned: boolean }
  | { readonly kind: "missing"; readonly reason: string }

export interface GateOptions {
  readonly addresses: ReadonlyMap<ServiceName, readonly string[]>
  /** A text: why there is none. */
  readonly native: Native | string
  /** It was there and is not any more, or it is again (`undefined`). */
  readonly changed: (missing: string | undefined) => void
  /** `false`: as on kernels without tables that outlive their owner. */
  readonly owns?: boolean
  readonly read?: () => ClockReading
}

const nftTimeLimit = 5_000

export class Gate {
  readonly #options: GateOptions
  readonly #read: () => ClockReading
  readonly #deadlines = new Map<ServiceName, Instant>()
  readonly #wasReady: boolean
  #socket: NetlinkSocket | undefined
  #isWritten = true
  state: GateState

  /** Closes everything first, whatever a former agent left. */
  constructor(options: GateOptions) {
    this.#options = options
    this.#read = options.read ?? readClocks
    this.state = this.#all().length === 0 ? { kind: "none" } : this.#attempt(() => this.#build())
    this.#wasReady = this.state.kind === "ready"
  }

  /** To be written by the next `write`. `undefined`: closed. */
  set(service: ServiceName, deadline: Instant | undefined): void {
    if (!this.#options.addresses.has(service)) return
    if (deadline === undefined) this.#deadlines.delete(service)
    else this.#deadlines.set(service, deadline)
    this.#isWritten = false
  }

  /** Brings the kernel up to date, if anything was set. */
  write(): void {
    if (this.#isWritten || this.state.kind !== "ready") return
    this.#isWritten = true
    this.#enforce()
  }

  /** To be called about once a second: finds what others did to tables that they could change, and mends it. */
  check(): void {
    if (this.state.kind === "ready" && !this.state.owned) this.#enforce()
    else if (this.state.kind === "missing" && this.#wasReady) this.#rebuild()
  }

  /** What `write` would tell the kernel now, with the clocks read now. */
  prepare(): Uint8Array {
    return openBatch(this.#open(), this.#read())
  }

  send(batch: Uint8Array): void {
    if (this.#socket === undefined) throw new NativeFailure("gate", notConnected)
    this.#socket.request(batch)
  }

  /**
   * The node has left: where the addresses are gone and nothing goes out from them any more, the tables guard nothing. With
   * one still there, or a kernel that cannot tell (no `fib` in nftables), they stay, closed.
   */
  close(): void {
    this.#deadlines.clear()
    const socket = this.#socket
    if (this.state.kind === "ready" && socket !== undefined) {
      const isOver = !this.#isLeft() && isDone(() => runNft(leftRules(gatedOf(this.#all()))))
      for (const batch of isOver ? deleteTables() : [this.prepare()]) quietly(() => socket.request(batch))
    }
    socket?.close()
    this.#socket = undefined
    this.state = { kind: "none" }
  }

  /** Unless it is known that they are gone. */
  #isLeft(): boolean {
    const { native } = this.#options
    if (typeof native === "string") return true
    try {
      return this.#all().some((address) => holdersOf(native, address).length > 0)
    } catch (cause) {
      if (cause instanceof NativeFailure) return true
      throw cause
    }
  }

  #enforce(): void {
    try {
      this.send(this.prepare())
    } catch {
      // The tables are gone or changed, or the kernel has no room: they are made again, closed, then filled.
      this.#rebuild()
    }
  }

  #rebuild(): void {
    const before = this.state.kind
    this.#socket?.close()
    this.#socket = undefined
    this.state = this.#attempt(() => {
      const state = this.#build()
      this.send(this.prepare())
      return state
    })
    const after = this.state
    if (after.kind === "missing" && before === "ready") this.#options.changed(after.reason)
    if (after.kind === "ready" && before === "missing") this.#options.changed(undefined)
  }

  #attempt(work: () => GateState): GateState {
    try {
      return work()
    } catch (cause) {
      this.#socket?.close()
      this.#socket = undefined
      const reason = cause instanceof Error ? cause.message : String(cause)
      return { kind: "missing", reason: reason.split("\n")[0] ?? "" }
    }
  }

  /** Everything is closed from the first step to the last, and stays so if one fails: nothing is known then. */
  #build(): GateState {
    const { native, owns = true } = this.#options
    if (typeof native === "string") throw new Error(native)
    const addresses = gatedOf(this.#all())
    runNft(startingRules(addresses))
    const socket = new NetlinkSocket(native, netlinkNetfilter)
    this.#socket = socket
    try {
      for (const batch of deleteTables()) unlessMissing(() => socket.request(batch))
    } catch (cause) {
      if (!(cause instanceof NativeFailure) || cause.code !== "EPERM") throw cause
      runNft(endStarting)
      throw new Error("another agent has the gate of this machine")
    }
    const persistent = owns && persists(socket)
    const created = persistent ? "" : `add table inet ${gateTable}\nadd table arp ${gateTable}\n`
    runNft(created + gateRules(addresses))
    if (persistent) socket.request(adoptTables())
    return { kind: "ready", owned: persistent }
  }

  #open(): readonly OpenAddress[] {
    return [...this.#deadlines].flatMap(([service, deadline]) =>
      (this.#options.addresses.get(service) ?? []).map((address) => ({ address, deadline })),
    )
  }

  #all(): readonly string[] {
    return [...this.#options.addresses.values()].flat()
  }
}

const notConnected = 107

/** In this order (`ClockReading`). */
function readClocks(): ClockReading {
  const wall = wallNow()
  return { wall, monotonic: monotonicNow() }
}

/** Has the kernel tables that outlive their owner? If so they are there now, empty. */
function persists(socket: NetlinkSocket): boolean {
  try {
    socket.request(createTables())
    return true
  } catch (cause) {
    if (cause instanceof NativeFailure && (cause.code === "ENOTSUP" || cause.code === "EOPNOTSUPP"))
      return false
    throw cause
  }
}

function runNft(rules: string): void {
  const { status, error, stderr } = spawnSync("nft", ["-f", "-"], {
    input: rules,
    encoding: "utf8",
    timeout: nftTimeLimit,
  })
  if (error !== undefined) throw new Error(`nft cannot be run: ${error.message}`)
  if (status !== 0) throw new Error(`nft: ${stderr.trim().split("\n")[0] ?? `exit status ${status}`}`)
}

function unlessMissing(work: () => void): void {
  try {
    work()
  } catch (cause) {
    if (cause instanceof NativeFailure && cause.code === "ENOENT") return
    throw cause
  }
}

function isDone(work: () => void): boolean {
  try {
    work()
    return true
  } catch {
    // Whatever the reason is: what was to come after it is not done.
    return false
  }
}

/** At the very end: a table that another program removed is gone, and one that cannot be removed is closed. */
function quietly(work: () => void): void {
  try {
    work()
  } catch (cause) {
    if (!(cause instanceof NativeFailure)) throw cause
  }
}
