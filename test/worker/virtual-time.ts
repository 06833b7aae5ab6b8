/**
 * Virtual time for an object in the real runtime: wall clock, timers and waits of the Worker move only when told to, and the
 * alarm is fired when it is due. Everything else (storage, requests, streams) is the runtime's own.
 */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test"
import { vi } from "vitest"
import type { TestCluster } from "./witness-client.ts"

/** How long one step of virtual time waits for what the runtime does in real time. */
const settleMs = 4
/** Timers that are shorter than this are the runtime's and the tests' own, and stay real. */
const virtualFromMs = 50

const real = {
  wait: scheduler.wait.bind(scheduler),
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
}

export class VirtualTime {
  readonly #cluster: TestCluster
  readonly #alarms = new Set<Promise<unknown>>()

  constructor(cluster: TestCluster) {
    this.#cluster = cluster
  }

  /** From here on until `vi.useRealTimers()`. Requests go out through `vi.spyOn(globalThis, "fetch")`. */
  static begin(start: number): void {
    vi.useFakeTimers({ toFake: ["Date"], now: start })
    vi.spyOn(scheduler, "wait").mockImplementation((delay, options) =>
      waitUntil(Date.now() + delay, options?.signal),
    )
    const stops = new Map<unknown, AbortController>()
    vi.spyOn(globalThis, "setTimeout").mockImplementation(((run: () => void, delay = 0, ...rest: []) => {
      if (delay < virtualFromMs) return real.setTimeout(run, delay, ...rest)
      const stop = new AbortController()
      const timer = { virtual: true }
      stops.set(timer, stop)
      waitUntil(Date.now() + delay, stop.signal).then(run, () => undefined)
      return timer
    }) as never)
    vi.spyOn(globalThis, "clearTimeout").mockImplementation(((timer: never) => {
      const stop = stops.get(timer)
      if (stop === undefined) real.clearTimeout(timer)
      else stop.abort()
      stops.delete(timer)
    }) as never)
  }

  /** Goes on by so many milliseconds, in steps in which everything that is due happens. */
  async run(milliseconds: number, stepMs = 250): Promise<void> {
    for (const end = Date.now() + milliseconds; Date.now() < end; ) {
      vi.setSystemTime(Date.now() + Math.min(stepMs, end - Date.now()))
      await this.#fireAlarm()
      await real.wait(settleMs)
    }
  }

  async #fireAlarm(): Promise<void> {
    const at = await runInDurableObject(this.#cluster.stub, (_instance, { storage }) => storage.getAlarm())
    if (at === null || at > Date.now() || this.#alarms.size > 0) return
    const alarm = runDurableObjectAlarm(this.#cluster.stub).finally(() => this.#alarms.delete(alarm))
    this.#alarms.add(alarm)
  }
}

/** Looks at the virtual clock again and again: what follows must run in the context of whoever waits. */
async function waitUntil(at: number, signal: AbortSignal | undefined): Promise<void> {
  while (Date.now() < at) {
    if (signal?.aborted) throw new Error("aborted")
    await real.wait(1)
  }
}

/** Answers after never: what `attempt` does with a service that hangs. */
export function hanging(init: RequestInit | undefined): Promise<Response> {
  return new Promise((_, reject) => {
    init?.signal?.addEventListener("abort", () => reject(init.signal?.reason))
  })
}
