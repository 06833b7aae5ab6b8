// The device's side is a stand-in here: answers to ioctl as drivers give them, and a file that keeps what is written.
// Real devices: the virtual machine of test/vm.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { type Native, NativeFailure } from "../../../node-agent/host/native.ts"
import { Watchdog } from "../../../node-agent/host/watchdog.ts"
import { eventually, temporaryDirectory } from "./fixtures.ts"

interface Driver {
  readonly options?: number
  readonly identity?: string
  readonly bootStatus?: number
  /** What it makes of the timeout asked for. */
  readonly grants?: (seconds: number) => number
  readonly refuses?: number
}

const [getSupport, getBootStatus, setTimeout_, getTimeout] = [0x80285700, 0x80045702, 0xc0045706, 0x80045707]

function nativeOf({ options = 0x8180, identity = "i6300ESB timer", ...driver }: Driver): Native {
  let timeout = 30
  return {
    declare: (name) => {
      expect(name).toBe("ioctl")
      return (_descriptor, request, bytes) => {
        if (request === driver.refuses) throw new NativeFailure("ioctl", 25)
        if (!(bytes instanceof Buffer)) throw new Error("ioctl takes bytes")
        if (request === getSupport) {
          bytes.writeUInt32LE(options)
          bytes.write(identity, 8)
        } else if (request === getBootStatus) bytes.writeUInt32LE(driver.bootStatus ?? 0)
        else if (request === setTimeout_)
          timeout = (driver.grants ?? ((seconds) => seconds))(bytes.readInt32LE())
        else if (request === getTimeout) bytes.writeInt32LE(timeout)
        return 0
      }
    },
    addressOf: () => 0n,
  }
}

function watchdogOf(driver: Driver | undefined, timeoutSeconds = 5, descriptions = "/nowhere") {
  const device = join(temporaryDirectory(), "watchdog")
  writeFileSync(device, "")
  const told: string[] = []
  const watchdog = new Watchdog({
    native: driver === undefined ? undefined : nativeOf(driver),
    device,
    timeoutSeconds,
    descriptions,
    armed: () => told.push("armed"),
    failed: (reason) => told.push(`failed: ${reason}`),
  })
  return { watchdog, told, device, written: () => readFileSync(device, "latin1") }
}

describe("the watchdog", () => {
  it("[WD1] [WD4] is armed with its timeout read back, and says what it is", () => {
    const { watchdog, told, written } = watchdogOf({ bootStatus: 0x20 })
    watchdog.arm()
    expect(told).toEqual(["armed"])
    expect(watchdog.report).toMatchObject({
      state: "armed",
      kind: "hardware",
      identity: "i6300ESB timer",
      timeout_s: 5,
      caused_last_boot: true,
      reason: "",
    })
    watchdog.arm()
    expect(told).toEqual(["armed"])
    expect(written()).toBe("")
  })

  it("[WD4] tells the kernel's own timer from hardware", () => {
    const { watchdog } = watchdogOf({ identity: "Software Watchdog" })
    watchdog.arm()
    expect(watchdog.report.kind).toBe("software")
  })

  it("[WD2] is fed without waiting, and [WD3] stopped after the feed under way", async () => {
    const { watchdog, written } = watchdogOf({})
    watchdog.arm()
    watchdog.feed()
    expect(watchdog.report.feeds).toBe(0)
    await eventually(() => watchdog.report.feeds === 1)
    watchdog.feed()
    await watchdog.disarm()
    expect(written()).toBe("\0\0V")
    expect(watchdog.report.state).toBe("disarmed")
    watchdog.feed()
    await watchdog.disarm()
    expect(written()).toBe("\0\0V")
  })

  it.each([
    ["counts longer than asked", { grants: (): number => 60 }, "it was given 5 s and counts 60 s"],
    ["counts much shorter than asked", { grants: (): number => 1 }, "it was given 5 s and counts 1 s"],
    [
      "stops at any close",
      { options: 0x8080 },
      "its driver stops it whenever it is closed: a killed agent would go unnoticed",
    ],
    ["refuses a timeout", { refuses: setTimeout_ }, "ioctl: ENOTTY: inappropriate ioctl for device"],
  ] as const)("[WD1] is stopped again if its driver %s", (_what, driver, reason) => {
    const { watchdog, told, written } = watchdogOf(driver)
    watchdog.arm()
    expect(told).toEqual([`failed: ${reason}`])
    expect(written()).toBe("V")
    expect(watchdog.report).toMatchObject({ state: "failed", reason })
  })

  it("[WD1] is not even opened without the C library, or where its driver cannot count that far", () => {
    const without = watchdogOf(undefined)
    without.watchdog.arm()
    expect(without.told).toEqual(["failed: its timeout cannot be set: the C library cannot be called"])
    const descriptions = temporaryDirectory()
    mkdirSync(join(descriptions, "watchdog0"))
    writeFileSync(join(descriptions, "watchdog0", "max_timeout"), "4\n")
    writeFileSync(join(descriptions, "watchdog0", "nowayout"), "1\n")
    const short = watchdogOf({}, 5, descriptions)
    short.watchdog.arm()
    expect(short.told).toEqual(["failed: a timeout of 5 s is more than its 4 s"])
    expect(short.watchdog.report.nowayout).toBe(true)
    expect(short.written() + without.written()).toBe("")
  })

  it("[WD1] that is not there is a failure, and tried again when asked again", () => {
    const told: string[] = []
    const device = join(temporaryDirectory(), "missing")
    const watchdog = new Watchdog({
      native: nativeOf({}),
      device,
      timeoutSeconds: 5,
      armed: () => told.push("armed"),
      failed: (reason) => told.push(reason),
    })
    watchdog.arm()
    expect(told).toEqual([`ENOENT: no such file or directory, open '${device}'`])
    writeFileSync(device, "")
    watchdog.arm()
    expect(told).toHaveLength(2)
    expect(watchdog.report).toMatchObject({ state: "armed", reason: "" })
  })

  it("a feed that fails is told", async () => {
    const told: string[] = []
    const watchdog = new Watchdog({
      native: nativeOf({}),
      device: "/dev/full",
      timeoutSeconds: 5,
      armed: () => told.push("armed"),
      failed: (reason) => told.push(reason),
    })
    watchdog.arm()
    watchdog.feed()
    await eventually(() => told.length === 2)
    expect(told[1]).toMatch(/ENOSPC/)
    expect(watchdog.report).toMatchObject({ state: "failed", feeds: 0 })
  })
})
