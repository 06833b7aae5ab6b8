/**
 * Scenarios: text scripts with their recorded trace, in the style of etcd-io/raft's testdata. A block is a command, a
 * line of dashes, and what happened during it, up to an empty line:
 *
 *   run-until active ledger within 5000
 *   ----
 *   +406 n1 view-installed ring=1.1.1 members=1,2 ...
 *   after 411 ms: ledger active on n1 at 0.0.1.3
 *
 * Times are milliseconds from the start of the block; `quietly` before a command leaves the events out. `# text` is a comment; the first one names the scenario, by the
 * rules it shows. Commands are the keys of `commands` below.
 */

import type { OperatorCommand } from "../../node-agent/core/events.ts"
import { statusOf } from "../../node-agent/core/status.ts"
import { localTime } from "../../node-agent/simulation/machine.ts"
import { World } from "../../node-agent/simulation/world.ts"
import { type NodeId, nodeId, serviceName, siteId, ticketName } from "../../protocol/units.ts"
import type { ArbiterState } from "../../worker/arbiter.ts"
import { type Plain, resource, service } from "./config-builder.ts"
import { configOf, type LayoutName, layoutNames, selfLease } from "./layouts.ts"

interface Block {
  readonly comment: readonly string[]
  readonly command: string
}

/** The scenario's text with the trace as it is now. */
export function playScenario(text: string): string {
  const stage = new Stage()
  const played = blocksOf(text).map(({ comment, command }) => {
    const lines = command === "" ? [] : [command, "----", ...stage.play(command)]
    return [...comment, ...lines].join("\n")
  })
  return `${played.join("\n\n")}\n`
}

/** What the first comment says. */
export function titleOf(text: string): string {
  return /^# (.*)$/m.exec(text)?.[1] ?? "untitled"
}

function blocksOf(text: string): readonly Block[] {
  const blocks = text.trim().split(/\n{2,}/)
  return blocks.map((block) => {
    const lines = block.split("\n")
    const comment = lines.filter((line) => line.startsWith("#"))
    return { comment, command: lines.find((line) => line !== "" && !line.startsWith("#")) ?? "" }
  })
}

class Stage {
  #world: World | undefined
  #from = 0
  #told = 0
  #answered = 0
  #violated = 0
  #backup: ArbiterState | undefined

