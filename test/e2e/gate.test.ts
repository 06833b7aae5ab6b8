// The gate alone, with real nftables, between two network namespaces: what passes when, whatever becomes of the process.

import type { ChildProcess } from "node:child_process"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { now, waitFor } from "../support/cluster/waiting.ts"
import { probePort } from "../support/floating/ports.ts"
import { Namespaces } from "../support/namespaces.ts"

const floating = "10.77.1.100"
const floating6 = "fd77:1::100"
const plain = "10.77.1.1"

let network: Namespaces

beforeAll(() => {
  network = new Namespaces("gt")
  network.add("near", [`${plain}/24`, "fd77:1::1/64", `${floating}/24`, `${floating6}/64`])
  network.add("far", ["10.77.1.2/24", "fd77:1::2/64"])
})
afterAll(() => network.remove())

class Driver {
  readonly child: ChildProcess
  readonly #lines: string[] = []
  #waiting: (() => void) | undefined

  constructor(
    mode: "owned" | "unowned" | "no-native" = "owned",
    environment: Readonly<Record<string, string>> = {},
  ) {
    const program = join(import.meta.dirname, "../support/floating/gate-driver.ts")
    const set = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
    const node = [process.execPath, program, mode, floating, floating6]
    this.child = network.spawn("near", "env", [...set, ...node])
    onTestFinished(() => this.end())
    if (this.child.stdout === null) throw new Error("no standard output")
    createInterface({ input: this.child.stdout }).on("line", (line) => {
      this.#lines.push(line)
      this.#waiting?.()
    })
  }

  async line(): Promise<string> {
    while (this.#lines.length === 0) {
      await new Promise<void>((resolve) => {
        this.#waiting = resolve
      })
    }
    return this.#lines.shift() ?? ""
  }

  async says(command: string): Promise<string> {
    this.child.stdin?.write(`${command}\n`)
    return this.line()
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    await new Promise((resolve) => {
      this.child.once("exit", resolve)
      this.child.kill("SIGKILL")
    })
  }
}

/** Asked anew: who did not answer a moment ago is not asked by ARP again at once. */
function answers(address: string): boolean {
  network.run("far", "ip", ["neigh", "flush", "all"])
  return network.succeeds("far", "ping", ["-c", "1", "-W", "0.3", address])
}
/** Asked by ARP, with nothing remembered. */
const answersArp = (address: string): boolean =>
  network.succeeds("far", "arping", ["-c", "1", "-w", "0.3", "-I", "eth0", address])
const open = () => [floating, floating6].map(answers)
function takeAddresses(): void {
  network.run("near", "ip", ["addr", "del", `${floating}/24`, "dev", "eth0"])
  network.run("near", "ip", ["addr", "del", `${floating6}/64`, "dev", "eth0"])
  onTestFinished(giveAddresses)
}

/** Back, if they are away. */
function giveAddresses(): void {
  network.run("near", "ip", ["addr", "replace", `${floating}/24`, "dev", "eth0"])
  network.run("near", "ip", ["addr", "replace", `${floating6}/64`, "dev", "eth0", "nodad"])
}

/** Sends what comes to standard input to the floating address, and prints what comes back. */
const asking = `
const socket = require("node:dgram").createSocket("udp6")
socket.on("message", (answer) => console.log(String(answer)))
socket.bind(0, "fd77:1::2")
process.stdin.on("data", (text) => socket.send(text, ${probePort}, "${floating6}"))
`
/** Bytes that came to whoever answers at the floating address and wait to be read. */
function unread(): number {
  const sockets = network
    .run("near", "ss", ["-Hlun", "sport", "=", `:${probePort}`])
    .trim()
    .split("\n")
  return Math.max(...sockets.map((line) => Number(line.split(/\s+/)[1])))
}
const tables = (): string => network.run("near", "nft", ["list", "tables"])

async function ready(driver: Driver, owned = true): Promise<void> {
  expect(JSON.parse(await driver.line())).toEqual({ kind: "ready", owned })
}

