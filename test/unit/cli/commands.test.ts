import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it, vi } from "vitest"
import { agent } from "../../../node-agent/cli/agent.ts"
import { type Command, CommandFailure } from "../../../node-agent/cli/command.ts"
import { config } from "../../../node-agent/cli/config.ts"
import { fence } from "../../../node-agent/cli/fence.ts"
import { guard } from "../../../node-agent/cli/guard.ts"
import { init } from "../../../node-agent/cli/init.ts"
import { keygen } from "../../../node-agent/cli/keygen.ts"
import { service } from "../../../node-agent/cli/service.ts"
import { status } from "../../../node-agent/cli/status.ts"
import { ticket } from "../../../node-agent/cli/ticket.ts"
import { version } from "../../../node-agent/cli/version.ts"
import { witness } from "../../../node-agent/cli/witness.ts"
import { readNodeKey } from "../../../node-agent/host/key-file.ts"
import { loadState } from "../../../node-agent/host/state-file.ts"
import { profiles } from "../../../protocol/profiles.ts"
import { timingProofs } from "../../../protocol/timings.ts"
import { nodeId } from "../../../protocol/units.ts"
import { temporaryDirectory } from "../host/fixtures.ts"

describe("wrong use is said in one line, with status 2", () => {
  it.each<[Command, readonly string[], string]>([
    [agent, ["--nonsense"], "Unknown option '--nonsense'; see --help"],
    [agent, ["extra"], "unexpected `extra`; see --help"],
    [agent, ["--config"], "Option '--config <value>' argument missing; see --help"],
    [status, ["--json=yes"], "Option '--json' does not take an argument; see --help"],
    [service, ["start"], "something is missing; see --help"],
    [service, ["start", "ledger", "a1"], "unexpected `a1`; see --help"],
    [service, ["dance", "ledger"], "service dance: expected start, stop, auto, manual, cleanup or move"],
    [service, ["move", "ledger"], "move: say where to"],
    [ticket, ["drop", "main", "b"], "ticket drop: expected move"],
    [fence, ["undo", "a1"], "fence undo: expected confirm"],
    [config, ["print", "x"], "config print: expected check or apply"],
    [guard, ["file"], "something is missing; see --help"],
    [guard, ["--", "file", "true"], "QUORUMBEAT_EPOCH is not set; see --help"],
    [keygen, [], "something is missing; see --help"],
    [
      keygen,
      ["--ring", "--witness", "x"],
      "--ring, --witness, --credential and --receivers exclude each other",
    ],
    [keygen, ["--id", "3", "x"], "--id goes with --ring and --receivers only"],
    [keygen, ["--ring", "--id", "0", "x"], "--id 0: expected 1 to 255"],
    [witness, ["--state-dir", "x"], "--key is missing; see --help"],
    [version, ["--verbose"], "Unknown option '--verbose'; see --help"],
  ])("%#", async (command, parameters, message) => {
    const failure = await failureOf(command, parameters)
    expect(failure.message).toBe(message)
    expect(failure.status).toBe(2)
  })
})

describe("without an agent", () => {
  it.each<[string, Command, readonly string[]]>([
    ["status", status, []],
    ["service", service, ["start", "ledger"]],
    ["service move", service, ["move", "ledger", "a2"]],
    ["ticket", ticket, ["move", "main", "b"]],
    ["fence", fence, ["confirm", "a1", "--yes"]],
    ["witness accept", witness, ["accept"]],
  ])("%s ends with status 3 and says where it looked", async (_name, command, parameters) => {
    const failure = await failureOf(command, [...parameters, "--runtime-dir", "/nowhere"])
    expect(failure.status).toBe(3)
    expect(failure.message).toBe("/nowhere/agent.sock: no agent answers (ENOENT); is it running?")
  })
})

