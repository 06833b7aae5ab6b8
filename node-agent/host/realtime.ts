/**
 * Makes the real-time process fit for deadlines, once, before its loop starts: SCHED_FIFO on all its threads, children
 * back at normal priority, a kernel limit that ends a runaway loop, the program's files kept in memory. What was asked
 * and what was got is reported, never assumed. Where FIFO is refused nice -20 is a fair fallback.
 *
 * - The thread pool is woken first: its threads come to life on first use, and with reset-on-fork one born later would
 *   be at normal priority.
 * - Memory is never locked as a whole: V8 ends itself when `madvise` is refused on a locked page. Mapped files are
 *   locked as they are touched, so that program text is not evicted; the heap is kept by having no swap.
 */
import { openSync, readdirSync, readFileSync, writeSync } from "node:fs"
import { stat } from "node:fs/promises"
import { setPriority } from "node:os"
import type { Native, NativeFunction } from "./native.ts"

export type Scheduling = "fifo" | "nice" | "plain"

/** One thing asked of the kernel. */
export interface RealtimeItem {
  readonly item: "scheduling" | "runaway-guard" | "mapped-files" | "processors" | "cpu-dma-latency"
  readonly asked: string
  readonly got: string
  /** Why it is not what was asked; "": it is. */
  readonly reason: string
}

export interface RealtimeReport {
  readonly got: Scheduling
  /** Why not the better one; "" if it is the best. */
  readonly reason: string
  readonly items: readonly RealtimeItem[]
  /** Starts a child: it inherits which processors may be used, so they are all given back while `work` forks. */
  readonly forChildren: <T>(work: () => T) => T
}

export interface RealtimeWish {
  readonly scheduling: "auto" | "none"
  /** Numbers of the processors to keep to; empty: any. */
  readonly processors: readonly number[]
  /** Keep the processors out of sleep states that take long to leave. Costs power. */
  readonly holdLatency: boolean
}

/** Above normal work and below the kernel's own threads (50 and up are interrupt threads on PREEMPT_RT: equal). */
const fifoPriority = 50
/** Microseconds of FIFO time without a blocking call after which the kernel ends the process (SIGXCPU). */
const runawayMicros = 2_000_000
const poolThreads = 4
const bestNice = -20

/** `native` is an error text where the C library cannot be called. */
export async function prepareRealtime(wish: RealtimeWish, native: Native | string): Promise<RealtimeReport> {
  await Promise.all(Array.from({ length: poolThreads }, () => stat("/")))
  const { got, items } = schedule(wish.scheduling, native)
  const [scheduling] = items
  const pinning = pin(wish.processors, native)
  return {
    got,
    reason: scheduling?.reason ?? "",
    items: [
      ...items,
      ...(wish.scheduling === "none" ? [] : [lockMappedFiles(native)]),
      ...pinning.items,
      ...(wish.holdLatency ? [holdLatency()] : []),
    ],
    forChildren: pinning.forChildren,
  }
}

function threads(): readonly number[] {
  return readdirSync("/proc/self/task").map(Number)
}

/** Undefined: done; otherwise why not. */
function attempt(work: () => void): string | undefined {
  try {
    work()
    return undefined
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause)
  }
}

// Scheduling. Constants of linux/sched.h and asm-generic/resource.h, the same on x64 and arm64.

const schedOther = 0
const schedFifo = 1
const schedResetOnFork = 0x4000_0000
const rlimitRttime = 15

function schedule(
  wanted: "auto" | "none",
  native: Native | string,
): { readonly got: Scheduling; readonly items: readonly RealtimeItem[] } {
  const item = (got: string, reason: string): RealtimeItem => ({
    item: "scheduling",
    asked: wanted === "none" ? "plain" : `SCHED_FIFO ${fifoPriority}`,
    got,
    reason,
  })
  if (wanted === "none") return { got: "plain", items: [item("plain", "switched off by --scheduling none")] }
  const fifo = typeof native === "string" ? native : attempt(() => setPolicy(native, schedFifo, fifoPriority))
  if (fifo === undefined && typeof native !== "string") {
    return { got: "fifo", items: [item(`SCHED_FIFO ${fifoPriority}`, ""), guardRunaway(native)] }
  }
  const nice = attempt(() => beNice(native))
  const refused = `no SCHED_FIFO: ${fifo}`
  return nice === undefined
    ? { got: "nice", items: [item(`nice ${bestNice}`, refused)] }
    : { got: "plain", items: [item("plain", `${refused}; no nice ${bestNice}: ${nice}`)] }
}

/** On every thread; what they start is at normal priority again. */
function setPolicy(native: Native, policy: number, priority: number): void {
  const setScheduler = native.declare("sched_setscheduler", "int", ["int", "int", "bytes"])
  const parameter = words(4, [priority])
  for (const thread of threads()) setScheduler(thread, policy | schedResetOnFork, parameter)
}