describe("the gate", () => {
  it("[G1] an address passes, by IPv4, ARP and IPv6, only while its lease goes on; others are left alone", async () => {
    const driver = new Driver()
    await ready(driver)
    expect(open()).toEqual([false, false])
    expect(answersArp(floating)).toBe(false)
    expect(answersArp(plain)).toBe(true)
    expect(await driver.says("open 60000")).toMatch(/^open ready /)
    expect(open()).toEqual([true, true])
    expect(answersArp(floating)).toBe(true)
    await driver.says("close")
    expect(open()).toEqual([false, false])
    expect(answersArp(floating)).toBe(false)
    expect(answers(plain)).toBe(true)
  })

  it("[G1] neither does the host itself reach a closed address, nor send from it", async () => {
    const driver = new Driver()
    await ready(driver)
    expect(network.succeeds("near", "ping", ["-c", "1", "-W", "0.3", floating])).toBe(false)
    const from = ["-c", "1", "-W", "0.3", "-I"]
    expect(network.succeeds("near", "ping", [...from, floating, "10.77.1.2"])).toBe(false)
    expect(network.succeeds("near", "ping", [...from, floating6, "fd77:1::2"])).toBe(false)
    await driver.says("open 60000")
    expect(network.succeeds("near", "ping", [...from, floating, "10.77.1.2"])).toBe(true)
  })

  for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
    it(`[G2] ${signal}: the kernel closes it, no later than the lease ends`, async () => {
      const driver = new Driver()
      await ready(driver)
      const client = await Client.beside()
      const lease = 2_000
      const end = endIn(await driver.says(`open ${lease}`))
      client.ask()
      driver.child.kill(signal)
      const last = await client.lastAnswered(end)
      expect(last).toBeLessThan(end)
      expect(last).toBeGreaterThan(end - lease / 2)
      expect(open()).toEqual([false, false])
    })
  }

  it("[G3] a request that reaches the kernel after the lease has ended opens nothing", async () => {
    const driver = new Driver()
    await ready(driver)
    const end = endIn(await driver.says("late 3000"))
    await sleep(end + 300 - now())
    driver.child.kill("SIGCONT")
    expect(await driver.line()).toBe("sent")
    // The timeout, counted from now, has most of 3 s to go: it is the end in the key that keeps it closed.
    const listed = () => network.run("near", "nft", ["list", "set", "inet", "quorumbeat", "open4"])
    expect(listed()).toMatch(/expires 2s/)
    expect(open()).toEqual([false, false])
  })

  it("[G3] one that comes late, but within the lease, opens for what is left of it", async () => {
    const driver = new Driver()
    await ready(driver)
    const client = await Client.beside()
    const end = endIn(await driver.says("late 3000"))
    await sleep(700)
    const continued = now()
    driver.child.kill("SIGCONT")
    await driver.line()
    client.ask()
    const last = await client.lastAnswered(end)
    expect(last).toBeGreaterThan(continued)
    expect(last).toBeLessThan(end)
  })

  it("[G3] real time set back by more than the lease closes it until the next renewal", async () => {
    const driver = new Driver()
    await ready(driver)
    await driver.says("back 5000")
    expect(open()).toEqual([false, false])
    await driver.says("open 60000")
    expect(open()).toEqual([true, true])
  })

  it("[G4] others' rules stay; what a former agent left is replaced, and closed from the first step on", async () => {
    network.run(
      "near",
      "nft",
      ["-f", "-"],
      "table inet mine {\n chain c {\n type filter hook input priority 0;\n }\n}\n",
    )
    onTestFinished(() => void network.run("near", "nft", ["delete", "table", "inet", "mine"]))
    const former = new Driver()
    await ready(former)
    await former.says("open 60000")
    await former.end()
    expect(tables()).toContain("table inet quorumbeat")
    const driver = new Driver()
    await ready(driver)
    expect(open()).toEqual([false, false])
    expect(tables()).toMatch(/table inet mine/)
    expect(tables()).not.toMatch(/starting/)
  })

  it("[G4] a node that leaves takes its tables away, unless the address is still there: then they stay, closed", async () => {
    const driver = new Driver()
    await ready(driver)
    await driver.says("open 60000")
    expect(await driver.says("leave")).toBe("left")
    expect(tables()).toContain("table inet quorumbeat")
    expect(open()).toEqual([false, false])
    // Without a carrier it is there all the same.
    const unplugged = new Driver()
    await ready(unplugged)
    network.unplug("near")
    expect(await unplugged.says("leave")).toBe("left")
    network.plug("near")
    expect(tables()).toContain("table inet quorumbeat")
    const next = new Driver()
    await ready(next)
    takeAddresses()
    expect(await next.says("leave")).toBe("left")
    expect(tables()).toBe("table inet quorumbeat-left\n")
    giveAddresses()
    // By hand, with no agent: nothing stands in the way.
    expect(open()).toEqual([true, true])
    await ready(new Driver())
    expect(tables()).not.toContain("left")
    expect(open()).toEqual([false, false])
  })

  it("[G4] where what guards a left address cannot be set up, its tables stay, closed", async () => {
    const driver = new Driver()
    await ready(driver)
    await driver.says("open 60000")
    takeAddresses()
    await driver.says("lose")
    expect(await driver.says("leave")).toBe("left")
    expect(tables()).not.toContain("left")
    giveAddresses()
    expect(open()).toEqual([false, false])
  })

  it("[G4] after it has left, a socket of before sends nothing from an address that is gone", async () => {
    const driver = new Driver()
    await ready(driver)
    await driver.says("open 60000")
    const program = join(import.meta.dirname, "../support/floating/responder.ts")
    const responder = network.spawn("near", process.execPath, [program, "near", floating6])
    const client = network.spawn("far", process.execPath, ["-e", asking])
    onTestFinished(() => {
      responder.kill("SIGKILL")
      client.kill("SIGKILL")
    })
    const heard: string[] = []
    if (client.stdout === null) throw new Error("no standard output")
    createInterface({ input: client.stdout }).on("line", (line) => heard.push(line))
    const ask = (text: string) => client.stdin?.write(text)
    await waitFor({ what: "an answer", limit: 10_000 }, () => {
      ask("first")
      return heard.includes("near first") || undefined
    })
    // Asked while it had the address, answered when another may have it.
    responder.kill("SIGSTOP")
    // Once: one that the client sent late would be answered when the address is back.
    ask("late")
    const what = "a datagram that waits to be answered"
    await waitFor({ what, limit: 10_000 }, () => unread() > 0 || undefined)
    takeAddresses()
    expect(await driver.says("leave")).toBe("left")
    responder.kill("SIGCONT")
    await waitFor({ what: "it read", limit: 10_000 }, () => unread() === 0 || undefined)
    await sleep(300)
    giveAddresses()
    await waitFor({ what: "an answer again", limit: 10_000 }, () => {
      ask("again")
      return heard.includes("near again") || undefined
    })
    expect(heard).not.toContain("near late")
  })

  it("[G5] `nft flush ruleset` by others does not touch it", async () => {
    const driver = new Driver()
    await ready(driver)
    network.run("near", "nft", ["flush", "ruleset"])
    expect(tables()).toContain("table inet quorumbeat")
    expect(open()).toEqual([false, false])
    await driver.says("open 60000")
    expect(open()).toEqual([true, true])
  })

  it("[G5] on a kernel that cannot own tables a flush is found and mended", async () => {
    const driver = new Driver("unowned")
    await ready(driver, false)
    await driver.says("open 60000")
    network.run("near", "nft", ["flush", "ruleset"])
    expect(await driver.says("check")).toBe("checked ready")
    expect(tables()).toContain("table inet quorumbeat")
    expect(open()).toEqual([true, true])
    await driver.says("close")
    expect(open()).toEqual([false, false])
  })

  it("[G6] without nft, or without a way to call the kernel, there is no gate and the reason is told", async () => {
    const missing = JSON.parse(await new Driver("owned", { PATH: "/nowhere" }).line())
    expect(missing).toMatchObject({ kind: "missing", reason: expect.stringContaining("nft cannot be run") })
    expect(JSON.parse(await new Driver("no-native").line())).toEqual({ kind: "missing", reason: "told so" })
  })

  it("[G6] a second agent cannot take the gate from a running one, nor open what is closed", async () => {
    const driver = new Driver()
    await ready(driver)
    await driver.says("open 60000")
    const second = JSON.parse(await new Driver().line())
    expect(second).toMatchObject({ kind: "missing", reason: "another agent has the gate of this machine" })
    expect(tables()).not.toMatch(/starting/)
    expect(open()).toEqual([true, true])
  })
})

