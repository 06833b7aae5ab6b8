// A floating address as a resource, between two network namespaces, without a gate: added, announced, looked at, removed.

import { once } from "node:events"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { waitFor } from "../support/cluster/waiting.ts"
import { Namespaces } from "../support/namespaces.ts"

let network: Namespaces

beforeAll(() => {
  network = new Namespaces("ipr")
  network.add("near", ["10.77.2.1/24", "fd77:2::1/64"])
  network.add("far", ["10.77.2.2/24", "fd77:2::2/64"])
})
afterAll(() => network.remove())

/** Sends a line to a driver in `near` and resolves with its answer; what it prints unasked is in `printed`. */
async function driver(address: string, prefix: number, device?: string) {
  const program = join(import.meta.dirname, "../support/floating/address-driver.ts")
  const given = [address, String(prefix), ...(device === undefined ? [] : [device])]
  const child = network.spawn("near", process.execPath, [program, ...given])
  onTestFinished(() => {
    child.kill("SIGKILL")
  })
  const printed: string[] = []
  let answered: (line: string) => void = () => undefined
  const next = () =>
    new Promise<string>((resolve) => {
      answered = resolve
    })
  if (child.stdout === null) throw new Error("no standard output")
  const ready = next()
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (line.startsWith("printed ")) printed.push(line)
    else answered(line)
  })
  await ready
  const says = (command: string): Promise<string> => {
    const answer = next()
    child.stdin?.write(`${command}\n`)
    return answer
  }
  return { says, printed }
}

const held = (machine: string, address: string): boolean =>
  network.run(machine, "ip", ["-o", "addr"]).includes(` ${address}/`)

function hardwareOf(machine: string): string {
  const [link] = JSON.parse(network.run(machine, "ip", ["-json", "link", "show", "eth0"]))
  return link.address
}

/** Pulled or plugged in, and the machine's own interface knows of it: the kernel tells it a moment later. */
async function cable(state: "pulled" | "in"): Promise<void> {
  if (state === "in") network.plug("near")
  else network.unplug("near")
  await waitFor({ what: `the cable ${state}`, limit: 10_000, interval: 5 }, () => {
    const [{ operstate }] = JSON.parse(network.run("near", "ip", ["-json", "link", "show", "eth0"]))
    return (operstate === "UP") === (state === "in") || undefined
  })
}

/** What `far` believes, without having asked. */
const believed = (address: string): string => network.run("far", "ip", ["neigh", "show", address])

