// Fence devices: Debian's fence_ipmilan against a simulated management controller, alone and for a whole cluster.
import { execFileSync } from "node:child_process"
import { chmodSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { FenceDevices } from "../../node-agent/host/control/fence/fence-devices.ts"
import { fenceProblemsHere } from "../../node-agent/host/control/fence/fence-installed.ts"
import type { ControlEvent } from "../../node-agent/host/control/messages.ts"
import type { FenceDevice } from "../../protocol/cluster.ts"
import { millis, nodeId } from "../../protocol/units.ts"
import type { ClusterLayout } from "../support/cluster/layout.ts"
import { Ipmi, ipmiPassword, ipmiUser } from "../support/ipmi.ts"
import { eventually, temporaryDirectory } from "../unit/host/fixtures.ts"
import { patience, useLab } from "./lab.ts"

execFileSync("which", ["ipmi_sim", "fence_ipmilan", "ipmitool"], { stdio: "ignore" })

const target = nodeId(2)

describe("[S15] a fence device", () => {
  it("confirms only what is off, twice as well as once, and looks healthy before", async () => {
    const { ipmi, device, devices, events } = await rack()
    const { start, fence } = devices([device()])
    start()
    await fence(1)
    await fence(2)
    expect(events.filter(({ kind }) => kind !== "fence-device-checked")).toEqual([
      { kind: "fence-confirmed", operation: 1 },
      { kind: "fence-confirmed", operation: 2 },
    ])
    expect(events).not.toContainEqual(expect.objectContaining({ kind: "fence-device-checked" }))
    expect(ipmi.isOn).toBe(false)
    expect(ipmi.switched.map(({ to }) => to)).toEqual(["off"])
  })

  it("is checked against its agent before it is needed", async () => {
    const { device } = await rack()
    expect(await fenceProblemsHere(device())).toEqual([])
    const wrong = { ...device(), parameters: { ipp: "127.0.0.1" } }
    expect(await fenceProblemsHere(wrong)).toEqual([expect.stringContaining("no parameter ipp")])
    expect(await fenceProblemsHere({ ...wrong, agent: "fence_nothing" })).toEqual([
      "/usr/sbin/fence_nothing is not there or cannot be run",
    ])
  })

  it("with `reboot` is on again afterwards", async () => {
    const { ipmi, device, devices, events } = await rack()
    await devices([device({ action: "reboot" })]).fence(1)
    expect(events).toEqual([{ kind: "fence-confirmed", operation: 1 }])
    expect(ipmi.switched.map(({ to }) => to)).toEqual(["off", "on"])
  })

  it("with a wrong password is told when it is first looked at, and its secret is told to nobody", async () => {
    const { ipmi, device, devices, events, logged } = await rack()
    const { start, fence } = devices([device({ secrets: "password=wrong-one" })])
    start()
    const told = await eventually(() => events.find(({ kind }) => kind === "fence-device-checked"), 30_000)
    expect(told).toMatchObject({
      device: "ipmi",
      problem: expect.stringContaining("fence_ipmilan monitor: "),
    })
    await fence(1)
    expect(events.at(-1)).toMatchObject({
      kind: "fence-failed",
      reason: expect.stringContaining("ipmi: fence_"),
    })
    expect(ipmi.isOn).toBe(true)
    expect(JSON.stringify([events, logged])).not.toContain("wrong-one")
  })

  it("whose secrets others may read is not used", async () => {
    const { ipmi, device, devices, events } = await rack()
    const open = device()
    chmodSync(open.secretsFile ?? "", 0o640)
    await devices([open]).fence(1)
    expect(events).toEqual([
      { kind: "fence-failed", operation: 1, reason: expect.stringContaining("chmod 0400") },
    ])
    expect(ipmi.isOn).toBe(true)
  })

  it("of a later level is tried when one of an earlier level fails; all of one level must confirm", async () => {
    const { ipmi, device, devices, events } = await rack()
    const other = await rack()
    const dead = {
      ...device({ name: "dead" }),
      parameters: { ip: "127.0.0.1", ipport: "9" },
      timeout: millis(1_000),
    }
    await devices([dead, device({ name: "first", level: 1 })]).fence(1)
    expect(events).toEqual([
      { kind: "fence-failed", operation: 1, reason: expect.stringContaining("dead: ") },
    ])
    await devices([
      dead,
      device({ name: "left", level: 2 }),
      other.device({ name: "right", level: 2 }),
    ]).fence(2)
    expect(events.at(-1)).toEqual({ kind: "fence-confirmed", operation: 2 })
    expect([ipmi.isOn, other.ipmi.isOn]).toEqual([false, false])
  })
})

interface DeviceSettings {
  readonly name?: string
  readonly level?: number
  readonly action?: FenceDevice["action"]
  readonly secrets?: string
}

let nextPort = 18_000 + (process.pid % 500) * 4

/** A controller of node 2, and what is done with it. */
async function rack() {
  const directory = temporaryDirectory()
  const port = nextPort
  nextPort += 1
  const ipmi = new Ipmi(join(directory, "ipmi"), port)
  await ipmi.start()
  onTestFinished(() => ipmi.kill())
  const events: ControlEvent[] = []
  const logged: unknown[] = []
  const device = ({
    name = "ipmi",
    level = 1,
    action = "off",
    secrets,
  }: DeviceSettings = {}): FenceDevice => {
    const secretsFile = join(directory, `${name}.secrets`)
    writeFileSync(secretsFile, `# of the controller\n${secrets ?? `password=${ipmiPassword}`}\n`, {
      mode: 0o600,
    })
    return {
      name,
      agent: "fence_ipmilan",
      nodes: [{ node: target, plug: undefined }],
      level,
      action,
      parameters: { ip: "127.0.0.1", ipport: String(port), username: ipmiUser },
      secretsFile,
      delay: millis(0),
      timeout: millis(30_000),
      monitorInterval: millis(3_600_000),
    }
  }
  const devices = (list: readonly FenceDevice[]) => {
    const made = new FenceDevices({
      devices: list,
      self: nodeId(1),
      log: (...line) => logged.push(line),
      emit: (event) => events.push(event),
    })
    onTestFinished(() => made.close())
    return { start: () => made.start(), fence: (operation: number) => made.fence(operation, target) }
  }
  return { ipmi, device, devices, events, logged }
}

describe("[S15] a cluster whose service nothing ends by itself", () => {
  const controllers = new Map<string, Ipmi>()
  const lab = useLab({
    name: "fencing",
    sites: [{ name: "a", nodes: ["a1", "a2", "a3"] }],
    hasWitness: false,
    configure: (toml, layout) => withFencing(toml, layout, controllers),
  })
  beforeAll(() => Promise.all([...controllers.values()].map((each) => each.start())))
  afterAll(() => Promise.all([...controllers.values()].map((each) => each.kill())))

  it("has its hung owner turned off, and only then goes on elsewhere", async () => {
    const before = lab.owner()
    const victim = lab.ownerAgent()
    const frozenAt = Date.now()
    victim.signal("SIGSTOP")
    const heir = await lab.succession(before, before.at)
    expect(heir.node).not.toBe(victim.name)
    const [off] = controllers.get(victim.name)?.switched ?? []
    expect(off?.to).toBe("off")
    expect(off?.at ?? 0).toBeGreaterThan(frozenAt)
    const { services } = await lab.statusWhen(lab.agent(heir.node), "its start is done", (status) =>
      status.services.every(({ state }) => state === "running"),
    )
    expect(services).toMatchObject([{ owner: heir.node, state: "running" }])
    await sleep(500)
    expect(victim.isRunning).toBe(false)
    controllers.get(victim.name)?.powerOn()
  })

  it("waits for a person when the device does not answer, and goes on when it answers again", async () => {
    const before = lab.owner()
    const victim = lab.ownerAgent()
    const controller = controllers.get(victim.name)
    await controller?.kill()
    victim.signal("SIGSTOP")
    const [other] = lab.others(victim)
    if (other === undefined) throw new Error("there are three nodes")
    const blocked = await lab.statusWhen(
      other,
      "is blocked, and a person is needed",
      ({ services }) => services[0]?.reason?.includes("fence confirm") === true,
      3 * patience,
    )
    expect(blocked.services).toMatchObject([{ state: "blocked" }])
    expect(lab.ledger.last()?.epoch).toBe(before.epoch)
    await controller?.start()
    await lab.succession(before, before.at)
    controller?.powerOn()
  })
})

function withFencing(toml: string, layout: ClusterLayout, controllers: Map<string, Ipmi>): string {
  const secretsFile = join(layout.directory, "keys/ipmi.secrets")
  writeFileSync(secretsFile, `password=${ipmiPassword}\n`, { mode: 0o600 })
  const tables = layout.nodes.map(({ name, directory, runtimeDirectory }, index) => {
    const port = layout.receiverPort + 10 + index
    // Found by its runtime directory; the control process ends with it, the service when its lease is past.
    const powerLost = `pkill -KILL -f '[r]ealtime ${runtimeDirectory}/'`
    controllers.set(name, new Ipmi(join(directory, "ipmi"), port, powerLost))
    return `
[[fence]]
name = "ipmi-${name}"
agent = "fence_ipmilan"
nodes = ["${name}"]
parameters = { ip = "127.0.0.1", ipport = "${port}", username = "${ipmiUser}", power_timeout = "5", login_timeout = "2" }
secrets_file = "${secretsFile}"
timeout_ms = 8000
`
  })
  return `${toml.replace('proof = "self-lease"\nself_lease_margin_ms = 50\n', 'proof = "operator"\n')}${tables.join("")}`
}
