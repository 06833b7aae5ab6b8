/**
 * What a member tells about itself on the token: 15 bytes and two for each service, opaque to the ring. For people,
 * alerts and policy; no right rests on it. Measurements saturate at the end of their field instead of failing: a node
 * in trouble must still be able to say so.
 *
 *   cpu load u8 (percent), memory pressure u8 (percent), clock deviation i32 (microseconds), clock source u8,
 *   lateness u16 (sixteenths of a millisecond, up to 4.1 s), uplink u8, checksum u32,
 *   n u8 x ( index u8, state and mode u8: state + 8 if manual ), ascending by index
 */
import { assert } from "./assert.ts"
import { ByteReader, ByteWriter, fromHex8, type ParseFault, toHex8, u16Max } from "./bytes.ts"
import type { Result } from "./result.ts"
import { type Millis, millis } from "./units.ts"

const clockSources = ["none", "ntp", "ptp", "unsynchronised"] as const
const uplinkStates = ["ok", "failing", "unknown"] as const
const serviceStates = ["stopped", "starting", "running", "stopping", "failed", "blocked"] as const

/** `none`: nothing disciplines the clock; `unsynchronised`: something tries and has not succeeded. */
export type ClockSource = (typeof clockSources)[number]
/** This node's own way to the witness. */
export type UplinkState = (typeof uplinkStates)[number]
export type ServiceHealthState = (typeof serviceStates)[number]

export interface ServiceHealth {
  /** Position of the service in the configuration, from 0. */
  readonly index: number
  readonly state: ServiceHealthState
  readonly mode: "automatic" | "manual"
}

export interface HealthEntry {
  /** 0..100. */
  readonly cpuLoadPercent: number
  /** 0..100. */
  readonly memoryPressurePercent: number
  /** Signed: positive when this clock is ahead of its source. */
  readonly clockDeviationMicros: number
  readonly clockSource: ClockSource
  /** The worst lateness of the node's own loop since its last entry. */
  readonly lateness: Millis
  readonly uplink: UplinkState
  /** First 8 hex digits of the configuration checksum: services lock while members differ (SPEC S11). */
  readonly configChecksum: string
  /** Ascending by index; at most `healthServicesMax`. */
  readonly services: readonly ServiceHealth[]
}

/** As many as a configuration may have. The entry is then 79 bytes long and fits the health share of one token. */
export const healthServicesMax = 32

export type HealthError = ParseFault

/** 15 + 2 * services bytes. */
export function encodeHealth(entry: HealthEntry): Uint8Array {
  assert(entry.services.length <= healthServicesMax, "a health entry keeps its bound of services")
  assert(isAscending(entry.services), "services are told in the order of the configuration, each once")
  const writer = new ByteWriter(fixedBytes + 2 * entry.services.length)
  writer.u8(saturated(entry.cpuLoadPercent, 0, 100))
  writer.u8(saturated(entry.memoryPressurePercent, 0, 100))
  writer.i32(saturated(entry.clockDeviationMicros, -0x8000_0000, 0x7fff_ffff))
  writer.u8(clockSources.indexOf(entry.clockSource))
  writer.u16(saturated(entry.lateness * unitsPerMilli, 0, u16Max))
  writer.u8(uplinkStates.indexOf(entry.uplink))
  writer.u32(fromHex8(entry.configChecksum))
  writer.u8(entry.services.length)
  for (const service of entry.services) {
    writer.u8(service.index)
    writer.u8(serviceStates.indexOf(service.state) + (service.mode === "manual" ? manualBit : 0))
  }
  return writer.finish()
}

/** Any bytes give an entry or an error, never an exception. */
export function decodeHealth(bytes: Uint8Array): Result<HealthEntry, HealthError> {
  const reader = new ByteReader(bytes)
  const entry: HealthEntry = {
    cpuLoadPercent: reader.within(reader.u8(), 0, 100),
    memoryPressurePercent: reader.within(reader.u8(), 0, 100),
    clockDeviationMicros: reader.i32(),
    clockSource: readWord(reader, clockSources, reader.u8()),
    lateness: millis(reader.u16() / unitsPerMilli),
    uplink: readWord(reader, uplinkStates, reader.u8()),
    configChecksum: toHex8(reader.u32()),
    services: readServices(reader),
  }
  return reader.finish(entry)
}

const fixedBytes = 15
const manualBit = 8
const unitsPerMilli = 16

function readServices(reader: ByteReader): readonly ServiceHealth[] {
  const count = reader.within(reader.u8(), 0, healthServicesMax)
  const services: ServiceHealth[] = []
  for (let i = 0; i < count && !reader.failed; i += 1) {
    const index = reader.u8()
    const code = reader.u8()
    const mode = code >= manualBit ? "manual" : "automatic"
    services.push({
      index,
      state: readWord(reader, serviceStates, mode === "manual" ? code - manualBit : code),
      mode,
    })
  }
  if (!isAscending(services)) reader.refuse("duplicate")
  return services
}

function isAscending(services: readonly ServiceHealth[]): boolean {
  let previous = -1
  for (const { index } of services) {
    if (index <= previous) return false
    previous = index
  }
  return true
}

function readWord<Word extends string>(
  reader: ByteReader,
  words: readonly [Word, ...Word[]],
  code: number,
): Word {
  const word = words[code]
  if (word !== undefined) return word
  reader.refuse("out-of-range")
  return words[0]
}

function saturated(value: number, min: number, max: number): number {
  assert(!Number.isNaN(value), "a measurement is a number")
  return Math.min(Math.max(Math.round(value), min), max)
}
