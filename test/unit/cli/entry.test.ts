/** The built program under a Node that is too old for it: a pretended one, since the tests have none. */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { build } from "../../../node-agent/build.ts"

describe("the program's entry", () => {
  const directory = mkdtempSync(join(tmpdir(), "quorumbeat-entry-"))
  const program = join(directory, "quorumbeat.js")
  beforeAll(() => build({ outdir: directory }))
  afterAll(() => rmSync(directory, { recursive: true }))

  function runAs(version: string) {
    const pretence = `Object.defineProperty(process.versions, "node", { value: "${version}" })`
    const parameters = [
      "--import",
      `data:text/javascript,${encodeURIComponent(pretence)}`,
      program,
      "version",
    ]
    const { status, stdout, stderr } = spawnSync(process.execPath, parameters, { encoding: "utf8" })
    return { status, stdout, stderr }
  }

  it.each(["18.20.4", "20.20.2", "22.21.0"])("says in one line what Node %s lacks", (version) => {
    const { status, stdout, stderr } = runAs(version)
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" })
    expect(stderr).toMatch(
      /^quorumbeat needs Node 24 or newer, and this is [\d.]+ \(.+\): use .*`npm ci`.*\n$/,
    )
    expect(stderr).toContain(version)
  })

  it("goes on with a newer one", () => {
    expect(runAs("25.1.0")).toMatchObject({ status: 0, stdout: expect.stringMatching(/^quorumbeat \d/) })
  })

  it("ends silently when nobody reads on", () => {
    const untilNobodyReads = `(trap "" PIPE; while printf x; do sleep 0.01; done) 2>/dev/null`
    const command = `{ ${untilNobodyReads}; "$0" "$1" init --help; echo "$?" >&2; } | true`
    const { stderr } = spawnSync("sh", ["-c", command, process.execPath, program], { encoding: "utf8" })
    expect(stderr).toBe("141\n")
  })

  it("imports nothing before it knows", () => {
    const code = readFileSync(program, "utf8")
    expect(code).not.toMatch(/^\s*(import|export)\s+[^(]/m)
    expect(code.length).toBeLessThan(2_000)
  })
})
