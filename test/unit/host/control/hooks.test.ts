/** Hooks: what changes is told to real programs, one after the other. */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import type { NodeStatus } from "../../../../node-agent/core/status.ts"
import { hookProblem } from "../../../../node-agent/host/control/hooks/hook-program.ts"
import { Hooks } from "../../../../node-agent/host/control/hooks/hooks.ts"
import { transitionsBetween } from "../../../../node-agent/host/control/hooks/transitions.ts"
import { readStat } from "../../../../node-agent/host/control/processes.ts"
import { eventually, temporaryDirectory } from "../fixtures.ts"

interface Picture {
  readonly peer?: string
  readonly ring?: string
  readonly voice?: boolean
  readonly mandate?: boolean
  readonly service?: string
  readonly owner?: string
}

/** As much of a status as transitions look at. */
function status({ peer = "alive", ring, voice = true, mandate = true, service = "running", owner }: Picture) {
  return {
    node: { name: "a1", site: "a" },
    ring: ring === undefined ? undefined : { id: ring, members: ["a1", "a2"], representative: "a1" },
    rights: { voice: { held: voice }, mandates: [{ ticket: "main", held: mandate, epoch: 7 }] },
    peers: [{ name: "a2", state: peer }],
    services: [{ name: "ledger", state: service, owner, epoch: owner === undefined ? undefined : "7.0.1.3" }],
  } as unknown as NodeStatus
}

const whole = { ring: "1.1.1", owner: "a1" }

/** Its words on each run are in the log of the folder. */
function program(folder: string, name: string, script: string): string {
  const path = join(folder, name)
  writeFileSync(path, `#!/bin/sh\nlog=${folder}/log\n${script}\n`, { mode: 0o755 })
  return path
}

function hooksOf(folder: string, scripts: readonly string[], timeLimit = 10_000) {
  const failures: string[] = []
  const hooks = new Hooks({
    programs: scripts.map((script, index) => program(folder, `hook${index}`, script)),
    environment: { QUORUMBEAT_CLUSTER: "lab", QUORUMBEAT_SITE: "a", QUORUMBEAT_NODE: "a1" },
    log: (_level, event, fields = {}) => failures.push(`${event}: ${fields.reason ?? fields.count}`),
    timeLimit,
  })
  const lines = (): readonly string[] =>
    existsSync(join(folder, "log")) ? readFileSync(join(folder, "log"), "utf8").trim().split("\n") : []
  return { hooks, failures, lines }
}

describe("[H18] transitions", () => {
  const words = (before: Picture | undefined, after: Picture) =>
    transitionsBetween(before === undefined ? undefined : status(before), status(after)).map(
      ({ what, subject, from, to }) => `${what} ${subject} ${from}>${to}`,
    )

  it("the first picture tells everything as it is", () => {
    expect(words(undefined, whole)).toEqual([
      "view a >1.1.1",
      "voice a >held",
      "mandate main >held",
      "peer a2 >alive",
      "service ledger >running",
    ])
  })

  it("the same picture tells nothing", () => expect(words(whole, whole)).toEqual([]))

  it.each<[string, Picture, readonly string[]]>([
    ["a peer", { peer: "down" }, ["peer a2 alive>down"]],
    ["the view", { ring: "5.1.1" }, ["view a 1.1.1>5.1.1"]],
    ["no view", { ring: undefined as never }, ["view a 1.1.1>none"]],
    ["voice", { voice: false }, ["voice a held>not-held"]],
    ["a mandate", { mandate: false }, ["mandate main held>not-held"]],
    ["a service's state", { service: "stopping" }, ["service ledger running>stopping"]],
    ["a service's owner", { owner: "a2" }, ["service ledger running>running"]],
  ])("%s", (_, change, expected) => expect(words(whole, { ...whole, ...change })).toEqual(expected))
})

