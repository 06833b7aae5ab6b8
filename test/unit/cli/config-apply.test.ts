/** `quorumbeat config apply` against the local API of an agent that is none: what it shows, and what it orders. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it, onTestFinished, vi } from "vitest"
import { config } from "../../../node-agent/cli/config.ts"
import { loadConfigFile } from "../../../node-agent/host/config-file.ts"
import { apiSocketPath, LocalApi } from "../../../node-agent/host/control/local-api.ts"
import { accepted, key } from "../../support/config-builder.ts"
import { temporaryDirectory } from "../host/fixtures.ts"

const text = (version: number, nodes: number, more = ""): string => {
  const tables = Array.from(
    { length: nodes },
    (_, index) =>
      `[[node]]\nid = ${index + 1}\nname = "a${index + 1}"\nsite = "a"\nlinks = ["10.0.0.${index + 1}"]\npublic_key = "${key(index + 1)}"\n`,
  )
  return `cluster = "lab"\nversion = ${version}\n${more}\n[[site]]\nname = "a"\n${tables.join("")}`
}

/** Asks an agent that runs three nodes under version 1. */
async function apply(next: string, ...options: readonly string[]) {
  const directory = temporaryDirectory()
  mkdirSync(join(directory, "run"))
  const file = (name: string, content: string): string => {
    writeFileSync(join(directory, name), content)
    return join(directory, name)
  }
  const ordered: string[] = []
  const api: LocalApi = new LocalApi(
    (request, command) => {
      ordered.push(command.kind)
      api.answered(request, { kind: "done", message: "configuration version 2 is active" })
    },
    () => undefined,
  )
  api.configuration = accepted(loadConfigFile(file("cluster.toml", text(1, 3))))
  await api.listen(apiSocketPath(join(directory, "run")))
  let printed = ""
  const write = vi.spyOn(process.stdout, "write").mockImplementation((each) => {
    printed += each
    return true
  })
  onTestFinished(() => {
    api.close()
    write.mockRestore()
  })
  const parameters = ["apply", file("next.toml", next), "--runtime-dir", join(directory, "run"), ...options]
  const status: unknown = await config.run(parameters).catch((cause: unknown) => cause)
  return { status, printed, ordered }
}

describe("config apply", () => {
  it("shows the difference and orders nothing without --yes: status 0", async () => {
    const { status, printed, ordered } = await apply(text(2, 4))
    expect({ status, ordered }).toEqual({ status: 0, ordered: [] })
    expect(printed).toMatch(
      /^cluster lab: version 1 -> 2\n[\s\S]*a4[\s\S]*\nnothing is changed; --yes orders it\n$/,
    )
  })

  it("with --yes orders it", async () => {
    const { status, printed, ordered } = await apply(text(2, 4), "--yes")
    expect({ status, ordered }).toEqual({ status: 0, ordered: ["configure"] })
    expect(printed).toContain("configuration version 2 is active\nnow copy ")
  })

  it.each([
    { what: "two nodes at once", next: text(2, 5), reason: "[LC1] 2 nodes added" },
    { what: "a version too far", next: text(3, 4), reason: "[LC1] version 3, expected 2" },
    { what: "another profile", next: text(2, 3, 'profile = "relaxed"'), reason: "[LC2] " },
  ])(
    "$what cannot be applied live, and the status says so without --yes already",
    async ({ next, reason }) => {
      const { status, ordered } = await apply(next)
      expect(status).toMatchObject({ status: 1, message: expect.stringContaining(reason) })
      expect(ordered).toEqual([])
    },
  )
})
