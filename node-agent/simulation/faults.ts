/** Faults in a world: each drawn by weight from a table and done, and how all of them are mended again. */
import type { ClusterConfig } from "../../protocol/cluster.ts"
import { type NodeId, type ServiceName, serviceName, siteId } from "../../protocol/units.ts"
import { viewStanding } from "../../protocol/votes.ts"
import type { ArbiterState } from "../../worker/arbiter.ts"
import { draw, type Random } from "../core/random.ts"
import type { Changes } from "./changes.ts"
import type { FaultKind, FaultTable } from "./fault-tables.ts"
import { flapWitness } from "./flapping.ts"
import type { Host } from "./machine.ts"
import type { World } from "./world.ts"

const settings = ["node-standby", "node-online", "maintenance-on", "maintenance-off"] as const

export class Faults {
  /** How many of each kind were done. */
  readonly counts = new Map<FaultKind, number>()
  readonly #world: World
  readonly #random: Random
  readonly #table: FaultTable
  readonly #total: number
  readonly #sites: readonly string[]
  readonly #mayRollBack: boolean
  readonly #changes: Changes | undefined
  #mended = false
  #forgot = false
  /** The witness, and with it every memo. */
  #replaced = false
  #snapshot: ArbiterState | undefined

  /** Without `changes` the configuration stays as it is. */
  constructor(world: World, random: Random, table: FaultTable, changes?: Changes) {
    this.#world = world
    this.#changes = changes
    this.#random = random
    this.#table = table
    this.#total = table.reduce((sum, [weight]) => sum + weight, 0)
    this.#sites = world.config.sites.map((site) => site.name)
    this.#mayRollBack = draw(random) < 0.25
  }

  /** Draws one fault, or one repair, and does it. */
  next(): void {
    let left = draw(this.#random) * this.#total
    for (const [weight, kind] of this.#table) {
      left -= weight
      if (left >= 0) continue
      this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1)
      this.#do(kind)
      return
    }
  }

  /** All faults stop; what is down is started. */
  mend(): void {
    const world = this.#world
    this.#mended = true
    world.heal()
    world.network.faults = { loss: 0, duplicated: 0, corrupted: 0, replayed: 0, delayed: 0 }
    world.uplink.faults = { replyLost: 0, relayed: 0, late: 0 }
    world.uplink.slow = 0
    world.witness.up = true
    world.witness.twin = undefined
    const { failing, hanging, stopFailing, stopHanging } = world.services
    for (const set of [failing, hanging, stopFailing, stopHanging]) set.clear()
    for (const id of this.#ids) {
      const host = world.host(id)
      host.diskFull = false
      host.stall = 0
      world.resume(id)
      world.thaw(id)
      if (!host.control) world.connectControl(id)
      world.setGate(id, "ready")
      if (host.node === undefined) this.#start(id)
    }
  }