function beNice(native: Native | string): void {
  for (const thread of threads()) setPriority(thread, bestNice)
  if (typeof native !== "string") setPolicy(native, schedOther, 0)
}

function guardRunaway(native: Native): RealtimeItem {
  const setLimit = native.declare("setrlimit", "int", ["int", "bytes"])
  const limit = words(8, [runawayMicros, runawayMicros])
  const reason = attempt(() => setLimit(rlimitRttime, limit))
  const asked = `ends after ${runawayMicros / 1000} ms without a pause`
  return { item: "runaway-guard", asked, got: reason === undefined ? asked : "none", reason: reason ?? "" }
}

// Mapped files. Locked when touched: nothing is read in now.

const mlockOnFault = 1

function lockMappedFiles(native: Native | string): RealtimeItem {
  const item = (got: string, reason: string): RealtimeItem => ({
    item: "mapped-files",
    asked: "locked when touched",
    got,
    reason,
  })
  if (typeof native === "string") return item("not locked", native)
  const lock = native.declare("mlock2", "int", ["size", "size", "unsigned"])
  const maps = mappedFiles()
  const refusals = maps.flatMap(({ from, bytes }) => attempt(() => lock(from, bytes, mlockOnFault)) ?? [])
  const locked = maps.length - refusals.length
  return item(locked === 0 ? "not locked" : `${locked} of ${maps.length} locked`, refusals[0] ?? "")
}

interface MappedFile {
  readonly from: number
  readonly bytes: number
}

/** Of this process: maps that come from a file on a disk. */
function mappedFiles(): readonly MappedFile[] {
  return readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .flatMap((line) => {
      const [, start, end] =
        /^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ [1-9]\d* +\/(?!dev\/|memfd:)/.exec(line) ?? []
      if (start === undefined || end === undefined) return []
      const from = Number.parseInt(start, 16)
      return [{ from, bytes: Number.parseInt(end, 16) - from }]
    })
}

// Processors.

/** Bytes of a processor set: 1024 processors, as the C library's own. */
const setBytes = 128

function pin(
  processors: readonly number[],
  native: Native | string,
): { readonly items: readonly RealtimeItem[]; readonly forChildren: RealtimeReport["forChildren"] } {
  if (processors.length === 0) return { items: [], forChildren: (work) => work() }
  const item = (got: string, reason: string): RealtimeItem => ({
    item: "processors",
    asked: processors.join(" "),
    got,
    reason,
  })
  if (typeof native === "string") return { items: [item("any", native)], forChildren: (work) => work() }
  const set = native.declare("sched_setaffinity", "int", ["int", "size", "bytes"])
  const get = native.declare("sched_getaffinity", "int", ["int", "size", "bytes"])
  const own = processorSet(processors)
  const all = new Uint8Array(setBytes)
  const reason = attempt(() => {
    get(0, setBytes, all)
    for (const thread of threads()) set(thread, setBytes, own)
  })
  if (reason !== undefined) return { items: [item("any", reason)], forChildren: (work) => work() }
  const got = new Uint8Array(setBytes)
  get(0, setBytes, got)
  return {
    items: [item(processorsIn(got).join(" "), "")],
    forChildren: (work) => aroundFork(set, { own, all }, work),
  }
}

function aroundFork<T>(
  set: NativeFunction,
  { own, all }: { readonly own: Uint8Array; readonly all: Uint8Array },
  work: () => T,
): T {
  set(0, setBytes, all)
  try {
    return work()
  } finally {
    set(0, setBytes, own)
  }
}

function processorSet(processors: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(setBytes)
  for (const processor of processors) {
    bytes[processor >> 3] = (bytes[processor >> 3] ?? 0) | (1 << (processor & 7))
  }
  return bytes
}

function processorsIn(set: Uint8Array): readonly number[] {
  return [...set].flatMap((byte, index) =>
    Array.from({ length: 8 }, (_, bit) => bit).flatMap((bit) => ((byte >> bit) & 1 ? [index * 8 + bit] : [])),
  )
}

/** Processors that `--processors` may name: what fits the set. */
export const processorMax = setBytes * 8 - 1

// Sleep states.

const latencyDevice = "/dev/cpu_dma_latency"

/** The wish holds for as long as the descriptor is open: until this process ends. */
function holdLatency(): RealtimeItem {
  const reason = attempt(() => writeSync(openSync(latencyDevice, "w"), words(4, [0])))
  const got = reason === undefined ? "held at 0 us" : "not held"
  return { item: "cpu-dma-latency", asked: "held at 0 us", got, reason: reason ?? "" }
}

/** Unsigned numbers in the byte order of the machine, which is little-endian on both platforms. */
function words(size: 4 | 8, values: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(size * values.length)
  values.forEach((value, index) => {
    if (size === 4) bytes.writeUInt32LE(value, index * size)
    else bytes.writeBigUInt64LE(BigInt(value), index * size)
  })
  return bytes
}
