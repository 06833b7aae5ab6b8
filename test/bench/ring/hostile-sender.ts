/**
 * `node hostile-sender.ts record SOURCE TARGET COUNT FILE`: keeps genuine sealed frames that this machine sends from SOURCE
 * (address) to TARGET (address:port), one hexadecimal line each.
 *
 * `node hostile-sender.ts send SOURCE TARGET RATE SECONDS FILE`: sends the datagrams of the file (hexadecimal lines), as many as have
 * its commonest length, from SOURCE (address:port) to TARGET, over and over, RATE a second as far as the machine lets it. One system
 * call hands over up to 64, which the kernel cuts apart at the receiver's socket (UDP_SEGMENT): the sender hardly costs anything, so
 * that what is measured is the receiver. Prints how many and in how many milliseconds.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { loadNative, type Native } from "../../../node-agent/host/native.ts"

/** What one call may hand over. */
const [segmentsMax, bytesMax] = [64, 64_000]
/** Of linux/net. */
const [inet, packet, datagram, anyProtocol, dontWait] = [2, 17, 2, 0x0300, 0x40]
const [levelUdp, udpSegment] = [17, 103]
const [udp, ipHeaderLeast, udpHeader] = [17, 20, 8]

const [, , what, source = "", target = "", ...rest] = process.argv
const loaded = await loadNative()
if (loaded.kind === "error") throw new Error(loaded.error)
if (what === "record") await record(loaded.value, Number(rest[0]), rest[1] ?? "")
else await send(loaded.value, Number(rest[0]), Number(rest[1]), rest[2] ?? "")

async function record(native: Native, count: number, file: string): Promise<void> {
  const open = native.declare("socket", "int", ["int", "int", "int"])
  const receive = native.declare("recv", "long", ["int", "bytes", "size", "int"])
  const descriptor = open(packet, datagram, anyProtocol)
  const buffer = Buffer.alloc(65_536)
  const frames: string[] = []
  const { host, port } = split(target)
  while (frames.length < count) {
    let length = 0
    try {
      length = receive(descriptor, buffer, buffer.length, dontWait)
    } catch {
      // Nothing there.
      await sleep(1)
      continue
    }
    const header = ((buffer[0] ?? 0) & 15) * 4
    if (length < ipHeaderLeast + udpHeader || buffer[9] !== udp) continue
    const [from, to] = [buffer.subarray(12, 16).join("."), buffer.subarray(16, 20).join(".")]
    if (from !== source || to !== host || buffer.readUInt16BE(header + 2) !== port) continue
    frames.push(buffer.subarray(header + udpHeader, length).toString("hex"))
  }
  writeFileSync(file, frames.join("\n"))
}

async function send(native: Native, rate: number, seconds: number, file: string): Promise<void> {
  const open = native.declare("socket", "int", ["int", "int", "int"])
  const bind = native.declare("bind", "int", ["int", "bytes", "unsigned"])
  const connect = native.declare("connect", "int", ["int", "bytes", "unsigned"])
  const setOption = native.declare("setsockopt", "int", ["int", "int", "int", "bytes", "unsigned"])
  const sendMany = native.declare("send", "long", ["int", "bytes", "size", "int"])
  const descriptor = open(inet, datagram, 0)
  bind(descriptor, socketAddress(source), 16)
  connect(descriptor, socketAddress(target), 16)
  const { bytes, length } = segmentsOf(readFileSync(file, "utf8").split("\n"))
  const segmentLength = Buffer.alloc(4)
  segmentLength.writeInt32LE(length)
  setOption(descriptor, levelUdp, udpSegment, segmentLength, 4)
  const from = performance.now()
  let sent = 0
  let refused = 0
  for (let elapsed = 0; elapsed < seconds * 1000; elapsed = performance.now() - from) {
    if (sent >= (elapsed * rate) / 1000) {
      await sleep(1)
      continue
    }
    try {
      sent += sendMany(descriptor, bytes, bytes.length, 0) / length
    } catch {
      // The queue is full, or nobody listens any more.
      refused += 1
      await sleep(1)
    }
  }
  process.stdout.write(JSON.stringify({ sent, refused, elapsed: performance.now() - from }))
}

/** As many datagrams of one length, one after the other, as one call takes. */
function segmentsOf(lines: readonly string[]): { readonly bytes: Uint8Array; readonly length: number } {
  const byLength = Map.groupBy(lines, (line) => line.length)
  const [common = []] = [...byLength.values()].toSorted((a, b) => b.length - a.length)
  const datagrams = common.map((line) => Buffer.from(line, "hex"))
  const length = datagrams[0]?.length ?? 0
  const count = Math.min(segmentsMax, Math.floor(bytesMax / length))
  const chosen = Array.from(
    { length: count },
    (_, index) => datagrams[index % datagrams.length] ?? Buffer.alloc(0),
  )
  return { bytes: Buffer.concat(chosen), length }
}

function split(address: string): { readonly host: string; readonly port: number } {
  const [host = "", port = "0"] = address.split(":")
  return { host, port: Number(port) }
}

function socketAddress(address: string): Uint8Array {
  const { host, port } = split(address)
  const bytes = Buffer.alloc(16)
  bytes.writeUInt16LE(inet, 0)
  bytes.writeUInt16BE(port, 2)
  bytes.set(host.split(".").map(Number), 4)
  return bytes
}
