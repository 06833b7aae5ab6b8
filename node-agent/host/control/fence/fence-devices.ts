/**
 * The fence devices that this node may use: turns nodes off on order, and looks regularly whether each device answers, so
 * that wrong credentials are found at the start and not at a takeover.
 *
 * Levels are tried in order; all devices of one level must confirm (two power supplies). `off` is believed only when the
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
}

/** The power may go a moment after the agent said so. */
const confirmAttempts = 5
const confirmPause = 1_000

export class FenceDevices {
  readonly #options: FenceDevicesOptions
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #problems = new Map<string, string>()

  constructor(options: FenceDevicesOptions) {
    this.#options = options
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
      const outcomes = await Promise.all(together.map((device) => turnOff(device, node)))
      const failed = outcomes.flatMap((outcome, index) =>
        outcome.kind === "ok" ? [] : [`${together[index]?.name}: ${outcome.error}`],
      )
      if (failed.length === 0) return ok(together)
      failures.push(...failed)
      this.#options.log("warn", "fence-level-failed", { node, level, reason: failed.join("; ") })
    }
    return err(failures.length === 0 ? "no device is configured for it" : failures.join("; "))
  }

  async #turnOn(devices: readonly FenceDevice[], node: NodeId): Promise<void> {
    for (const device of devices.filter(({ action }) => action === "reboot")) {
      const outcome = await runFenceAgent(device, "on", plugOf(device, node))
      if (outcome.kind === "error")
        this.#options.log("warn", "fence-on-failed", { node, device: device.name, reason: outcome.error })
    }
  }

  async #look(device: FenceDevice): Promise<void> {
    const outcome = await runFenceAgent(device, "monitor", undefined)
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

async function turnOff(device: FenceDevice, node: NodeId): Promise<Result<undefined, string>> {
  if (device.delay > 0) await sleep(device.delay)
  const plug = plugOf(device, node)
  const off = await runFenceAgent(device, "off", plug)
  if (off.kind === "error") return off
  let status = await runFenceAgent(device, "status", plug)
  for (let attempt = 1; status.kind === "error" && attempt < confirmAttempts; attempt += 1) {
    await sleep(confirmPause)
    status = await runFenceAgent(device, "status", plug)
  }
  return status
}

function plugOf(device: FenceDevice, node: NodeId): string | undefined {
  return device.nodes.find((each) => each.node === node)?.plug
}
