/** Whether a run came out as its scenario says; the reasons why not. */
import type { Outcome } from "./machine.ts"
import { type Scenario, timeoutSeconds } from "./scenarios.ts"

export function judge(scenario: Scenario, { kind, after, byHardware, lines }: Outcome): readonly string[] {
  const { expected, between, watchdog, fault, timeout = timeoutSeconds } = scenario
  const says = (pattern: RegExp) => lines.some((line) => pattern.test(line))
  if (fault === "systemd") {
    const missing = systemdSteps.filter((step) => !says(new RegExp(`VM \\S+ ${step}`)))
    return [
      ...(kind === expected ? [] : [`expected ${expected}, found ${kind}`]),
      ...missing.map((step) => `did not come to: ${step}`),
    ]
  }
  const [least = 0, most = Number.POSITIVE_INFINITY] = between ?? []
  const driver = watchdog === "softdog" ? /Software Watchdog \(software\)/ : /i6300ESB timer \(hardware\)/
  const checks: readonly (readonly [boolean, string])[] = [
    [kind === expected, `expected ${expected}, found ${kind}`],
    [
      after === undefined || (after >= least && after <= most),
      `expected the reset after ${least} to ${most} s`,
    ],
    [kind !== "reset" || byHardware === (watchdog === "i6300esb"), "it was reset by something else"],
    [fault === "busy" || says(/service-running/), "the service never ran"],
    [fault === "busy" || says(driver), "status does not say what the device is"],
    [
      fault === "busy" || says(new RegExp(`ready active ${timeout} `)),
      "the device is not armed with its timeout",
    ],
    [fault !== "busy" || says(/FAILED.*EBUSY/), "status does not say that the device is taken"],
    [fault !== "busy" || !says(/service-started/), "the service was started without its proof"],
    [
      fault !== "suspend" || says(/log .*all rights revoked/),
      "the agent did not find out that it was suspended",
    ],
    [fault !== "leave" || says(/left 0/), "the agent did not leave in order"],
    [fault !== "leave" || expected === "reset" || says(/left 0 inactive/), "the device was not stopped"],
  ]
  return checks.flatMap(([holds, complaint]) => (holds ? [] : [complaint]))
}

/** What the guest says of its units, in order (guest-systemd.sh). */
const systemdSteps = [
  "booted systemd",
  "unit-active",
  "epoch-reached-the-unit",
  "unit-restarted-with-a-new-epoch",
  "unit-active-again",
  "unit-stopped",
  "started-by-hand",
  "hand-started-was-stopped",
  "left-active",
  "left-inactive",
  "left-group .*populated 1",
  "left-not-stopped",
  "left-stopped",
  "left-in-order 0",
]