  /** A machine that is set up for a change gets the file once the change is active (SPEC LC7). */
  #start(id: number): void {
    const host = this.#world.host(id)
    if (host.life === 0) host.config = this.#world.newest
    this.#world.start(id)
  }

  /** Machines may be added. */
  get #ids(): readonly number[] {
    return [...this.#world.hosts.keys()]
  }

  #pick<T>(from: readonly T[]): T {
    const found = from[Math.floor(draw(this.#random) * from.length)]
    if (found === undefined) throw new Error("nothing to pick from")
    return found
  }

  #service(): ServiceName {
    const names = this.#world.config.services.map((each) => each.name)
    return names.length === 1 ? (names[0] ?? serviceName("")) : this.#pick(names)
  }

  #node(id: number): NodeId {
    return this.#world.host(id).id
  }

  /** Nothing begins or ends on a machine that stands still. */
  #moving(): readonly number[] {
    return this.#ids.filter((id) => this.#world.host(id).suspendedAt === undefined)
  }

  #do(kind: FaultKind): void {
    const world = this.#world
    const up = this.#moving().filter((id) => world.host(id).node !== undefined)
    const down = this.#moving().filter((id) => world.host(id).node === undefined)
    const anyone = this.#pick(this.#ids)
    switch (kind) {
      case "kill":
        if (up.length > 0) world.kill(this.#pick(up))
        break
      case "kill-site": {
        const site = this.#pick(this.#sites)
        world.kill(...up.filter((id) => world.host(id).site === site))
        break
      }
      case "power-off":
        if (up.length > 0) this.#powerOff(this.#pick(up))
        break
      case "restart":
        if (up.length > 0) {
          const id = this.#pick(up)
          world.kill(id)
          world.run(draw(this.#random) * 50)
          world.start(id)
        }
        break
      case "start":
        if (down.length > 0) this.#start(this.#pick(down))
        break
      case "start-all":
        for (const id of down) this.#start(id)
        break
      case "amnesia":
        if (down.length > 0) this.#forget(this.#pick(down))
        break
      case "leave":
        if (up.length > 0) world.event(this.#node(this.#pick(up)), { kind: "stop-requested" })
        break
      case "control":
        if (world.host(anyone).control) world.loseControl(anyone)
        else world.connectControl(anyone)
        break
      case "gate":
        world.setGate(anyone, world.host(anyone).gate === "ready" ? "missing" : "ready")
        break
      case "configure":
        this.#changes?.offer(world)
        break
      case "witness-flap":
        flapWitness(world, this.#random, () => this.#mended)
        break
      case "freeze":
      case "suspend":
      case "guest-freeze":
      case "stall":
      case "wall-step":
      case "disk-full":
        this.#machine(kind, anyone)
        break
      case "witness":
      case "witness-restart":
      case "witness-rollback":
      case "witness-slow":
      case "witness-twin":
      case "witness-replaced":
      case "witness-clock":
      case "posts":
        this.#witness(kind)
        break
      case "command":
      case "move":
      case "mode":
      case "ticket-move":
      case "die":
      case "service-fails":
      case "service-hangs":
        this.#services(kind, anyone)
        break
      default:
        this.#network(kind, anyone)
    }
  }

  #network(kind: FaultKind, anyone: number): void {
    const world = this.#world
    const { faults } = world.network
    switch (kind) {
      case "cut-sites":
        if (this.#sites.length > 1) world.cut(this.#pick(this.#sites), this.#pick(this.#sites.slice(1)))
        break
      case "cut-witness":
        world.cut(this.#pick<string | number>([...this.#sites, anyone]), "@witness")
        break
      case "cut-one-way":
        world.cuts.add(`${anyone}>${this.#pick([...this.#ids, "@witness"])}`)
        break
      case "cut-nodes":
        world.cut(anyone, this.#pick(this.#ids))
        break
      case "isolate":
        for (const other of this.#ids) world.cut(anyone, other)
        break
      case "partial-mesh":
        for (const id of this.#ids)
          if (draw(this.#random) < 0.4) world.cuts.add(`${id}>${this.#pick(this.#ids)}`)
        break
      case "link-down":
        this.#cutFor(this.#linkCut(anyone), this.#pick([100, 400, 2000, 15_000]))
        break
      case "flap": {
        const cut = this.#linkCut(anyone)
        const period = this.#pick([40, 150, 500, 1500])
        for (let count = 0; count < 6; count++)
          world.after(2 * count * period, () => this.#cutFor(cut, period))
        break
      }
      case "heal":
        world.heal()
        world.witness.up = true
        break
      case "loss":
        world.loss = this.#pick([0, 0, 0.01, 0.05, 0.2])
        break
      case "frames":
        faults.duplicated = this.#pick([0, 0.01, 0.2])
        faults.corrupted = this.#pick([0, 0.01, 0.05])
        faults.replayed = this.#pick([0, 0.01, 0.05])
        faults.delayed = this.#pick([0, 0, 0.01, 0.05])
        break
    }
  }

  /** One link of everybody, one of a pair, or one direction of it. */
  #linkCut(anyone: number): readonly string[] {
    const other = this.#pick(this.#ids)
    const link = this.#pick([0, 1, "wan"])
    const pairs = [`${anyone}>${other}/${link}`, `${other}>${anyone}/${link}`]
    return this.#pick([[`/${link}`], pairs, pairs.slice(1)])
  }

  #cutFor(cut: readonly string[], duration: number): void {
    for (const each of cut) this.#world.cuts.add(each)
    this.#world.after(duration, () => {
      for (const each of cut) this.#world.cuts.delete(each)
    })
  }

  #machine(kind: FaultKind, id: number): void {
    const world = this.#world
    const host = world.host(id)
    const pause = this.#pick([20, 50, 150, 300, 395, 410, 600, 2000, 12_000])
    switch (kind) {
      case "freeze":
        world.freeze(id)
        world.run(pause)
        world.thaw(id)
        break
      case "suspend":
      case "guest-freeze":
        if (host.frozen) break
        world.suspend(id)
        world.after(pause, () => {
          if (kind === "suspend") world.resume(id)
          else world.resumeUnaware(id)
        })
        break
      case "stall":
        host.stall = pause
        break
      case "wall-step":
        host.wallOffset += this.#pick([-3_600_000, -20_000, 20_000, 86_400_000])
        break
      case "disk-full":
        host.diskFull = !host.diskFull
        break
    }
  }

  #powerOff(id: number): void {
    const world = this.#world
    const { node } = world.host(id)
    if (node === undefined) return
    world.powerOff(id)
    // Somebody has seen that it is off, and says so.
    const witnesses = this.#ids.filter(
      (other) => other !== id && world.host(other).site === world.host(id).site,
    )
    if (witnesses.length === 0 || draw(this.#random) < 0.5) return
    const told = { node: this.#node(id), incarnation: node.incarnation }
    world.after(500 + 5000 * draw(this.#random), () => {
      if (world.host(id).node === undefined && world.host(id).running.size === 0)
        world.command(this.#pick(witnesses), { kind: "fence-confirm", node: told.node })
    })
  }

  #witness(kind: FaultKind): void {
    const { witness, uplink } = this.#world
    switch (kind) {
      case "witness":
        witness.up = !witness.up
        break
      case "witness-restart":
        witness.restart()
        break
      case "witness-rollback":
        this.#rollBack()
        break
      case "witness-slow":
        uplink.slow = this.#pick([0, 200, 900, 3000])
        break
      case "witness-twin":
        witness.twin =
          witness.twin === undefined ? { state: witness.state, share: this.#pick([0.1, 0.5]) } : undefined
        break
      case "witness-replaced":
        if (!this.#mayRollBack || this.#forgot) break
        this.#replaced = true
        witness.replace()
        break
      case "witness-clock":
        witness.clockOffset += this.#pick([-20_000, 20_000])
        break
      case "posts":
        uplink.faults = {
          replyLost: this.#pick([0, 0, 0.1, 0.5]),
          relayed: this.#pick([0, 0, 0.2]),
          late: this.#pick([0, 0, 0.1]),
        }
    }
  }

  #services(kind: FaultKind, anyone: number): void {
    const world = this.#world
    const service = this.#service()
    const { failing, hanging, stopFailing, stopHanging } = world.services
    switch (kind) {
      case "command":
        world.command(anyone, { kind: this.#pick(["service-stop", "service-start"] as const), service })
        break
      case "mode": {
        const kind = this.#pick([
          "service-manual",
          "service-automatic",
          "service-cleanup",
          ...settings,
        ] as const)
        const isForNode = kind === "node-standby" || kind === "node-online"
        world.command(anyone, isForNode ? { kind, node: this.#node(anyone) } : { kind, service })
        break
      }
      case "move":
        world.command(anyone, { kind: "service-move", service, to: this.#node(this.#pick(this.#ids)) })
        break
      case "ticket-move": {
        const ticket = this.#pick(world.config.tickets.map((each) => each.name))
        world.command(anyone, { kind: "ticket-move", ticket, to: siteId(this.#pick(this.#sites)) })
        break
      }
      case "die":
        world.die(anyone, service)
        break
      case "service-fails":
        this.#toggle(this.#pick([failing, hanging, stopFailing]), `${anyone}:${service}`)
        break
      case "service-hangs":
        this.#toggle(this.#pick([hanging, stopHanging]), `${anyone}:${service}`)
    }
  }

  #toggle(set: Set<string>, name: string): void {
    if (!set.delete(name)) set.add(name)
  }

  /** One node of a site at a time may forget, where the others or the memo know what any view of it has done (SPEC V12). */
  #forget(id: number): void {
    const host = this.#world.host(id)
    const config = this.#world.newest
    const others = config.nodes
      .filter((node) => node.site === host.site && node.id !== id)
      .map((node) => this.#world.host(node.id))
    const standing = (by: ClusterConfig, members: readonly Host[]) =>
      viewStanding(
        by,
        siteId(host.site),
        members.map((member) => member.id),
      ).kind
    const othersRemember = others.every(({ disk }) => disk !== undefined && disk.forgot !== true)
    // Where a change is under way an operator's word is needed: a node that it adds is in no view yet.
    const changing = others.some(({ disk }) => (disk?.configuration?.prepared ?? null) !== null)
    const inUse = [config, ...others.map((other) => other.config)]
    const isMajority = inUse.every((each) => standing(each, others) === "majority-alone")
    const needsMemo =
      standing(config, others) === "needs-witness" && standing(config, [host]) !== "majority-alone"
    const inMemo = needsMemo && !this.#replaced && !changing
    if (!othersRemember || (!isMajority && !inMemo) || this.#snapshot !== undefined) return
    this.#forgot = true
    this.#world.loseDisk(id)
    // Who lost the record is given the newest file (SPEC LC7).
    host.config = config
    this.#world.start(id)
  }

  /** First a backup, later its restoration. */
  #rollBack(): void {
    if (!this.#mayRollBack || this.#forgot) return
    if (this.#snapshot === undefined) this.#snapshot = this.#world.arbiter
    else this.#world.witness.rollBack(this.#snapshot)
  }
}
