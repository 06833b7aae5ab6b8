/**
 * One run of the virtual machine: QEMU without disk, network or hardware help, its serial line and its own event
 * stream. Whether the watchdog fired is QEMU's word, not the guest's.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createConnection } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"
import type { Image } from "./image.ts"
import { type Scenario, timeoutSeconds } from "./scenarios.ts"

export interface Outcome {
  readonly kind: "reset" | "unharmed" | "hangs" | "never-ready"
  /** Seconds from the fault to the reset. */
  readonly after: number | undefined
  /** The emulated hardware itself fired. */
  readonly byHardware: boolean
  readonly seconds: number
  /** What the guest said. */
  readonly lines: readonly string[]
}

/** Under software emulation on a busy machine; a scenario takes 20 to 40 s. */
const limitSeconds = 300
/** After a fault nothing happens for so many timeouts: it hangs. */
const hangTimeouts = 5

export async function runMachine(image: Image, scenario: Scenario): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "quorumbeat-vm-"))
  try {
    return await observed(image, scenario, join(folder, "qmp"))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function observed(image: Image, scenario: Scenario, socket: string): Promise<Outcome> {
  const from = performance.now()
  const seconds = () => (performance.now() - from) / 1000
  const child = spawn("qemu-system-x86_64", parametersOf(image, scenario, socket), {
    stdio: ["ignore", "pipe", "inherit"],
  })
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()))
  const lines: string[] = []
  let [faultAt, firedAt, resetAt]: (number | undefined)[] = []
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(`${seconds().toFixed(2)} ${line}`)
    if (/^VM \S+ FAULT/.test(line)) faultAt ??= seconds()
  })
  void watchEvents(socket, (name, reason) => {
    if (name === "WATCHDOG") firedAt ??= seconds()
    if (reason === "guest-reset") resetAt ??= seconds()
  })
  const overdue = () =>
    seconds() > limitSeconds ||
    (faultAt !== undefined && seconds() > faultAt + hangTimeouts * (scenario.timeout ?? timeoutSeconds))
  while (child.exitCode === null && child.signalCode === null && !overdue()) await sleep(50)
  child.kill("SIGKILL")
  await ended
  const fired = firedAt ?? resetAt
  const unharmed = lines.some((line) => line.includes(" UNHARMED"))
  return {
    kind:
      faultAt === undefined ? "never-ready" : unharmed ? "unharmed" : fired === undefined ? "hangs" : "reset",
    after: faultAt === undefined || fired === undefined ? undefined : fired - faultAt,
    byHardware: firedAt !== undefined,
    seconds: seconds(),
    lines,
  }
}

function parametersOf(image: Image, scenario: Scenario, socket: string): readonly string[] {
  const { watchdog, fault, nowayout, timeout = timeoutSeconds } = scenario
  const words = [
    `watchdog=${watchdog}`,
    `fault=${fault}`,
    `timeout=${timeout}`,
    `nowayout=${nowayout ? 1 : 0}`,
  ]
  return [
    ...[
      "-accel",
      "tcg,thread=multi",
      "-cpu",
      "max",
      "-smp",
      "1",
      "-m",
      "1024",
      "-nodefaults",
      "-no-user-config",
    ],
    ...["-display", "none", "-no-reboot", "-serial", "stdio", "-qmp", `unix:${socket},server=on,wait=off`],
    ...["-kernel", image.kernel, "-initrd", image.archive],
    ...["-append", `console=ttyS0 quiet panic=0 ${words.map((word) => `vm.${word}`).join(" ")}`],
    ...(watchdog === "i6300esb" ? ["-device", "i6300esb", "-action", "watchdog=reset"] : []),
  ]
}

/** QEMU's machine protocol: lines of JSON; events come once it was greeted. */
async function watchEvents(
  path: string,
  told: (name: string, reason: string | undefined) => void,
): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const connection = createConnection(path)
    const isOpen = await new Promise<boolean>((resolve) => {
      connection.on("connect", () => resolve(true))
      connection.on("error", () => resolve(false))
    })
    if (!isOpen) {
      await sleep(50)
      continue
    }
    connection.write('{"execute":"qmp_capabilities"}\n')
    createInterface({ input: connection }).on("line", (line) => {
      const { event, data } = JSON.parse(line)
      if (event !== undefined) told(event, data?.reason)
    })
    return
  }
}
