import { spawn } from "node:child_process"
import { once } from "node:events"
import { text } from "node:stream/consumers"
import { expect, test } from "vitest"

test("a trace whose reader has seen enough ends there, without a stack", async () => {
  const run = spawn(process.execPath, ["test/simulation/main.ts", "--seed=9", "--minutes=30", "--trace"])
  run.stdout.once("data", () => run.stdout.destroy())
  const [said, [code]] = await Promise.all([text(run.stderr), once(run, "exit")])
  expect(said).toBe("")
  expect(code).toBe(141)
})
