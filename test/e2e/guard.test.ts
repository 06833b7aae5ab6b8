// `quorumbeat guard` as an operator's script runs it, and the server of the README that refuses lower epochs.
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { beforeAll, describe, expect, onTestFinished, test } from "vitest"
import { createWorkplace, removeWorkplace, type Workplace } from "../support/cluster/workplace.ts"
import { temporaryDirectory } from "../unit/host/fixtures.ts"

let workplace: Workplace
beforeAll(async () => {
  workplace = await createWorkplace("guard")
  return () => removeWorkplace(workplace)
})

describe("guard", () => {
  test("becomes the command: its output, its exit status, its signals", async () => {
    const file = join(temporaryDirectory(), "epoch")
    const done = await guarded(file, "3.1.4.1", ["sh", "-c", 'echo "$0 $QUORUMBEAT_EPOCH"; exit 9', "--help"])
    expect(done).toEqual({ status: 9, printed: "--help 3.1.4.1\n", complaint: "" })
  })

  test("does not run it under a lower epoch", async () => {
    const file = join(temporaryDirectory(), "epoch")
    await guarded(file, "3.1.4.1", ["true"])
    const late = await guarded(file, "3.1.3.9", ["sh", "-c", `echo ran > ${file}.ran`])
    expect(late).toEqual({
      status: 77,
      printed: "",
      complaint: `quorumbeat: epoch 3.1.3.9 is over: 3.1.4.1 has acted (${file})\n`,
    })
    expect(() => readFileSync(`${file}.ran`)).toThrow("ENOENT")
  })

  test("called from many at once records the highest", async () => {
    const file = join(temporaryDirectory(), "epoch")
    const epochs = [3, 9, 1, 7, 5, 8, 2, 6]
    const all = await Promise.all(epochs.map((epoch) => guarded(file, `1.0.${epoch}.0`, ["true"])))
    for (const { status } of all) expect([0, 77]).toContain(status)
    expect(all[1]?.status).toBe(0)
    expect(readFileSync(file, "utf8")).toBe("1.0.9.0\n")
  })

  test("for a command that is not there records nothing", async () => {
    const file = join(temporaryDirectory(), "epoch")
    const { status, complaint } = await guarded(file, "1", ["no-such-command"])
    expect({ status, complaint }).toEqual({
      status: 1,
      complaint: "quorumbeat: no-such-command: not found, or cannot be run\n",
    })
    expect(() => readFileSync(file)).toThrow("ENOENT")
  })
})

test("the README's server refuses writes of lower epochs, also after a restart", async () => {
  const directory = temporaryDirectory()
  const port = 20_000 + (process.pid % 10_000)
  const write = async (epoch: string | undefined): Promise<number> => {
    const headers: Record<string, string> = epoch === undefined ? {} : { "Quorumbeat-Epoch": epoch }
    return (await fetch(`http://127.0.0.1:${port}/`, { method: "POST", headers, body: "x" })).status
  }
  const first = await serve(directory, port)
  expect(await write("1.0.1.5")).toBe(200)
  expect(await write("2.0.1.1")).toBe(200)
  expect(await write("1.9.9.9")).toBe(409)
  expect(await write(undefined)).toBe(400)
  first.kill("SIGKILL")
  await once(first, "exit")
  await serve(directory, port)
  expect(await write("1.9.9.9")).toBe(409)
  expect(await write("2.0.1.1")).toBe(200)
})

async function guarded(file: string, epoch: string, command: readonly string[]) {
  const child = spawn(process.execPath, [workplace.program, "guard", file, "--", ...command], {
    env: { ...process.env, QUORUMBEAT_EPOCH: epoch },
  })
  const texts = { printed: "", complaint: "" }
  child.stdout.on("data", (chunk) => (texts.printed += String(chunk)))
  child.stderr.on("data", (chunk) => (texts.complaint += String(chunk)))
  const [status] = await once(child, "close")
  return { status, ...texts }
}

/** The first JavaScript block of the README's section on the header, run as it stands. */
async function serve(directory: string, port: number) {
  const readme = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8")
  const [, source = ""] = /```js\n([\s\S]*?Quorumbeat-Epoch[\s\S]*?)```/i.exec(readme) ?? []
  expect(source).not.toBe("")
  const child = spawn(process.execPath, ["--input-type=module", "--eval", source], {
    cwd: directory,
    env: { ...process.env, PORT: String(port) },
    stdio: ["ignore", "inherit", "inherit"],
  })
  onTestFinished(() => void child.kill("SIGKILL"))
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const isUp = await fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    )
    if (isUp) return child
    await sleep(25)
  }
  throw new Error("the server did not begin to listen")
}