  get world(): World {
    if (this.#world === undefined) throw new Error("a scenario begins with `world`")
    return this.#world
  }

  play(command: string): readonly string[] {
    const [name = "", ...words] = command.replace(/^quietly /, "").split(/\s+/)
    this.#from = this.#world?.now ?? 0
    const lines = this.#perform(name, words)
    if (command.startsWith("quietly ")) this.#told = this.world.log.length
    const violations = this.world.violations.slice(this.#violated).map((each) => `VIOLATION ${each}`)
    this.#violated += violations.length
    return [...this.#trace(), ...lines, ...violations]
  }

  /** What the nodes logged and answered since the last block. */
  #trace(): readonly string[] {
    const { log, answers } = this.world
    const events = log
      .slice(this.#told)
      .filter(({ level }) => level !== "debug")
      .map(
        ({ at, node, event, fields }) =>
          `+${Math.round(at - this.#from)} n${node} ${event}${printed(fields)}`,
      )
    const answered = answers
      .slice(this.#answered)
      .map(({ request, result }) => `answer to command ${request}: ${result.kind}: ${result.message}`)
    this.#told = log.length
    this.#answered = answers.length
    return [...events, ...answered]
  }

  #perform(name: string, words: readonly string[]): readonly string[] {
    const { ids, rest } = split(words)
    const [first = "", second = ""] = rest
    const [id = 0] = ids
    switch (name) {
      case "world":
        this.#world = createWorld(words)
        return []
      case "start":
        this.world.start(...ids)
        return []
      case "form":
        return this.#form()
      case "kill":
        this.world.kill(...ids)
        return []
      case "power-off":
        this.world.powerOff(...ids)
        return []
      case "fence-devices":
        this.world.fences.failing = first === "fail"
        return []
      case "lose-state-file":
        this.world.loseDisk(id)
        return []
      case "leave":
        this.world.event(nodeId(id), { kind: "stop-requested" })
        return []
      case "freeze":
        this.world.freeze(id)
        return []
      case "suspend":
        this.world.suspend(id)
        return []
      case "resume":
        this.world.resume(id)
        return []
      case "thaw":
        this.world.thaw(id)
        return []
      case "cut":
        this.#cut(words)
        return []
      case "heal":
        this.world.heal()
        return []
      case "witness":
        this.#witness(first)
        return []
      case "control":
        if (first === "lost") this.world.loseControl(id)
        else this.world.connectControl(id)
        return []
      case "dies":
        this.world.die(id, first)
        return []
      case "by-hand":
        this.world.startByHand(id, first)
        return []
      case "service":
        this.#serviceFault(id, first, second)
        return []
      case "configuration":
        this.#reconfigure(id, first)
        return []
      case "command":
        // Who accepts a restored object knows that all leases of what it forgot have run out.
        if (first === "witness-accept") this.world.witness.accept()
        this.world.command(id, commandOf(words.slice(1)))
        return []
      case "run":
        this.world.run(Number(first))
        return this.#activity()
      case "run-until":
        return this.#runUntil(words)
      case "hold":
        return this.#hold(first, Number(second))
      case "status":
        return this.#status(id)
      default:
        throw new Error(`unknown command ${name}`)
    }
  }

  /** All nodes start and all services come up; only the end of it is told. */
  #form(): readonly string[] {
    this.world.start()
    const services = this.world.config.services.map((each) => each.name)
    this.world.runUntil(() => services.every((name) => this.world.active(name).length > 0), 10_000)
    this.world.run(2000)
    this.#told = this.world.log.length
    return this.#activity()
  }

  /** `cut north south`, `cut n1 n2`, `cut n1 > n2` (one way), `cut n1 all`. */
  #cut(words: readonly string[]): void {
    const [a, b] = [words[0] ?? "", words.at(-1) ?? ""].map((word) => word.replace(/^n(\d+)$/, "$1")) as [
      string,
      string,
    ]
    if (words.includes(">")) this.world.cuts.add(`${a}>${b}`)
    else if (b !== "all") this.world.cut(a, b)
    else for (const other of this.world.hosts.keys()) this.world.cut(a, other)
  }

  #witness(what: string): void {
    const { witness } = this.world
    if (what === "down") witness.up = false
    else if (what === "up") witness.up = true
    else if (what === "restart") witness.restart()
    else if (what === "replace") witness.replace()
    else if (what === "back-up") this.#backup = witness.state
    else if (what === "restore" && this.#backup !== undefined) witness.rollBack(this.#backup)
    else throw new Error(`unknown: witness ${what}`)
  }

  #serviceFault(id: number, name: string, what: string): void {
    const { failing, hanging, stopFailing } = this.world.services
    const key = `${id}:${name}`
    if (what === "fails-to-start") failing.add(key)
    else if (what === "hangs") hanging.add(key)
    else if (what === "fails-to-stop") stopFailing.add(key)
    else for (const set of [failing, hanging, stopFailing]) set.delete(key)
  }

  #reconfigure(id: number, which: string): void {
    const { config } = this.world
    const other = { ...config, checksum: config.checksum.split("").reverse().join("") }
    this.world.host(id).config = which === "other" ? other : config
  }

  /** `run-until active ledger [on n1,n2] within 5000`, `run-until inactive ledger within 5000`. */
  #runUntil(words: readonly string[]): readonly string[] {
    const [wanted, name = ""] = words
    const limit = Number(words[words.indexOf("within") + 1])
    const on = words.includes("on") ? words[words.indexOf("on") + 1]?.split(",") : undefined
    const isReached = () => {
      const active = this.world.active(name)
      if (wanted === "inactive") return active.length === 0
      return active.some((id) => on === undefined || on.includes(`n${id}`))
    }
    const reached = this.world.runUntil(isReached, limit)
    return [`${reached ? "after" : "NOT AFTER"} ${this.#elapsed()} ms: ${this.#activityOf(name)}`]
  }

  /** Runs, and says for how long the service was not active where it was at first. */
  #hold(name: string, duration: number): readonly string[] {
    const [owner] = this.world.active(name)
    let gap = 0
    for (let past = 0; past < duration; past++) {
      this.world.run(1)
      if (this.world.active(name)[0] !== owner) gap += 1
    }
    return [`${this.#activityOf(name)}, ${gap === 0 ? "without a gap" : `not there for ${gap} ms`}`]
  }

  #elapsed(): number {
    return Math.round(this.world.now - this.#from)
  }

  #activity(): readonly string[] {
    return this.world.config.services.map((each) => this.#activityOf(each.name))
  }

  #activityOf(name: string): string {
    const active = this.world.active(name).map((id) => `n${id} at ${this.world.epochOf(id, name)}`)
    return active.length === 0 ? `${name} active nowhere` : `${name} active on ${active.join(" and ")}`
  }

  #status(id: number): readonly string[] {
    const { membership, ring, rights, services, witness } = statusOf(
      this.world.core(id),
      localTime(this.world.host(id), this.world.now),
    )
    const mandates = rights.mandates.map(
      ({ ticket, held, holder, epoch }) => `${ticket}:${held ? "held" : holder}@${epoch}`,
    )
    return [
      `${membership} ${ring?.members.join(",")} voice=${rights.voice.held} by=${rights.voice.by} witness=${witness.state}`,
      ...(mandates.length > 0 ? [`mandates ${mandates.join(" ")}`] : []),
      ...services.map(({ name, state, owner, reason }) => `${name} ${state} owner=${owner} reason=${reason}`),
    ]
  }
}