describe("config check", () => {
  it("says what a configuration means, and its checksum", async () => {
    const { directory } = await node()
    const { printed, result } = await run(config, ["check", join(directory, "cluster.toml")])
    expect(result).toBe(0)
    expect(printed).toMatch(
      /^cluster lab, version 1\nprofile industrial: heartbeat 200 ms, lease 400 ms\nsite a: a1, /,
    )
    expect(printed).toMatch(/\nchecksum [0-9a-f]{64}\n/)
  })

  it("prints the proof sheet: inequalities, votes and worst times with their numbers", async () => {
    const { directory } = await node()
    const { printed } = await run(config, ["check", join(directory, "cluster.toml")])
    expect(printed).toContain("lease' = 400 * (1 + 0.001) / (1 - 0.001) = 400.801 ms")
    for (const { rule, figures } of timingProofs(profiles.industrial))
      expect(printed).toContain(`${rule.id.padEnd(4)} ${rule.text}: ${figures}\n`)
    expect(printed).toContain("V6   a (split): nodes 3 + witness 0 = 3, majority 2: 2 * 2 > 3\n")
    expect(printed).not.toContain("free plan")
  })

  it("says what the witness costs, and how long each service is away at most", async () => {
    const { directory } = await node()
    const file = join(directory, "cluster.toml")
    const more = `[witness]\nurl = "https://witness.example.net"\npublic_key = "${Buffer.alloc(32, 9).toString("base64url")}"
[[service]]\nname = "ledger"\nproof = "self-lease"\nself_lease_margin_ms = 20
[[service.resource]]\nkind = "command"\nname = "d"\nstart = ["/bin/a"]\nstop = ["/bin/a"]\nmonitor = ["/bin/a"]\n`
    writeFileSync(file, `${readFileSync(file, "utf8")}\n${more}`)
    const { printed } = await run(config, ["check", file])
    expect(printed).toMatch(/one node of a dies, running it +511 ms +the rest goes on alone\n/)
    expect(printed).toContain("fits the Workers free plan (a day: 100,000 requests, 100,000 rows written")
    expect(printed).toContain("$5.06")
  })

  it("says with --resources what this machine lacks to run them, and status 1", async () => {
    const { directory } = await node()
    const file = join(directory, "cluster.toml")
    const more = `[[service]]\nname = "ledger"
[[service.resource]]\nkind = "command"\nname = "d"\nstart = ["/bin/sh"]\nstop = ["/no/such"]\nmonitor = ["/bin/sh"]
[[service.resource]]\nkind = "ocf"\nname = "db"\nagent = "ocf:none:Such"
[[service.resource]]\nkind = "systemd"\nname = "u"\nunit = "no-such-unit-of-ours.service"\n`
    writeFileSync(file, `${readFileSync(file, "utf8")}\n${more}`)
    const { printed, result } = await run(config, ["check", file, "--resources"])
    expect(result).toBe(1)
    expect(printed).toContain("service ledger, resource d: /no/such cannot be run\n")
    expect(printed).toContain("resource db: ocf:none:Such: /usr/lib/ocf/resource.d/none/Such is not there")
    expect(printed).toMatch(/resource u: .*(no such unit|cannot be run)/)
  })

  it("says with --resources that nothing is missing", async () => {
    const { directory } = await node()
    const { printed, result } = await run(config, ["check", join(directory, "cluster.toml"), "--resources"])
    expect(printed).toContain("this machine can run every resource")
    expect(result).toBe(0)
  })

  it("gives every error with its line, and status 2", async () => {
    const file = join(temporaryDirectory(), "cluster.toml")
    writeFileSync(file, 'cluster = "lab"\nversion = 0\ncolour = "red"\n')
    const failure = await failureOf(config, ["check", file])
    expect(failure.status).toBe(2)
    expect(failure.message.split("\n").length).toBeGreaterThan(1)
    expect(failure.message).toContain(`${file}:2:`)
  })
})