/** Of what `open` or `late` answered, in milliseconds of CLOCK_MONOTONIC. */
const endIn = (answer: string): number => Number(answer.split(" ").at(-1))

/** Asks the floating address every 5 ms once it is told to, when by the clock; then prints the latest that was answered. */
const askingForTime = `
const socket = require("node:dgram").createSocket("udp4")
let last = 0
socket.on("message", (answer) => {
  last = Math.max(last, Number(String(answer).split(" ").at(-1)))
})
const ask = () => socket.send(String(Number(process.hrtime.bigint()) / 1e6), ${probePort}, "${floating}")
require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "ask") setInterval(ask, 5)
  else console.log(last)
})
socket.bind(0, "10.77.1.2", () => console.log("ready"))
`

/** In `far`. What it goes by is when it asked: no busy machine makes that later than the answer. */
class Client {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  private constructor(child: ChildProcess) {
    this.#child = child
    if (child.stdout === null) throw new Error("no standard output")
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  }

  /** Ready, with somebody in `near` who answers. */
  static async beside(): Promise<Client> {
    const program = join(import.meta.dirname, "../support/floating/responder.ts")
    const responder = network.spawn("near", process.execPath, [program, "near", floating])
    const client = new Client(network.spawn("far", process.execPath, ["-e", askingForTime]))
    onTestFinished(() => {
      responder.kill("SIGKILL")
      client.#child.kill("SIGKILL")
    })
    await waitFor({ what: "somebody at the address", limit: 10_000 }, () => {
      return network.run("near", "ss", ["-Hlun", "sport", "=", `:${probePort}`]) !== "" || undefined
    })
    await client.#lines.next()
    return client
  }

  ask(): void {
    this.#child.stdin?.write("ask\n")
  }

  /** When it asked what was answered last; looked at once `end` is well over. */
  async lastAnswered(end: number): Promise<number> {
    await sleep(end + 500 - now())
    this.#child.stdin?.write("tell\n")
    const { value } = await this.#lines.next()
    return Number(value)
  }
}
