/**
 * The fence devices that this node may use: turns nodes off on order, and looks regularly whether each device answers, so
 * that wrong credentials are found at the start and not at a takeover.
 *
 * Levels are tried in order; all devices of one level must confirm (two power supplies), and be off at one time: another
 * coordinator may be turning the first on again by then. `off` is believed only when the
 * agent's `status` says so too: some report success before the power is off. With `action = "reboot"` the node is turned on again
 * after that, which is nobody's proof and may fail.
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { FenceDevice } from "../../../../protocol/cluster.ts"
import { err, ok, type Result } from "../../../../protocol/result.ts"
import type { NodeId } from "../../../../protocol/units.ts"
import type { Log } from "../log-writer.ts"
import type { ControlEvent } from "../messages.ts"
import { runFenceAgent } from "./fence-agent.ts"

export interface FenceDevicesOptions {
  readonly devices: readonly FenceDevice[]
  readonly self: NodeId
  readonly log: Log
  readonly emit: (event: ControlEvent) => void
  readonly run?: typeof runFenceAgent
}

/** The power may go a moment after the agent said so. */
const confirmAttempts = 5
const confirmPause = 1_000

export class FenceDevices {
  readonly #options: FenceDevicesOptions
  readonly #run: typeof runFenceAgent
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #problems = new Map<string, string>()

  constructor(options: FenceDevicesOptions) {
    this.#options = options
    this.#run = options.run ?? runFenceAgent
  }

  /** Begins to look at the devices. One that turns off this node alone is for the others to look at. */
  start(): void {
    const { devices, self } = this.#options
    for (const device of devices) {
      if (device.nodes.some(({ node }) => node !== self)) void this.#look(device)
    }
  }

  /** The outcome is emitted. */
  async fence(operation: number, node: NodeId): Promise<void> {
    const outcome = await this.#turnOff(node)
    this.#options.emit(
      outcome.kind === "ok"
        ? { kind: "fence-confirmed", operation }
        : { kind: "fence-failed", operation, reason: outcome.error },
    )
    if (outcome.kind === "ok") await this.#turnOn(outcome.value, node)
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
  }

  /** The devices that did it. */
  async #turnOff(node: NodeId): Promise<Result<readonly FenceDevice[], string>> {
    const devices = this.#options.devices.filter((device) => device.nodes.some((each) => each.node === node))
    const levels = [...new Set(devices.map(({ level }) => level))].sort((a, b) => a - b)
    const failures: string[] = []
    for (const level of levels) {
      const together = devices.filter((device) => device.level === level)
      const failed = await failuresOf(together, (device) => this.#turnOneOff(device, node))
      if (failed.length === 0 && together.length > 1)
        failed.push(...(await failuresOf(together, (device) => this.#status(device, node))))
      if (failed.length === 0) return ok(together)
      failures.push(...failed)
      this.#options.log("warn", "fence-level-failed", { node, level, reason: failed.join("; ") })
    }
    return err(failures.length === 0 ? "no device is configured for it" : failures.join("; "))
  }

  async #turnOneOff(device: FenceDevice, node: NodeId): Promise<Result<undefined, string>> {
    if (device.delay > 0) await sleep(device.delay)
    const off = await this.#run(device, "off", plugOf(device, node))
    if (off.kind === "error") return off
    let status = await this.#status(device, node)
    for (let attempt = 1; status.kind === "error" && attempt < confirmAttempts; attempt += 1) {
      await sleep(confirmPause)
      status = await this.#status(device, node)
    }
    return status
  }

  #status(device: FenceDevice, node: NodeId): Promise<Result<undefined, string>> {
    return this.#run(device, "status", plugOf(device, node))
  }

  async #turnOn(devices: readonly FenceDevice[], node: NodeId): Promise<void> {
    for (const device of devices.filter(({ action }) => action === "reboot")) {
      const outcome = await this.#run(device, "on", plugOf(device, node))
      if (outcome.kind === "error")
        this.#options.log("warn", "fence-on-failed", { node, device: device.name, reason: outcome.error })
    }
  }

  async #look(device: FenceDevice): Promise<void> {
    const outcome = await this.#run(device, "monitor", undefined)
    const problem = outcome.kind === "ok" ? undefined : outcome.error
    if (problem !== this.#problems.get(device.name)) {
      if (problem === undefined) this.#problems.delete(device.name)
      else this.#problems.set(device.name, problem)
      this.#options.emit({ kind: "fence-device-checked", device: device.name, problem })
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      void this.#look(device)
    }, device.monitorInterval)
    this.#timers.add(timer)
  }
}

/** What each that failed says, after its name. */
async function failuresOf(
  devices: readonly FenceDevice[],
  work: (device: FenceDevice) => Promise<Result<undefined, string>>,
): Promise<string[]> {
  const outcomes = await Promise.all(devices.map(work))
  return outcomes.flatMap((outcome, index) =>
    outcome.kind === "ok" ? [] : [`${devices[index]?.name}: ${outcome.error}`],
  )
}

function plugOf(device: FenceDevice, node: NodeId): string | undefined {
  return device.nodes.find((each) => each.node === node)?.plug
}
