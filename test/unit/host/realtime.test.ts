import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { expect, it } from "vitest"
import { prepareRealtime, type RealtimeReport } from "../../../node-agent/host/realtime.ts"

const host = join(import.meta.dirname, "../../../node-agent/host")

// What the kernel says of all threads and of a child, after asking for everything.
const program = `
  import { spawnSync } from "node:child_process"
  import { readdirSync, readFileSync } from "node:fs"
  import { loadNative } from ${JSON.stringify(join(host, "native.ts"))}
  import { prepareRealtime } from ${JSON.stringify(join(host, "realtime.ts"))}
  const fields = (text) => text.split(") ")[1].split(" ")
  const allowed = (text) => /^Cpus_allowed_list:\\s+(.*)$/m.exec(text)[1]
  const native = await loadNative()
  const before = allowed(readFileSync("/proc/self/status", "utf8"))
  const wish = { scheduling: "auto", processors: [0], holdLatency: true }
  const report = await prepareRealtime(wish, process.argv[1] === "without" ? "not here" : native.value)
  const of = (file) => readdirSync("/proc/self/task").map((task) => readFileSync("/proc/self/task/" + task + "/" + file, "utf8"))
  const policies = of("stat").map((text) => fields(text)[38])
  const child = report.forChildren(() => spawnSync("cat", ["/proc/self/stat", "/proc/self/status"], { encoding: "utf8" }).stdout)
  const limit = /^Max realtime timeout +(\\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"))[1]
  const locked = /^VmLck:\\s+(\\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))[1]
  console.log(JSON.stringify({
    report, limit, before, locked: Number(locked), threads: policies.length,
    policies: [...new Set(policies)],
    nice: [...new Set(of("stat").map((text) => Number(fields(text)[16])))],
    processors: [...new Set(of("status").map(allowed))],
    child: { policy: fields(child)[38], nice: Number(fields(child)[16]), processors: allowed(child) },
  }))
`

function prepared(way: "with" | "without") {
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", program, way], {
    encoding: "utf8",
  })
  const result = JSON.parse(output)
  const item = (name: string) => (result.report as RealtimeReport).items.find((each) => each.item === name)
  return { ...result, item }
}

it("[H11] what is reported is what was got, for all threads, and not for children", () => {
  const { report, policies, threads, child, limit, nice, item, locked, processors, before } = prepared("with")
  expect(threads).toBeGreaterThan(4)
  expect(child.policy).toBe("0")
  expect(child.nice).toBeGreaterThanOrEqual(0)
  if (report.got === "fifo") {
    expect(policies).toEqual(["1"])
    expect(limit).toBe("2000000")
    expect(item("runaway-guard").reason).toBe("")
  } else {
    expect(policies).toEqual(["0"])
    if (report.got === "nice") expect(nice).toEqual([-20])
    expect(report.reason).not.toBe("")
  }
  expect(item("processors")).toMatchObject({ asked: "0", got: "0", reason: "" })
  expect(processors).toEqual(["0"])
  expect(child.processors).toBe(before)
  // Kilobytes: the program's text alone has tens of megabytes.
  if (item("mapped-files").reason === "") expect(locked).toBeGreaterThan(10_000)
})

it("[H11] without the C library it is nice where allowed, and says what is missing", () => {
  const { report, policies, item, processors, before } = prepared("without")
  expect(report.got).not.toBe("fifo")
  expect(report.reason).toContain("no SCHED_FIFO: not here")
  expect(policies).toEqual(["0"])
  expect(item("mapped-files")).toMatchObject({ got: "not locked", reason: "not here" })
  expect(item("processors")).toMatchObject({ asked: "0", got: "any", reason: "not here" })
  expect(processors).toEqual([before])
})

it("[H11] is left alone when told so", async () => {
  const report = await prepareRealtime({ scheduling: "none", processors: [], holdLatency: false }, "not here")
  expect(report).toMatchObject({ got: "plain", reason: "switched off by --scheduling none" })
  expect(report.items.map((each) => each.item)).toEqual(["scheduling"])
})
