/**
 * Requests about the gate's tables, as nfnetlink's bytes (linux/netfilter/nf_tables.h). One batch is one transaction of the
 * kernel: all of it or nothing, and no packet sees a part of it.
 *
 * A batch of elements states all that is open: the sets are emptied and filled. Each element has the ABSOLUTE end of its
 * lease in its key, as real time in nanoseconds, beside a timeout of what is left, so it closes by itself and a batch that
 * comes late opens nothing (SPEC G3). nft's text has whole seconds only, which is why this is not text.
 */
import { addressBytes } from "../../protocol/address.ts"
import { assert } from "../../protocol/assert.ts"
import { elapsed, type Instant, type WallTime } from "../../protocol/units.ts"
import { gateTable } from "./gate-rules.ts"
import { attribute, createFlag, nested, netlinkMessage, requestFlag, textAttribute } from "./netlink.ts"

/** One address that may pass until `deadline`. */
export interface OpenAddress {
  readonly address: string
  readonly deadline: Instant
}

/** `wall` was read BEFORE `monotonic`: a pause between the two makes ends earlier, never later. */
export interface ClockReading {
  readonly wall: WallTime
  readonly monotonic: Instant
}

/**
 * Given up of every timeout: two jiffies of the slowest kernel (100 a second). A timeout is kept in whole jiffies, the one
 * under way included, and it is the timeout alone that holds when real time is set back.
 */
const timeoutMargin = 20

const families = { inet: 1, arp: 3 } as const
type Family = keyof typeof families

/** `<subsystem nf_tables> << 8 | message`. */
const subsystem = 10
const newTable = (subsystem << 8) | 0
const deleteTable = (subsystem << 8) | 2
const newElement = (subsystem << 8) | 12
const deleteElement = (subsystem << 8) | 14
const batchBegin = 0x10
const batchEnd = 0x11

const ownerFlag = 2
const persistFlag = 4

/** Empty tables that outlive their owner (Linux 6.9 and later); nobody's yet. */
export function createTables(): Uint8Array {
  return batch(tables().map((family) => tableMessage(newTable, family, persistFlag)))
}

/** Makes the sender their owner: only its socket changes or flushes them, until it closes. */
export function adoptTables(): Uint8Array {
  return batch(tables().map((family) => tableMessage(newTable, family, ownerFlag | persistFlag)))
}

/** One by one: a table that is not there fails its batch. */
export function deleteTables(): readonly Uint8Array[] {
  return tables().map((family) => batch([tableMessage(deleteTable, family, undefined)]))
}

export function openBatch(open: readonly OpenAddress[], at: ClockReading): Uint8Array {
  const emptied = (["inet open4", "inet open6", "arp open4"] as const).map((each) => {
    const [family, set] = splitSet(each)
    return setMessage(deleteElement, requestFlag, family, set, [])
  })
  const filled = open.flatMap(({ address, deadline }) => {
    const left = elapsed(at.monotonic, deadline)
    const timeout = Math.floor(left - timeoutMargin)
    // A timeout of 0 would mean none.
    if (timeout < 1) return []
    const element = elementOf(addressBytes(address), at.wall, left, timeout)
    const sets = address.includes(":") ? (["inet open6"] as const) : (["inet open4", "arp open4"] as const)
    return sets.map((each) => {
      const [family, set] = splitSet(each)
      return setMessage(newElement, requestFlag | createFlag, family, set, [element])
    })
  })
  return batch([...emptied, ...filled])
}

/** `left` in milliseconds, with fractions. */
function elementOf(address: Uint8Array, wall: WallTime, left: number, timeout: number): Uint8Array {
  assert(timeout >= 1 && timeout <= left, "an element ends with its lease")
  const from = BigInt(Math.floor(wall)) * 1_000_000n
  const key = (nanoseconds: bigint) => attribute(dataValue, Buffer.concat([address, uint64(nanoseconds)]))
  return nested(
    listElement,
    nested(elementKey, key(from)),
    nested(elementKeyEnd, key(from + BigInt(Math.floor(left * 1e6)))),
    attribute(elementTimeout, uint64(BigInt(timeout))),
  )
}

const dataValue = 1
const listElement = 1
const elementKey = 1
const elementTimeout = 4
const elementKeyEnd = 10
const setTableName = 1
const setName = 2
const setElements = 3
const tableName = 1
const tableFlags = 2

function setMessage(
  type: number,
  flags: number,
  family: Family,
  set: string,
  elements: readonly Uint8Array[],
): Uint8Array {
  return netlinkMessage(type, flags, [
    familyHeader(families[family], 0),
    textAttribute(setTableName, gateTable),
    textAttribute(setName, set),
    ...(elements.length === 0 ? [] : [nested(setElements, ...elements)]),
  ])
}

function tableMessage(type: number, family: Family, flags: number | undefined): Uint8Array {
  return netlinkMessage(type, requestFlag | (flags === undefined ? 0 : createFlag), [
    familyHeader(families[family], 0),
    textAttribute(tableName, gateTable),
    ...(flags === undefined ? [] : [attribute(tableFlags, uint32(flags))]),
  ])
}

function batch(messages: readonly Uint8Array[]): Uint8Array {
  const edge = (type: number) => netlinkMessage(type, requestFlag, [familyHeader(0, subsystem)])
  return Buffer.concat([edge(batchBegin), ...messages, edge(batchEnd)])
}

function tables(): readonly Family[] {
  return ["inet", "arp"]
}

function splitSet(text: "inet open4" | "inet open6" | "arp open4"): readonly [Family, string] {
  return text === "arp open4" ? ["arp", "open4"] : ["inet", text.slice("inet ".length)]
}

/** nfgenmsg: family, version, resource (big-endian). */
function familyHeader(family: number, resource: number): Uint8Array {
  return Uint8Array.of(family, 0, resource >> 8, resource & 0xff)
}

function uint32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function uint64(value: bigint): Uint8Array {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(value)
  return bytes
}
