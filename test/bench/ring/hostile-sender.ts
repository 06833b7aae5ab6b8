/**
 * `node hostile-sender.ts record SOURCE TARGET COUNT FILE`: keeps genuine sealed frames that this machine sends from SOURCE
 * (address) to TARGET (address:port), one hexadecimal line each.
 *
 * `node hostile-sender.ts send SOURCE TARGET RATE SECONDS FILE`: sends the datagrams of the file (hexadecimal lines) from
 * SOURCE (address:port) to TARGET, over and over, RATE a second as far as the machine lets it, 64 a system call. Prints
 * how many and in how many milliseconds.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises"
import { loadNative, type Native } from "../../../node-agent/host/native.ts"

const batch = 64
/** Of linux/net. */
const [inet, packet, datagram, anyProtocol, dontWait] = [2, 17, 2, 0x0300, 0x40]
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
  const sendAll = native.declare("sendmmsg", "int", ["int", "size", "unsigned", "int"])
  const descriptor = open(inet, datagram, 0)
  bind(descriptor, socketAddress(source), 16)
  connect(descriptor, socketAddress(target), 16)
  const messages = messagesOf(native, readFileSync(file, "utf8").split("\n"))
  const from = performance.now()
  let sent = 0
  let refused = 0
  for (let elapsed = 0; elapsed < seconds * 1000; elapsed = performance.now() - from) {
    if (sent >= (elapsed * rate) / 1000) {
      await turn()
      continue
    }
    try {
      sent += sendAll(descriptor, messages, batch, 0)
    } catch {
      // The queue is full, or nobody listens any more.
      refused += 1
      await turn()
    }
  }
  process.stdout.write(JSON.stringify({ sent, refused, elapsed: performance.now() - from }))
}

/** An array of `struct mmsghdr` in memory of its own, at the address returned. */
function messagesOf(native: Native, lines: readonly string[]): number {
  const map = native.declare("mmap", "long", ["size", "size", "int", "int", "int", "long"])
  const copy = native.declare("memcpy", "long", ["size", "bytes", "size"])
  const [headerSize, vectorSize, slot] = [64, 16, 2048]
  const [vectors, payloads] = [batch * headerSize, batch * (headerSize + vectorSize)]
  const memory = Buffer.alloc(payloads + batch * slot)
  const [readAndWrite, privateAndAnonymous] = [3, 0x22]
  const base = map(0, memory.length, readAndWrite, privateAndAnonymous, -1, 0)
  for (let index = 0; index < batch; index++) {
    const bytes = Buffer.from(lines[index % lines.length] ?? "", "hex")
    const [vector, payload] = [vectors + index * vectorSize, payloads + index * slot]
    bytes.copy(memory, payload)
    memory.writeBigUInt64LE(BigInt(base + payload), vector)
    memory.writeBigUInt64LE(BigInt(bytes.length), vector + 8)
    // msg_iov and msg_iovlen of struct msghdr.
    memory.writeBigUInt64LE(BigInt(base + vector), index * headerSize + 16)
    memory.writeBigUInt64LE(1n, index * headerSize + 24)
  }
  copy(base, memory, memory.length)
  return base
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