describe("init", () => {
  it("writes an example that becomes valid by filling in the other keys", async () => {
    const directory = temporaryDirectory()
    const first = await run(init, [...initOptions(directory), "--new-ring-key"])
    expect(first.result).toBe(1)
    expect(first.printed).toContain("an example was written")
    const file = join(directory, "cluster.toml")
    const key = (fill: number): string => Buffer.alloc(32, fill).toString("base64url")
    const text = readFileSync(file, "utf8").replace("replace with the public key of a2", key(2))
    writeFileSync(file, text.replace("replace with the public key of a3", key(3)))
    const second = await run(init, initOptions(directory))
    expect(second.result).toBe(0)
    expect(second.printed).toContain("is ready")
    expect(loadState(join(directory, "state"), "example", nodeId(1))).toMatchObject({
      state: { fresh: true },
    })
    expect(statSync(join(directory, "state")).mode & 0o777).toBe(0o700)
  })

  it("touches nothing that is there", async () => {
    const { directory } = await node()
    const state = join(directory, "state", "state.json")
    writeFileSync(state, "what an agent wrote")
    const { result, printed } = await run(init, initOptions(directory))
    expect(result).toBe(0)
    expect(printed).toContain("left as it is")
    expect(readFileSync(state, "utf8")).toBe("what an agent wrote")
  })

  it("makes a ring key only where it is told to", async () => {
    const directory = temporaryDirectory()
    const { printed } = await run(init, initOptions(directory))
    expect(printed).toContain("copy it from another node, or make it on the first node with --new-ring-key")
    expect(existsSync(join(directory, "ring.key"))).toBe(false)
  })

  it("refuses a key that is not the node's", async () => {
    const { directory } = await node()
    const failure = await failureOf(init, [...initOptions(directory), "--key", join(directory, "other.key")])
    expect(failure.message).toMatch(/node a1 must have public_key = "/)
  })
})

describe("the agent does not start", () => {
  it.each(["node.key", "ring.key"])("with a %s that others may read", async (name) => {
    const { directory } = await node()
    chmodSync(join(directory, name), 0o440)
    const failure = await failureOf(agent, agentOptions(directory))
    expect(failure.status).toBe(2)
    expect(failure.message).toContain("group or others may access it (mode 0440); run `chmod 0400")
  })

  it("as a node that the cluster does not have", async () => {
    const { directory } = await node()
    const failure = await failureOf(agent, [...agentOptions(directory), "--node", "a9"])
    expect(failure.message).toBe("no such node: a9 (cluster lab has a1, a2, a3)")
  })

  it("with the key of another node", async () => {
    const { directory } = await node()
    const failure = await failureOf(agent, [...agentOptions(directory), "--node", "a2"])
    expect(failure.message).toContain("is not the key of node a2")
  })

  it("with the same ring key number twice", async () => {
    const { directory } = await node()
    const ring = join(directory, "ring.key")
    const failure = await failureOf(agent, [...agentOptions(directory), "--ring-key", ring])
    expect(failure.message).toBe(`${ring}: a second ring key with id 1`)
  })

  it.each([
    [["--log-level", "loud"], "--log-level loud: expected debug, info, warn or error"],
    [["--scheduling", "best"], "--scheduling best: expected auto or none"],
    [["--processors", "2-3"], "--processors 2-3: expected numbers of processors with commas, as 2,3"],
    [["--processors", "1024"], "--processors 1024: expected numbers of processors with commas, as 2,3"],
  ])("with %j", async (options, message) => {
    const { directory } = await node()
    expect((await failureOf(agent, [...agentOptions(directory), ...options])).message).toBe(message)
  })
})

async function run(command: Command, parameters: readonly string[]) {
  let printed = ""
  const write = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    printed += String(text)
    return true
  })
  try {
    return { result: await command.run(parameters), printed }
  } finally {
    write.mockRestore()
  }
}

async function failureOf(command: Command, parameters: readonly string[]): Promise<CommandFailure> {
  try {
    await run(command, parameters)
  } catch (cause) {
    if (cause instanceof CommandFailure) return cause
    throw cause
  }
  throw new Error("the command did not fail")
}

/** A directory in which node a1 of a cluster of three has been initialised. */
async function node() {
  const directory = temporaryDirectory()
  await run(keygen, [join(directory, "node.key")])
  await run(keygen, ["--ring", join(directory, "ring.key")])
  const key = readNodeKey(join(directory, "node.key"))
  const own = key.kind === "ok" ? key.value.publicKey : ""
  const nodes = [own, ...[2, 3].map((fill) => Buffer.alloc(32, fill).toString("base64url"))].map(
    (publicKey, index) =>
      `[[node]]\nid = ${index + 1}\nname = "a${index + 1}"\nsite = "a"\nlinks = ["127.0.0.${index + 1}"]\npublic_key = "${publicKey}"\n`,
  )
  writeFileSync(
    join(directory, "cluster.toml"),
    `cluster = "lab"\nversion = 1\n[[site]]\nname = "a"\n${nodes.join("")}`,
  )
  mkdirSync(join(directory, "state"))
  await run(init, initOptions(directory))
  return { directory }
}

function initOptions(directory: string): readonly string[] {
  return [
    ...["--config", join(directory, "cluster.toml"), "--node", "a1", "--key", join(directory, "node.key")],
    ...["--ring-key", join(directory, "ring.key"), "--state-dir", join(directory, "state")],
  ]
}

function agentOptions(directory: string): readonly string[] {
  return [...initOptions(directory), "--runtime-dir", join(directory, "run")]
}
