import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { expect, it } from "vitest"
import { applyScheduling } from "../../../node-agent/host/realtime.ts"

const realtime = join(import.meta.dirname, "../../../node-agent/host/realtime.ts")

// Scheduling policy and nice value of all threads, and of a child.
const program = `
  import { spawnSync } from "node:child_process"
  import { readdirSync, readFileSync } from "node:fs"
  import { applyScheduling } from ${JSON.stringify(realtime)}
  const fields = (path) => readFileSync(path, "utf8").split(") ")[1].split(" ")
  const report = await applyScheduling("auto")
  const policies = readdirSync("/proc/self/task").map((task) => fields("/proc/self/task/" + task + "/stat")[38])
  const child = spawnSync("cat", ["/proc/self/stat"], { encoding: "utf8" }).stdout.split(") ")[1].split(" ")[38]
  const limit = /^Max realtime timeout +(\\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"))[1]
  const nice = Number(fields("/proc/self/stat")[16])
  console.log(JSON.stringify({ report, policies: [...new Set(policies)], threads: policies.length, child, limit, nice }))
`

it("what is reported is what was got, for all threads, and not for children", () => {
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" })
  const { report, policies, threads, child, limit, nice } = JSON.parse(output)
  expect(threads).toBeGreaterThan(4)
  expect(child).toBe("0")
  if (report.got === "fifo") {
    expect(policies).toEqual(["1"])
    expect(limit).toBe("2000000")
  } else {
    expect(policies).toEqual(["0"])
    expect(nice).toBe(report.got === "nice" ? -20 : nice)
    expect(report.reason).not.toBe("")
  }
})

it("is left alone when told so", async () => {
  expect(await applyScheduling("none")).toEqual({ got: "plain", reason: "switched off by --scheduling none" })
})