describe("[H18] a hook", () => {
  it("runs once for each change, one at a time and in order, and knows what changed", async () => {
    const folder = temporaryDirectory()
    const says = `echo "$QUORUMBEAT_CHANGE $QUORUMBEAT_SUBJECT $QUORUMBEAT_FROM>$QUORUMBEAT_TO $QUORUMBEAT_CLUSTER/$QUORUMBEAT_SITE/$QUORUMBEAT_NODE $QUORUMBEAT_OWNER $QUORUMBEAT_EPOCH $QUORUMBEAT_MEMBERS" >> $log`
    const busy = `mkdir ${folder}/busy || exit 9\nsleep 0.02\nrmdir ${folder}/busy`
    const { hooks, failures, lines } = hooksOf(folder, [`${busy}\n${says}`, `${busy}\necho then >> $log`])
    hooks.see(status(whole))
    hooks.see(status({ ...whole, peer: "init", owner: "a2" }))
    await eventually(() => lines().length === 14 || undefined, 10_000)
    expect(lines().filter((line) => line !== "then")).toEqual([
      "view a >1.1.1 lab/a/a1   a1 a2",
      "voice a >held lab/a/a1   ",
      "mandate main >held lab/a/a1  7 ",
      "peer a2 >alive lab/a/a1   ",
      "service ledger >running lab/a/a1 a1 7.0.1.3 ",
      "peer a2 alive>init lab/a/a1   ",
      "service ledger running>running lab/a/a1 a2 7.0.1.3 ",
    ])
    expect(lines()[1]).toBe("then")
    expect(failures).toEqual([])
    await hooks.close(0)
  })

  it("that fails is told with what it printed, and the next one runs", async () => {
    const { hooks, failures, lines } = hooksOf(temporaryDirectory(), [
      `echo no such bus >&2; exit 3`,
      `echo ran >> $log`,
    ])
    hooks.see(status(whole))
    await eventually(() => lines().length === 5 || undefined, 10_000)
    expect(failures).toHaveLength(5)
    expect(failures[0]).toBe("hook-failed: exit status 3: no such bus")
    await hooks.close(0)
  })

  it("that does not end is ended, with all it started", async () => {
    const folder = temporaryDirectory()
    const { hooks, failures, lines } = hooksOf(folder, [`sleep 77.7 & echo $! >> $log; wait`], 1_000)
    hooks.see(status(whole))
    // A run that was ended before it could write says nothing of what it started: another follows.
    await eventually(() => failures.length > 0 && lines().some((pid) => Number(pid) > 0), 10_000)
    expect(failures[0]).toBe("hook-failed: ended after its limit of 1000 ms")
    await hooks.close(0)
    // Both got the signal at once; who of them is gone first is the kernel's business.
    await eventually(() => lines().every((pid) => readStat(Number(pid))?.alive !== true), 10_000)
  })

  it("that is slow holds up nothing; too many changes: the oldest are dropped, and it is said", async () => {
    const { hooks, failures, lines } = hooksOf(temporaryDirectory(), [
      `[ "$QUORUMBEAT_CHANGE" = view ] || exit 0\necho "$QUORUMBEAT_TO" >> $log\nsleep 0.3`,
    ])
    hooks.see(status(whole))
    await eventually(() => lines().length === 1 || undefined, 10_000)
    for (let view = 2; view <= 400; view += 1) hooks.see(status({ ...whole, ring: `${view}.1.1` }))
    expect(failures.filter((each) => each === "hooks-dropped: 1").length).toBeGreaterThan(100)
    await eventually(() => lines().length >= 2 || undefined, 10_000)
    // 400 changes and the four that waited before them, less what is kept.
    expect(Number(lines()[1]?.split(".")[0])).toBeGreaterThan(140)
    await hooks.close(0)
  })

  it("tells what still waits when the agent ends", async () => {
    const { hooks, lines } = hooksOf(temporaryDirectory(), [`sleep 0.02; echo "$QUORUMBEAT_CHANGE" >> $log`])
    hooks.see(status(whole))
    await hooks.close()
    expect(lines()).toEqual(["view", "voice", "mandate", "peer", "service"])
    hooks.see(status({ ...whole, peer: "down" }))
    await hooks.close()
    expect(lines()).toHaveLength(5)
  })

  it("is looked at before each run: one that others may write by now is not run", async () => {
    const folder = temporaryDirectory()
    const { hooks, failures, lines } = hooksOf(folder, [`echo "$QUORUMBEAT_TO" >> $log`])
    hooks.see(status(whole))
    await eventually(() => lines().length === 5 || undefined, 10_000)
    chmodSync(join(folder, "hook0"), 0o777)
    hooks.see(status({ ...whole, peer: "down" }))
    await eventually(() => failures.length > 0 || undefined, 10_000)
    expect(failures[0]).toContain("group or others may write it (mode 0777); run `chmod go-w")
    expect(lines()).toHaveLength(5)
    await hooks.close(0)
  })
})

describe("[H18] what is refused as a hook", () => {
  it("is not a program that root alone can replace", () => {
    const path = program(temporaryDirectory(), "good", "exit 0")
    expect(hookProblem(path)).toBeUndefined()
  })

  it.each<[string, (folder: string) => string, RegExp]>([
    ["a relative path", () => "bin/hook", /^bin\/hook: a hook is named by its absolute path$/],
    ["one that is not there", (folder) => join(folder, "none"), /cannot be looked at: ENOENT/],
    ["a folder", (folder) => folder, /is not a file$/],
    ["another owner's", owned, /is not owned by root; run `chown root /],
    ["one its group may write", (folder) => moded(folder, 0o775), /others may write it \(mode 0775\)/],
    ["one that cannot be run", (folder) => moded(folder, 0o644), /is not executable/],
    ["one in a folder of others", within, /may write .*open \(mode 0777\); run `chmod go-w/],
    ["a link to such a one", linked, /may write .*open/],
  ])("%s", (_, path, expected) => expect(hookProblem(path(temporaryDirectory()))).toMatch(expected))

  function owned(folder: string): string {
    const path = program(folder, "owned", "")
    chownSync(path, 65_534, 65_534)
    return path
  }
  function moded(folder: string, mode: number): string {
    const path = program(folder, "moded", "")
    chmodSync(path, mode)
    return path
  }
  function within(folder: string): string {
    mkdirSync(join(folder, "open"))
    chmodSync(join(folder, "open"), 0o777)
    return program(join(folder, "open"), "hook", "")
  }
  function linked(folder: string): string {
    symlinkSync(within(folder), join(folder, "link"))
    return join(folder, "link")
  }
})