/** `world 2x2 seed=3 window=50 service=ledger,operator service=billing,ticket=b,sites=south+north`. */
function createWorld(words: readonly string[]): World {
  const [layout, ...options] = words
  const found = layoutNames.find((name) => name === layout)
  if (found === undefined) throw new Error(`unknown layout ${layout}`)
  const value = (name: string) =>
    options.find((option) => option.startsWith(`${name}=`))?.slice(name.length + 1)
  const world = new World(configOf(found, partsOf(found, options)), {
    seed: Number(value("seed") ?? 1),
    netJitter: 0,
    rateError: 0,
  })
  world.witness.window = Number(value("window") ?? 0)
  return world
}

function partsOf(layout: LayoutName, options: readonly string[]): Plain {
  const named = options
    .filter((option) => option.startsWith("service="))
    .map((option) => option.slice(8).split(","))
  const fence = options
    .filter((option) => option.startsWith("fence="))
    .map((option) => ({ name: "power", agent: "fence_ipmilan", nodes: option.slice(6).split("+") }))
  if (named.length === 0) return { fence }
  const tickets: Plain[] = []
  const services = named.map(([name = "", ...rest]) => {
    const more: Plain = { ...selfLease }
    for (const option of rest) {
      const [key = "", text = ""] = option.split("=")
      if (key === "operator") Object.assign(more, { proof: "operator", self_lease_margin_ms: undefined })
      if (key === "manual") Object.assign(more, { mode: "manual" })
      if (key === "restarts") {
        const limit = { restart_limit: Number(text) }
        Object.assign(more, { resource: [resource(`${name}d`, limit)] })
      }
      if (key === "apart") Object.assign(more, { anti_affinity: text.split("+") })
      if (key === "failback") Object.assign(more, { failback_after_s: Number(text) })
      if (key === "forget") Object.assign(more, { failure_timeout_s: Number(text) })
      if (key === "nodes") Object.assign(more, { nodes: text.split("+") })
      if (key !== "ticket") continue
      const [ticket = "", sites = ""] = text.split(":")
      Object.assign(more, { ticket })
      if (!tickets.some((each) => each.name === ticket))
        tickets.push({ name: ticket, sites: sites.split("+") })
    }
    for (const [key, each] of Object.entries(more)) if (each === undefined) delete more[key]
    return service(name, more)
  })
  return {
    fence,
    service: services,
    ...(layout.startsWith("2") && tickets.length > 0 ? { ticket: tickets } : {}),
  }
}

function commandOf(words: readonly string[]): OperatorCommand {
  const [kind = "", what = "", to = ""] = words
  const target: NodeId = nodeId(Number(/^n(\d+)$/.exec(to === "" ? what : to)?.[1] ?? 0))
  switch (kind) {
    case "service-start":
    case "service-stop":
    case "service-automatic":
    case "service-manual":
    case "service-cleanup":
      return { kind, service: serviceName(what) }
    case "service-move":
      return { kind, service: serviceName(what), to: target }
    case "ticket-move":
      return { kind, ticket: ticketName(what), to: siteId(to) }
    case "fence-confirm":
    case "node-standby":
    case "node-online":
      return { kind, node: target }
    case "maintenance-on":
    case "maintenance-off":
      return { kind, service: what === "" ? undefined : serviceName(what) }
    case "witness-accept":
      return { kind }
    default:
      throw new Error(`unknown operator command ${kind}`)
  }
}

/** Node ids `n1`, and the other words. */
function split(words: readonly string[]): {
  readonly ids: readonly number[]
  readonly rest: readonly string[]
} {
  const isNode = (word: string) => /^n\d+$/.test(word)
  return {
    ids: words.filter(isNode).map((word) => Number(word.slice(1))),
    rest: words.filter((word) => !isNode(word)),
  }
}

function printed(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([key, value]) => ` ${key}=${/\s/.test(String(value)) ? JSON.stringify(value) : value}`)
    .join("")
}
