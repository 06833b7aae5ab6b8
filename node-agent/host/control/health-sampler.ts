/**
 * Looks at the machine every two seconds: load, memory pressure, clock. For people and policy; no right rests on it. It is
 * asked by who is awake anyway, and says when it has looked again.
 *
 * adjtimex cannot be called without a foreign function interface, so the clock's quality comes from who looks after it:
 * chrony is asked (`chronyc`), systemd-timesyncd leaves a mark. What cannot be known is said to be `none`.
 */
import { execFile } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { promisify } from "node:util"
import type { HealthSample } from "./messages.ts"

/** A little less than two pings of who asks. */
const sampleInterval = 1_900
/** chrony itself measures every minute or so; asking more often only costs processes. */
const clockInterval = 30_000
const chronyTimeout = 2_000

type ClockHealth = Pick<HealthSample, "clockDeviationMicros" | "clockSource">

/** To be asked about every second; `undefined`: it is not time yet. */
export function healthSampler(now: () => number): () => HealthSample | undefined {
  let processor = readProcessorTimes()
  let clock: ClockHealth = { clockSource: "none", clockDeviationMicros: 0 }
  let clockDue = Number.NEGATIVE_INFINITY
  let due = Number.NEGATIVE_INFINITY
  const lookAtClock = async (): Promise<void> => {
    clock = await readClock()
  }
  return () => {
    const at = now()
    if (at >= clockDue) {
      clockDue = at + clockInterval
      void lookAtClock()
    }
    if (at < due) return undefined
    due = at + sampleInterval
    const before = processor
    processor = readProcessorTimes()
    return {
      cpuLoadPercent: loadBetween(before, processor),
      memoryPressurePercent: readMemoryPressure(),
      ...clock,
    }
  }
}

export interface ProcessorTimes {
  readonly busy: number
  readonly total: number
}

/** First line of /proc/stat: user nice system idle iowait irq softirq steal. */
export function parseProcessorTimes(text: string): ProcessorTimes {
  const [, ...numbers] = text.slice(0, text.indexOf("\n")).trim().split(/\s+/)
  const times = numbers.slice(0, 8).map(Number)
  const total = times.reduce((sum, each) => sum + each, 0)
  return { total, busy: total - (times[3] ?? 0) - (times[4] ?? 0) }
}

export function loadBetween(before: ProcessorTimes, now: ProcessorTimes): number {
  const total = now.total - before.total
  return total <= 0 ? 0 : Math.round((100 * (now.busy - before.busy)) / total)
}

/** Share of the last ten seconds in which some task waited for memory; on kernels without PSI, how full memory is. */
export function parseMemoryPressure(pressure: string | undefined, meminfo: string | undefined): number {
  const waited = /^some avg10=([\d.]+)/m.exec(pressure ?? "")?.[1]
  if (waited !== undefined) return Math.round(Number(waited))
  const total = Number(/^MemTotal:\s+(\d+)/m.exec(meminfo ?? "")?.[1])
  const available = Number(/^MemAvailable:\s+(\d+)/m.exec(meminfo ?? "")?.[1])
  return total > 0 && available >= 0 ? Math.round(100 * (1 - available / total)) : 0
}

/** One line of `chronyc -c tracking`: reference, name, stratum, time, system time offset in seconds (ahead: positive) ... */
export function parseChronyTracking(line: string): ClockHealth | undefined {
  const fields = line.trim().split(",")
  const offset = Number(fields[4])
  if (fields.length < 14 || !Number.isFinite(offset)) return undefined
  const isSynchronised = fields[13] !== "Not synchronised"
  const isPtp = /^(PTP|PHC)/.test(fields[1] ?? "")
  const source = isPtp ? "ptp" : "ntp"
  return {
    clockSource: isSynchronised ? source : "unsynchronised",
    clockDeviationMicros: Math.round(offset * 1e6),
  }
}

function readProcessorTimes(): ProcessorTimes {
  return parseProcessorTimes(readText("/proc/stat") ?? "cpu 0 0 0 0\n")
}

function readMemoryPressure(): number {
  return parseMemoryPressure(readText("/proc/pressure/memory"), readText("/proc/meminfo"))
}

async function readClock(): Promise<ClockHealth> {
  if (existsSync("/run/chrony/chronyd.pid") || existsSync("/run/chronyd.pid")) {
    const tracking = await askChrony()
    return tracking ?? { clockSource: "unsynchronised", clockDeviationMicros: 0 }
  }
  if (existsSync("/run/systemd/timesync/synchronized")) return { clockSource: "ntp", clockDeviationMicros: 0 }
  const isTried = existsSync("/run/systemd/timesync")
  return { clockSource: isTried ? "unsynchronised" : "none", clockDeviationMicros: 0 }
}

async function askChrony(): Promise<ClockHealth | undefined> {
  try {
    const { stdout } = await promisify(execFile)("chronyc", ["-c", "tracking"], { timeout: chronyTimeout })
    return parseChronyTracking(stdout)
  } catch {
    // No chronyc, or no answer: chrony runs, and what it knows is not to be had.
    return undefined
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8")
  } catch {
    // Not on this kernel.
    return undefined
  }
}
