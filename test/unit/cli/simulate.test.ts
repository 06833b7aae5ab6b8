import { execFileSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it, vi } from "vitest"
import { build } from "../../../node-agent/build.ts"
import { CommandFailure } from "../../../node-agent/cli/command.ts"
import { simulate } from "../../../node-agent/cli/simulate.ts"
import { temporaryDirectory } from "../host/fixtures.ts"

const key = (fill: number): string => Buffer.alloc(32, fill).toString("base64url")
const table = (name: string, fields: Readonly<Record<string, unknown>>): string =>
  `[[${name}]]\n${Object.entries(fields)
    .map(([field, value]) => `${field} = ${JSON.stringify(value)}\n`)
    .join("")}`

/** Two sites of one node, and a witness. */
function clusterFile(mode = "automatic"): string {
  const nodes = ["north-1", "south-1"].map((name, index) =>
    table("node", {
      ...{ id: index + 1, name, site: name.slice(0, 5), links: [`10.0.0.${index + 1}`] },
      ...{ wan: `198.51.100.${index + 1}`, public_key: key(index + 1) },
    }),
  )
  const file = join(temporaryDirectory(), "cluster.toml")
  const commands = { start: ["/bin/a"], stop: ["/bin/a"], monitor: ["/bin/a"] }
  const text = [
    'cluster = "lab"\nversion = 1\n',
    `[witness]\nurl = "https://witness.example.net"\npublic_key = "${key(9)}"\n`,
    ...["north", "south"].map((name) => table("site", { name })),
    ...nodes,
    table("service", { name: "ledger", mode, proof: "self-lease", self_lease_margin_ms: 20 }),
    table("service.resource", { kind: "command", name: "d", ...commands }),
  ]
  writeFileSync(file, text.join("\n"))
  return file
}

async function run(...parameters: readonly string[]): Promise<{ printed: string; status: number }> {
  let printed = ""
  const write = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    printed += String(text)
    return true
  })
  try {
    return { status: await simulate.run(parameters), printed }
  } finally {
    write.mockRestore()
  }
}

describe("simulate", { timeout: 120_000 }, () => {
  it("says for a fault who is active then, and for how long nobody was", async () => {
    const { printed, status } = await run(clusterFile(), "--down", "north-1", "--tries", "1")
    expect(status).toBe(0)
    expect(printed).toMatch(/^LOST {5}SERVICE {2}ACTIVE +WITHOUT\n/)
    expect(printed).toMatch(/\nnorth-1 {2}ledger {3}north-1 -> south-1 +1\d\.\d s\n$/)
  })

  it("by default loses each part alone, and names what stops a service", async () => {
    const { printed } = await run(clusterFile(), "--tries", "1")
    const lost = printed.split("\n").flatMap((line) => line.match(/^(\S+) +ledger/)?.[1] ?? [])
    expect(lost).toEqual(["north-1", "south-1", "wan", "witness"])
    expect(printed).toContain("\nsingle faults that stop a service: none\n")
  })

  it("of all pairs names those that stop everything", async () => {
    const { printed } = await run(clusterFile(), "--all-double", "--tries", "1")
    expect(printed).toMatch(/wan \+ witness +ledger +north-1 -> STOPS +for good, \d+\.\d s after the loss\n/)
    const [, stopping = ""] = printed.match(/double faults that stop everything: (.*)\n/) ?? []
    expect(stopping.split("; ")).toEqual([
      "north-1 + south-1",
      "north-1 + witness",
      "south-1 + witness",
      "wan + witness",
    ])
  })

  it.each([
    [
      ["--down", "west"],
      "--down west: expected north-1, south-1, site:north, site:south, wan, wan:north, wan:south, witness",
    ],
    [["--tries", "0"], "--tries 0: expected a whole number from 1 to 1000"],
    [["--wan-ms", "fast"], "--wan-ms fast: expected a whole number from 1 to 10000"],
  ])("refuses %j", async (parameters, message) => {
    const failure = await run(clusterFile(), ...parameters).catch((cause) => cause)
    expect(failure).toBeInstanceOf(CommandFailure)
    expect(failure).toMatchObject({ message, status: 2 })
  })

  it("refuses a cluster in which nothing would be seen", async () => {
    const failure = await run(clusterFile("manual")).catch((cause) => cause)
    expect(failure).toMatchObject({ status: 2, message: /no service in mode automatic/ })
  })
})

it("the installed program loads the simulation from a file beside it; what the agent loads has none of it", {
  timeout: 120_000,
}, async () => {
  const directory = temporaryDirectory()
  await build({ outdir: directory })
  const [program, agent, simulation] = ["quorumbeat.js", "agent.js", "simulation.js"].map((name) =>
    join(directory, name),
  )
  for (const part of ["node-agent/simulation/world.ts", "worker/arbiter.ts"]) {
    expect(readFileSync(simulation ?? "", "utf8")).toContain(`// ${part}`)
    expect(readFileSync(agent ?? "", "utf8")).not.toContain(`// ${part}`)
  }
  const parameters = ["simulate", clusterFile(), "--down", "witness", "--tries", "1"]
  const printed = execFileSync(process.execPath, [program ?? "", ...parameters], { encoding: "utf8" })
  expect(printed).toMatch(/\nwitness {2}ledger {3}north-1 stays +0 ms\n$/)
})
