// Agents of Debian's `resource-agents`, run as the control process runs them: started, looked at, stopped, and refused.
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { ocfRoot, readOcfMetadata } from "../../node-agent/host/control/resources/ocf-metadata.ts"
import type { OcfResource } from "../../protocol/cluster.ts"
import { millis } from "../../protocol/units.ts"
import { describeNeeding } from "../support/needs.ts"
import { eventually, inMilliseconds, serviceOf, temporaryDirectory } from "../unit/host/fixtures.ts"

const heartbeat = `${ocfRoot}/resource.d/heartbeat`
const missing = existsSync(heartbeat) ? [] : ["the package resource-agents"]

describeNeeding(missing, "[H7] an OCF agent", () => {
  test("Dummy starts, is found running by the next control process, and stops", async () => {
    const state = join(temporaryDirectory(), "dummy.state")
    const { runner, outcome } = serviceOf(() => [ocf("dummy", "Dummy", { state })])
    runner.start(1, "1.2.3", soon())
    expect(await outcome(1)).toMatchObject({ kind: "service-started" })
    expect(existsSync(state)).toBe(true)
    expect(await runner.discover(false)).toMatchObject({ state: "running", epoch: "1.2.3" })
    runner.stop(2)
    expect(await outcome(2)).toMatchObject({ kind: "service-stopped" })
    expect(existsSync(state)).toBe(false)
    expect(await runner.discover(false)).toMatchObject({ state: "stopped" })
  })

  test("IPaddr2 puts an address on an interface and takes it away", async () => {
    const ip = "127.77.93.5"
    const { runner, outcome } = serviceOf(() => [ocf("ip", "IPaddr2", { ip, nic: "lo", cidr_netmask: "32" })])
    runner.start(1, "1", soon())
    expect(await outcome(1)).toMatchObject({ kind: "service-started" })
    expect(addresses()).toContain(`inet ${ip}/32`)
    runner.stop(2)
    expect(await outcome(2)).toMatchObject({ kind: "service-stopped" })
    expect(addresses()).not.toContain(ip)
  })

  test("Filesystem and Dummy start in order and stop in reverse: the state file is on the file system", async () => {
    const directory = join(temporaryDirectory(), "mounted")
    mkdirSync(directory)
    const { runner, outcome } = serviceOf(() => [
      ocf("disk", "Filesystem", { device: "tmpfs", directory, fstype: "tmpfs" }),
      ocf("dummy", "Dummy", { state: join(directory, "dummy.state") }),
    ])
    runner.start(1, "1", soon())
    expect(await outcome(1)).toMatchObject({ kind: "service-started" })
    expect(existsSync(join(directory, "dummy.state"))).toBe(true)
    expect(execFileSync("findmnt", ["--noheadings", directory], { encoding: "utf8" })).toContain("tmpfs")
    runner.stop(2)
    expect(await outcome(2)).toMatchObject({ kind: "service-stopped" })
    expect(readdirSync(directory)).toEqual([])
  })

  test("that dies is noticed by its monitor", async () => {
    const state = join(temporaryDirectory(), "dummy.state")
    const { runner, outcome, events } = serviceOf(() => [
      { ...ocf("dummy", "Dummy", { state }), monitorInterval: millis(50) },
    ])
    runner.start(1, "1", soon())
    await outcome(1)
    execFileSync("rm", [state])
    const died = await eventually(() => events.find(({ kind }) => kind === "service-died"), 10_000)
    expect(died).toMatchObject({ reason: "dummy: not running" })
    runner.stop(2)
    await outcome(2)
  })

  test("whose parameters it does not know is not started, and says why", async () => {
    const { runner, outcome, printed } = serviceOf(() => [ocf("dummy", "Dummy", { stat: "/x", fake: "1" })])
    await eventually(() => printed.length > 0, 10_000)
    runner.start(1, "1", soon())
    const reason = /^start of dummy: ocf:heartbeat:Dummy: no parameter stat; there are fake, .*state/
    expect(await outcome(1)).toMatchObject({
      kind: "service-start-failed",
      reason: expect.stringMatching(reason),
    })
  })

  test("that is not installed says so in OCF's words", async () => {
    const missing = await readOcfMetadata("ocf:heartbeat:NoSuchAgent")
    expect(missing).toEqual({
      kind: "failed",
      reason: `${heartbeat}/NoSuchAgent is not there or cannot be run`,
    })
    const { runner, outcome } = serviceOf(() => [ocf("db", "mysql", { binary: "/no/such/mysqld" })])
    runner.start(1, "1", soon())
    expect(await outcome(1)).toMatchObject({
      reason: expect.stringContaining(
        "exit status 5, not installed: Setup problem: couldn't find command: /no/such/mysqld",
      ),
    })
  })

  test("describes itself in a form that is understood, whichever it is", async () => {
    const names = readdirSync(heartbeat).filter((name) => !/^\.|\.orig$/.test(name))
    const refused: string[] = []
    for (const name of names) {
      const result = await readOcfMetadata(`ocf:heartbeat:${name}`)
      if (result.kind === "failed") refused.push(`${name}: ${result.reason}`)
    }
    expect(refused).toEqual([])
    expect(names.length).toBeGreaterThan(50)
  })
})

const soon = () => inMilliseconds(20_000)
const addresses = (): string => execFileSync("ip", ["address", "show", "dev", "lo"], { encoding: "utf8" })

function ocf(name: string, type: string, parameters: Readonly<Record<string, string>>): OcfResource {
  const limit = millis(20_000)
  const limits = { startTimeout: limit, stopTimeout: limit, monitorTimeout: limit, monitorInterval: limit }
  return { kind: "ocf", name, agent: `ocf:heartbeat:${type}`, parameters, ...limits }
}
