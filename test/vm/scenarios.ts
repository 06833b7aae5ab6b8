/** What is broken in the virtual machine, and what must come of it. */
export interface Scenario {
  readonly watchdog: "i6300esb" | "softdog"
  readonly fault:
    | "stop"
    | "kill"
    | "kill-all"
    | "block"
    | "panic"
    | "leave"
    | "stop-kill"
    | "revive"
    | "busy"
    | "suspend"
    /** Nothing is broken: services that are units, with systemd as the first program. */
    | "systemd"
  readonly nowayout?: boolean
  /** Instead of `timeoutSeconds`. */
  readonly timeout?: number
  /** `hangs`: neither reset nor alive. */
  readonly expected: "reset" | "unharmed" | "hangs"
  /** Seconds from the fault to the reset: not before, not after. */
  readonly between?: readonly [number, number]
  readonly why: string
}

export const timeoutSeconds = 6
/** Of the emulated hardware and the emulated processor, in seconds. */
const slack = 2

const soon = [timeoutSeconds / 2, timeoutSeconds + slack] as const

export const scenarios: readonly Scenario[] = [
  { watchdog: "i6300esb", fault: "kill", expected: "reset", between: soon, why: "the agent is killed" },
  {
    watchdog: "i6300esb",
    fault: "kill-all",
    expected: "reset",
    between: soon,
    why: "both processes are killed",
  },
  { watchdog: "i6300esb", fault: "stop", expected: "reset", between: soon, why: "the agent stands still" },
  {
    watchdog: "i6300esb",
    fault: "block",
    expected: "reset",
    // The kernel ends a loop without a pause after two seconds; the close feeds once more.
    between: [timeoutSeconds / 2, timeoutSeconds + 2 + slack],
    why: "its loop is blocked",
  },
  { watchdog: "i6300esb", fault: "panic", expected: "reset", between: soon, why: "the kernel dies" },
  { watchdog: "i6300esb", fault: "leave", expected: "unharmed", why: "the agent leaves in order" },
  {
    watchdog: "i6300esb",
    fault: "leave",
    nowayout: true,
    expected: "reset",
    between: soon,
    why: "it leaves in order, and the driver has nowayout",
  },
  {
    watchdog: "i6300esb",
    fault: "stop-kill",
    expected: "reset",
    // Killed a second before the device would fire: had the close not fed it, it would have fired then.
    between: [2 * timeoutSeconds - 1.5, 2 * timeoutSeconds - 1 + slack],
    why: "killed while standing still: the close feeds once more (WD5)",
  },
  {
    watchdog: "i6300esb",
    fault: "revive",
    // An emulated processor takes ten seconds to start the agent.
    timeout: 40,
    expected: "unharmed",
    why: "killed and started again in time",
  },
  {
    watchdog: "i6300esb",
    fault: "suspend",
    expected: "unharmed",
    why: "the machine is suspended for eight seconds",
  },
  { watchdog: "i6300esb", fault: "systemd", expected: "unharmed", why: "services that are units of systemd" },
  { watchdog: "i6300esb", fault: "busy", expected: "unharmed", why: "another program has the device" },
  { watchdog: "softdog", fault: "stop", expected: "reset", between: soon, why: "the agent stands still" },
  { watchdog: "softdog", fault: "leave", expected: "unharmed", why: "the agent leaves in order" },
  { watchdog: "softdog", fault: "panic", expected: "hangs", why: "the kernel dies, and its timer with it" },
]

export function nameOf({ watchdog, fault, nowayout }: Scenario): string {
  return [watchdog, fault, ...(nowayout === true ? ["nowayout"] : [])].join(":")
}
