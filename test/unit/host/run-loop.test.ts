import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import type { NodeEffect } from "../../../node-agent/core/effects.ts"
import type { NodeEvent } from "../../../node-agent/core/events.ts"
import { monotonicNow } from "../../../node-agent/host/clock.ts"
import { RunLoop, type RunLoopOptions } from "../../../node-agent/host/run-loop.ts"
import { BrokenInvariant } from "../../../protocol/assert.ts"
import { type Instant, millis } from "../../../protocol/units.ts"
import { eventually, inMilliseconds } from "./fixtures.ts"

const persisted = (write: number): NodeEvent => ({ kind: "persisted", write })
const log = (event: string): NodeEffect => ({ kind: "log", level: "info", event, fields: {} })

describe("the run loop", () => {
  it("does all effects of an event before the next event", () => {
    const told: string[] = []
    const loop = loopOf({
      step: (event) => {
        told.push(`step ${numberOf(event)}`)
        return numberOf(event) === 1 ? [log("first"), log("second")] : []
      },
      perform: (effect) => {
        told.push(effect.kind === "log" ? effect.event : effect.kind)
        if (effect.kind === "log" && effect.event === "first") loop.deliver(persisted(2))
      },
    })
    loop.deliver(persisted(1))
    expect(told).toEqual(["step 1", "first", "second", "step 2"])
    loop.stop()
  })

  it("[H13] tells what must come first before the event that brought it to light", () => {
    const told: string[] = []
    const first: NodeEvent[] = [{ kind: "suspended", slept: millis(5) }]
    const loop = loopOf({
      before: () => first.pop(),
      step: (event) => {
        told.push(event.kind)
        return []
      },
    })
    loop.deliver(persisted(1))
    loop.deliver(persisted(2))
    expect(told).toEqual(["suspended", "persisted", "persisted"])
    loop.stop()
  })

  it("reports a deadline once it is reached, not before", async () => {
    const deadline = inMilliseconds(30)
    let next: Instant | undefined = deadline
    const at: Instant[] = []
    const loop = loopOf({
      step: (event, now) => {
        if (event.kind === "deadline-reached") {
          at.push(now)
          next = undefined
        }
        return []
      },
      next: () => next,
    })
    loop.start([])
    await eventually(() => at.length > 0)
    loop.stop()
    expect(at).toHaveLength(1)
    expect(at[0]).toBeGreaterThanOrEqual(deadline)
  })

  it("moves its timer when an event brings an earlier deadline", async () => {
    let next = inMilliseconds(60_000)
    let reached = false
    const loop = loopOf({
      step: (event) => {
        if (event.kind === "persisted") next = inMilliseconds(5)
        if (event.kind === "deadline-reached") {
          reached = true
          next = inMilliseconds(60_000)
        }
        return []
      },
      next: () => next,
    })
    loop.start([])
    loop.deliver(persisted(1))
    await eventually(() => reached)
    loop.stop()
  })

  it("[H8] lets what waits in the sockets speak before a late deadline", async () => {
    const order: string[] = []
    let next: Instant | undefined
    const loop = loopOf({
      step: (event) => {
        order.push(event.kind)
        if (event.kind === "deadline-reached") next = undefined
        return []
      },
      next: () => next,
    })
    const { createSocket } = await import("node:dgram")
    const socket = createSocket("udp4")
    await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve))
    socket.on("message", (bytes) => loop.deliver({ kind: "datagram-received", link: 0, bytes }))
    await sleep(0)
    // From here on nothing is waited for: the deadline cannot come before the datagram is sent.
    next = inMilliseconds(10)
    loop.start([])
    socket.send("token", socket.address().port, "127.0.0.1")
    // The loop is late: neither the timer nor the socket is looked at.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 80)
    await eventually(() => order.includes("deadline-reached"))
    loop.stop()
    socket.close()
    expect(order).toEqual(["datagram-received", "deadline-reached"])
    expect(loop.takeWorstLateness()).toBeGreaterThan(30)
    expect(loop.takeWorstLateness()).toBe(0)
  })

  it("does its own housekeeping at its own instants, without an event", async () => {
    let due = inMilliseconds(5)
    let runs = 0
    const events: NodeEvent[] = []
    const loop = loopOf({
      step: (event) => {
        events.push(event)
        return []
      },
      housekeeping: {
        next: () => due,
        from: () => due,
        run: () => {
          runs += 1
          due = inMilliseconds(5)
        },
      },
    })
    loop.start([])
    await eventually(() => runs >= 3)
    loop.stop()
    expect(events).toEqual([])
  })

  it("does its housekeeping when it is awake anyway and it may be done by now, after what woke it", () => {
    const told: string[] = []
    const late = inMilliseconds(1e6)
    let from = late
    const loop = loopOf({
      step: (event) => {
        told.push(`step ${numberOf(event)}`)
        return []
      },
      housekeeping: {
        next: () => late,
        from: () => from,
        run: () => {
          told.push("housekeeping")
          from = late
          loop.deliver(persisted(3))
        },
      },
    })
    loop.deliver(persisted(1))
    from = inMilliseconds(-1)
    loop.deliver(persisted(2))
    loop.deliver(persisted(4))
    loop.stop()
    expect(told).toEqual(["step 1", "step 2", "housekeeping", "step 3", "step 4"])
  })

  it("[H4] stops for good when the core finds an invariant broken", () => {
    const causes: unknown[] = []
    const loop = loopOf({
      step: () => {
        throw new BrokenInvariant("two tokens")
      },
      failed: (cause) => causes.push(cause),
    })
    loop.deliver(persisted(1))
    loop.deliver(persisted(2))
    expect(causes).toEqual([new BrokenInvariant("two tokens")])
  })
})

interface Parts extends Partial<Pick<RunLoopOptions, "perform" | "failed" | "housekeeping" | "before">> {
  readonly step: (event: NodeEvent, now: Instant) => readonly NodeEffect[]
  readonly next?: () => Instant | undefined
}

function loopOf({ step, next, perform, failed, ...rest }: Parts): RunLoop {
  return new RunLoop({
    machine: { step, nextDeadline: next ?? (() => undefined) },
    now: monotonicNow,
    perform: perform ?? (() => undefined),
    failed:
      failed ??
      ((cause) => {
        throw cause
      }),
    ...rest,
  })
}

function numberOf(event: NodeEvent): number {
  return event.kind === "persisted" ? event.write : 0
}