describe.each([
  { family: "IPv4", address: "10.77.2.100", prefix: 24 },
  { family: "IPv6", address: "fd77:2::100", prefix: 64 },
])("[G7] an $family address", ({ address, prefix }) => {
  it("is there when its start is over, announced to those who had it elsewhere, and gone after its stop", async () => {
    const { says } = await driver(address, prefix)
    const elsewhere = ["replace", address, "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "stale"]
    network.run("far", "ip", ["neigh", ...elsewhere])
    expect(await says("start")).toMatch(/^started \d+$/)
    expect(held("near", address)).toBe(true)
    await waitFor({ what: "the announcement taken", limit: 10_000 }, () => {
      return believed(address).includes(hardwareOf("near")) || undefined
    })
    expect(await says("monitor")).toBe("running")
    expect(await says("start")).toMatch(/^started/)
    expect(await says("stop")).toBe("stopped")
    expect(held("near", address)).toBe(false)
    expect(await says("monitor")).toBe("stopped")
    expect(await says("stop")).toBe("stopped")
  })

  it("that somebody else answers for is not taken, and is told with whose", async () => {
    network.run("far", "ip", ["addr", "add", `${address}/${prefix}`, "dev", "eth0", "nodad"])
    onTestFinished(
      () => void network.run("far", "ip", ["addr", "del", `${address}/${prefix}`, "dev", "eth0"]),
    )
    const { says } = await driver(address, prefix, "eth0")
    expect(await says("start")).toBe(`failed duplicate address: ${address} is held by ${hardwareOf("far")}`)
    expect(held("near", address)).toBe(false)
  })

  it("is not added once the right to start has ended", async () => {
    const { says } = await driver(address, prefix, "eth0")
    expect(await says("start 1")).toBe("failed not begun: the right to start has ended")
    expect(held("near", address)).toBe(false)
  })

  it("[G8] without a carrier is failed, and can be removed", async () => {
    const { says } = await driver(address, prefix, "eth0")
    await says("start")
    await cable("pulled")
    onTestFinished(() => cable("in"))
    expect(await says("monitor")).toBe("failed eth0 has no carrier")
    expect(await says("stop")).toBe("stopped")
    expect(held("near", address)).toBe(false)
    expect(await says("start")).toBe("failed eth0 has no carrier")
  })

  it("[G8] that is stopped takes along what has not left yet: back on the network, nothing more comes from it", async () => {
    const { says } = await driver(address, prefix, "eth0")
    await says("start")
    const [own, to] = address.includes(":") ? ["fd77:2::1", "fd77:2::2"] : ["10.77.2.1", "10.77.2.2"]
    const heard = wordsHeard(to)
    const say = speaker({ floating: address, own }, to)
    await waitFor({ what: "an answer by the floating address", limit: 10_000 }, async () => {
      await say("floating early")
      return heard.includes("early") || undefined
    })
    await cable("pulled")
    onTestFinished(() => cable("in"))
    await waitFor({ what: "a datagram that cannot leave", limit: 10_000 }, async () => {
      await say("floating late")
      return network.run("near", "ip", ["neigh", "show", to]).includes("INCOMPLETE") || undefined
    })
    expect(await says("stop")).toBe("stopped")
    await cable("in")
    // By the same neighbour, so after whatever still waits for it.
    await waitFor({ what: "a datagram from the node's own address", limit: 10_000 }, async () => {
      await say("own after")
      return heard.includes("after") || undefined
    })
    expect(heard).not.toContain("late")
  })
})

const port = 7_001

/** What comes to `address` of `far`. */
function wordsHeard(address: string): readonly string[] {
  const type = address.includes(":") ? "udp6" : "udp4"
  const program = `
    const socket = require("node:dgram").createSocket("${type}")
    socket.on("message", (text) => console.log(String(text)))
    socket.bind(${port}, "${address}")`
  const child = network.spawn("far", process.execPath, ["-e", program])
  onTestFinished(() => {
    child.kill("SIGKILL")
  })
  const heard: string[] = []
  if (child.stdout === null) throw new Error("no standard output")
  createInterface({ input: child.stdout }).on("line", (line) => heard.push(line))
  return heard
}

/** Says words to `far`, by sockets of `near` that were bound while their addresses were there; resolves when each was sent. */
function speaker(addresses: Readonly<Record<"floating" | "own", string>>, to: string) {
  const program = `
    const sockets = {}
    for (const [name, address] of Object.entries(${JSON.stringify(addresses)})) {
      sockets[name] = require("node:dgram").createSocket(address.includes(":") ? "udp6" : "udp4")
      sockets[name].bind(0, address)
    }
    require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
      const [name, word] = line.split(" ")
      sockets[name].send(word, ${port}, "${to}", () => console.log("sent"))
    })`
  const child = network.spawn("near", process.execPath, ["-e", program])
  onTestFinished(() => {
    child.kill("SIGKILL")
  })
  if (child.stdout === null) throw new Error("no standard output")
  const answers = createInterface({ input: child.stdout })
  return async (line: string): Promise<void> => {
    const sent = once(answers, "line")
    child.stdin?.write(`${line}\n`)
    await sent
  }
}

it("[G8] whose device nobody named is failed without a carrier as well: it is still there", async () => {
  const { says } = await driver("10.77.2.100", 24)
  await says("start")
  await cable("pulled")
  onTestFinished(() => cable("in"))
  expect(await says("monitor")).toBe("failed eth0 has no carrier")
  expect(await says("stop")).toBe("stopped")
  expect(held("near", "10.77.2.100")).toBe(false)
})

describe("[G7] where the address belongs", () => {
  it("is where its network is, or nowhere", async () => {
    const stranger = await driver("10.200.0.1", 24)
    expect(await stranger.says("start")).toMatch(
      /^failed no running interface .* of the network of 10\.200\.0\.1\/24/,
    )
    const missing = await driver("10.77.2.100", 24, "eth7")
    expect(await missing.says("start")).toBe("failed there is no interface eth7")
    expect(await missing.says("stop")).toBe("stopped")
  })
})

it("[G7] a claim by somebody else, later, is answered by another announcement", async () => {
  const { says, printed } = await driver("10.77.2.100", 24)
  await says("start")
  // Nobody answers it, so arping ends with a status.
  const claim = ["-c", "1", "-w", "1", "-U", "-I", "eth0", "-S", "10.77.2.100", "10.77.2.100"]
  network.succeeds("far", "arping", claim)
  await waitFor({ what: "the claim seen", limit: 5_000 }, () => printed.length > 0 || undefined)
  expect(printed[0]).toContain(`10.77.2.100 was claimed by ${hardwareOf("far")}, announced again`)
  await says("stop")
})
