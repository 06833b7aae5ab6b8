import { spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import { lockFileName, takeLock } from "../../../node-agent/host/lock-file.ts"
import { temporaryDirectory } from "./fixtures.ts"

const lockModule = join(import.meta.dirname, "../../../node-agent/host/lock-file.ts")

describe("[H1] the lock", () => {
  it("is held by one process, which can be named", async () => {
    const directory = temporaryDirectory()
    const { child } = await holder(directory, "setInterval(() => {}, 1000)")
    expect(takeLock(join(directory, lockFileName), 0)).toEqual({ kind: "held", holder: String(child.pid) })
  })

  it("ends with a process that is killed", async () => {
    const directory = temporaryDirectory()
    const { child } = await holder(directory, "setInterval(() => {}, 1000)")
    child.kill("SIGKILL")
    await once(child, "exit")
    const lock = takeLock(join(directory, lockFileName), 0)
    expect(lock.kind).toBe("locked")
    if (lock.kind === "locked") closeSync(lock.descriptor)
  })

  it("lives on in a process that was given the descriptor, and not in other children", async () => {
    const directory = temporaryDirectory()
    const heir = `
      const { spawn } = await import("node:child_process")
      spawn("sleep", ["60"], { stdio: "ignore", detached: true }).unref()
      const heir = spawn("sleep", ["60"], { stdio: ["ignore", "ignore", "ignore", lock.descriptor] })
      console.log(heir.pid)
      setInterval(() => {}, 1000)`
    const { child, words } = await holder(directory, heir)
    const heirPid = Number(words[1])
    child.kill("SIGKILL")
    await once(child, "exit")
    expect(takeLock(join(directory, lockFileName), 0).kind).toBe("held")
    process.kill(heirPid, "SIGKILL")
    expect(takeLock(join(directory, lockFileName), 5).kind).toBe("locked")
  })

  it("in a directory that is not there is an error with the path", () => {
    const lock = takeLock(join(temporaryDirectory(), "none", lockFileName), 0)
    expect(lock).toMatchObject({ kind: "failed", reason: expect.stringContaining("none") })
  })
})

/** A process that takes the lock, says so and then does what `script` says. */
async function holder(directory: string, script: string) {
  const program = `
    const { takeLock } = await import(${JSON.stringify(lockModule)})
    const lock = takeLock(${JSON.stringify(join(directory, lockFileName))}, 0)
    console.log(lock.kind)
    ${script}`
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  onTestFinished(() => {
    child.kill("SIGKILL")
  })
  let text = ""
  const wanted = script.includes("heir") ? 2 : 1
  for await (const chunk of child.stdout) {
    text += String(chunk)
    if (text.split("\n").length > wanted) break
  }
  const words = text.trim().split("\n")
  expect(words[0]).toBe("locked")
  return { child, words }
}
