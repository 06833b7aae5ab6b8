/**
 * The machine's watchdog: opened when the core says so, fed when it says so, closed with the magic byte when it says so
 * (SPEC WD). From its opening on the machine is reset unless it is fed; only `V` before the close takes that back.
 *
 * Feeding is a write by the thread pool: a driver may take its time (IPMI does), and the ring must not wait for it. One
 * that is still under way when the next is due is waited for by nobody; if it hangs, the device fires, as it should.
 */
import { close, constants, openSync, readFileSync, write, writeSync } from "node:fs"
import { basename } from "node:path"
import type { Native } from "./native.ts"

export interface WatchdogReport {
  readonly device: string
  readonly state: "closed" | "armed" | "failed" | "disarmed"
  /** `software`: the kernel's own timer (softdog), which does not outlive a kernel that has died. */
  readonly kind: "hardware" | "software" | "unknown"
  readonly identity: string
  /** As read back from the device. */
  readonly timeout_s: number | undefined
  /** It cannot be stopped once it runs: an orderly end of the agent resets the machine, too. */
  readonly nowayout: boolean
  /** The watchdog reset the machine before this boot. */
  readonly caused_last_boot: boolean
  readonly feeds: number
  readonly reason: string
}

export interface WatchdogOptions {
  readonly native: Native | undefined
  readonly device: string
  readonly timeoutSeconds: number
  readonly armed: (software: boolean) => void
  /** It could not be armed, or not be fed. */
  readonly failed: (reason: string) => void
  /** Where the kernel describes its watchdogs. */
  readonly descriptions?: string
}

/** `_IOR`, `_IOWR` of linux/watchdog.h, the same on x64 and arm64. */
const getSupport = 0x8028_5700
const getBootStatus = 0x8004_5702
const setTimeoutRequest = 0xc004_5706
const getTimeout = 0x8004_5707
const magicCloseOption = 0x0100
const cardReset = 0x0020
/** `struct watchdog_info`: options, firmware version, 32 bytes of name. */
const supportBytes = 40
const identityOffset = 8
const softdogIdentity = "Software Watchdog"

const feedByte = Buffer.from("\0")
const magicByte = Buffer.from("V")

export class Watchdog {
  readonly #options: WatchdogOptions
  #descriptor: number | undefined
  #feeding = false
  #whenFed: (() => void) | undefined
  #report: WatchdogReport

  constructor(options: WatchdogOptions) {
    this.#options = options
    this.#report = {
      device: options.device,
      state: "closed",
      kind: "unknown",
      identity: "",
      timeout_s: undefined,
      nowayout: this.#described("nowayout") === "1",
      caused_last_boot: false,
      feeds: 0,
      reason: "",
    }
  }

  get report(): WatchdogReport {
    return this.#report
  }

  /** Opens the device, which starts it, and sets its timeout. What was set up in vain is closed again. */
  arm(): void {
    if (this.#descriptor !== undefined) return
    try {
      this.#open()
    } catch (cause) {
      const reason = reasonOf(cause)
      const descriptor = this.#descriptor
      this.#descriptor = undefined
      if (descriptor !== undefined) this.#closeSafely(descriptor)
      this.#report = { ...this.#report, state: "failed", reason }
      this.#options.failed(reason)
      return
    }
    this.#report = { ...this.#report, state: "armed", reason: "" }
    this.#options.armed(this.#report.kind === "software")
  }

  #open(): void {
    const { native, device, timeoutSeconds } = this.#options
    if (native === undefined) throw new Error("its timeout cannot be set: the C library cannot be called")
    const longest = Number(this.#described("max_timeout") ?? 0)
    if (longest > 0 && timeoutSeconds > longest)
      throw new Error(`a timeout of ${timeoutSeconds} s is more than its ${longest} s`)
    const descriptor = openSync(device, constants.O_WRONLY)
    this.#descriptor = descriptor
    const ioctl = native.declare("ioctl", "int", ["int", "size", "bytes"])
    const ask = (request: number, bytes: Buffer): Buffer => {
      ioctl(descriptor, request, bytes)
      return bytes
    }
    const support = ask(getSupport, Buffer.alloc(supportBytes))
    const identity = support.toString("latin1", identityOffset).split("\0")[0] ?? ""
    const kind = identity === softdogIdentity ? "software" : "hardware"
    const bootStatus = ask(getBootStatus, Buffer.alloc(4)).readUInt32LE()
    this.#report = {
      ...this.#report,
      identity,
      kind,
      caused_last_boot: (bootStatus & cardReset) !== 0,
    }
    if ((support.readUInt32LE() & magicCloseOption) === 0)
      throw new Error("its driver stops it whenever it is closed: a killed agent would go unnoticed")
    ask(setTimeoutRequest, int32(timeoutSeconds))
    const timeout = ask(getTimeout, int32(0)).readInt32LE()
    this.#report = { ...this.#report, timeout_s: timeout }
    // Others count on the timeout of the configuration: a longer one is no proof, a shorter one no harm unless by much.
    if (timeout > timeoutSeconds || timeout < timeoutSeconds / 2)
      throw new Error(`it was given ${timeoutSeconds} s and counts ${timeout} s`)
  }

  /** The last step of a completed cycle; returns at once. */
  feed(): void {
    const descriptor = this.#descriptor
    if (descriptor === undefined || this.#feeding) return
    this.#feeding = true
    write(descriptor, feedByte, (cause) => {
      this.#feeding = false
      this.#whenFed?.()
      if (cause === null) {
        this.#report = { ...this.#report, feeds: this.#report.feeds + 1 }
        return
      }
      this.#report = { ...this.#report, state: "failed", reason: cause.message }
      this.#options.failed(cause.message)
    })
  }

  /** Stops it: everything was released. A feed under way comes first: after the magic byte it would take that back. */
  async disarm(): Promise<void> {
    const descriptor = this.#descriptor
    if (descriptor === undefined) return
    this.#descriptor = undefined
    if (this.#feeding) {
      await new Promise<void>((resolve) => {
        this.#whenFed = resolve
      })
    }
    this.#report = { ...this.#report, state: "disarmed" }
    this.#closeSafely(descriptor)
  }

  #closeSafely(descriptor: number): void {
    try {
      writeSync(descriptor, magicByte)
    } catch (cause) {
      this.#report = { ...this.#report, state: "failed", reason: `it was not stopped: ${reasonOf(cause)}` }
    }
    close(descriptor)
  }

  /** What the kernel says of the device without opening it; `undefined`: nothing. */
  #described(attribute: string): string | undefined {
    const { device, descriptions = "/sys/class/watchdog" } = this.#options
    const name = basename(device) === "watchdog" ? "watchdog0" : basename(device)
    try {
      return readFileSync(`${descriptions}/${name}/${attribute}`, "utf8").trim()
    } catch {
      // An old kernel, or a driver without the common core: the device itself is asked next.
      return undefined
    }
  }
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  const busy = "code" in cause && cause.code === "EBUSY"
  return busy
    ? `${cause.message} (another program has it: systemd's RuntimeWatchdogSec, perhaps)`
    : cause.message
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  return bytes
}
