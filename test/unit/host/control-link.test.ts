import { describe, expect, it, vi } from "vitest"
import type { NodeEvent } from "../../../node-agent/core/events.ts"
import type {
  ControlEffect,
  FromControl,
  LogLine,
  ToControl,
} from "../../../node-agent/host/control/messages.ts"
import {
  backlogHard,
  backlogSoft,
  ControlLink,
  type ControlProcess,
  pingPatience,
} from "../../../node-agent/host/control-link.ts"
import { instant, millis, nodeId, serviceName, wallTime } from "../../../protocol/units.ts"
import { clusterConfig, summaryOf } from "./fixtures.ts"

describe("the link to the control process", () => {
  it("sends the setup first, then what is asked", () => {
    const { link, child } = linked()
    link.effect(post(1))
    expect(child().sent.map((message) => message.kind)).toEqual(["setup", "effect"])
  })

  it("drops reports, and nothing else, while the control process does not keep up", () => {
    const { link, child } = linked()
    child().backlog = backlogSoft + 1
    link.report({ kind: "trace", line: "{}" })
    link.report({ kind: "log", line: line("one") })
    link.effect(post(1))
    link.answer({ kind: "answer", request: 1, result: { kind: "done", message: "" } })
    expect(child().sent.map((message) => message.kind)).toEqual(["setup", "effect", "answer"])
    expect(link.droppedLines).toBe(2)
  })

  it("kills a control process with too much waiting for it", () => {
    const { link, child } = linked()
    child().backlog = backlogHard + 1
    link.effect(post(1))
    expect(child().killed).toBe(true)
  })

  it("kills a control process that answers no ping, and only that one", () => {
    const { link, child, clock } = linked()
    clock.advance(1_500)
    link.supervise(clock.now())
    const [ping] = child().sent.filter((message) => message.kind === "ping")
    child().say({ kind: "pong", id: ping?.id ?? 0 })
    clock.advance(pingPatience + 1)
    link.supervise(clock.now())
    expect(child().killed).toBe(false)
    clock.advance(pingPatience + 1)
    link.supervise(clock.now())
    expect(child().killed).toBe(true)
  })

  it("fails what was asked and not answered when the control process ends, once", () => {
    const { link, child, events } = linked()
    child().say({ kind: "event", event: { kind: "control-connected", found: [] } })
    link.effect(post(1))
    link.effect(post(2))
    child().say({ kind: "event", event: { kind: "witness-failed", post: 1, reason: "timeout" } })
    child().ended("signal SIGKILL")
    expect(events.slice(1)).toEqual([
      { kind: "witness-failed", post: 1, reason: "timeout" },
      { kind: "witness-failed", post: 2, reason: "control-away" },
      { kind: "control-lost" },
    ])
  })

  it("starts no service before the control process has said what runs", () => {
    const { link, child, events } = linked()
    link.effect(start(1))
    expect(events).toEqual([
      { kind: "service-start-failed", operation: 1, service: "ledger", reason: "control-away" },
    ])
    child().say({ kind: "event", event: { kind: "control-connected", found: [] } })
    link.effect(start(2))
    expect(child().sent.at(-1)).toMatchObject({ kind: "effect", effect: { operation: 2 } })
  })

  it("fails posts at once while nobody is there", () => {
    const { link, child, events } = linked()
    child().ended("exit status 1")
    link.effect(post(5))
    expect(events).toEqual([{ kind: "witness-failed", post: 5, reason: "control-away" }])
  })

  it("starts it again after a delay that grows while it dies young", () => {
    vi.useFakeTimers()
    try {
      const { child, children, clock } = linked()
      const delays = [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]
      for (const [index, delay] of delays.entries()) {
        child().ended("exit status 1")
        vi.advanceTimersByTime(delay - 1)
        expect(children).toHaveLength(index + 1)
        vi.advanceTimersByTime(1)
        expect(children).toHaveLength(index + 2)
      }
      clock.advance(10_000)
      child().ended("exit status 1")
      vi.advanceTimersByTime(100)
      expect(children).toHaveLength(delays.length + 2)
    } finally {
      vi.useRealTimers()
    }
  })

  it("keeps the last 200 log lines for the next control process", () => {
    vi.useFakeTimers()
    try {
      const { link, child } = linked()
      child().ended("exit status 1")
      for (let n = 1; n <= 250; n += 1) link.report({ kind: "log", line: line(`line ${n}`) })
      vi.advanceTimersByTime(100)
      const logged = child().sent.flatMap((message) => (message.kind === "log" ? [message.line.event] : []))
      expect(logged).toHaveLength(200)
      expect(logged[0]).toBe("line 51")
    } finally {
      vi.useRealTimers()
    }
  })

  it("kills a control process that does not speak the protocol", () => {
    const { child } = linked()
    child().received(Buffer.from("not json\n"))
    expect(child().killed).toBe(true)
  })

  it("ignores a former control process", () => {
    vi.useFakeTimers()
    try {
      const { child, events } = linked()
      const former = child()
      former.ended("exit status 1")
      vi.advanceTimersByTime(100)
      former.say({ kind: "event", event: { kind: "control-connected", found: [] } })
      expect(events).toEqual([])
    } finally {
      vi.useRealTimers()
    }
  })

  it("waits at the end until the control process is gone, and kills it if that takes too long", async () => {
    vi.useFakeTimers()
    try {
      const { link, child } = linked()
      const finished = link.finish(millis(500))
      expect(child().isEnded).toBe(true)
      vi.advanceTimersByTime(500)
      expect(child().killed).toBe(true)
      child().ended("signal SIGKILL")
      await finished
    } finally {
      vi.useRealTimers()
    }
  })
})

class FakeChild implements ControlProcess {
  backlog = 0
  killed = false
  isEnded = false
  readonly sent: ToControl[] = []
  received: (chunk: Buffer) => void = () => undefined
  ended: (reason: string) => void = () => undefined

  write(text: string): void {
    this.sent.push(JSON.parse(text))
  }
  end(): void {
    this.isEnded = true
  }
  kill(): void {
    this.killed = true
  }
  say(message: FromControl): void {
    this.received(Buffer.from(`${JSON.stringify(message)}\n`))
  }
}

function linked() {
  const children: FakeChild[] = []
  const events: NodeEvent[] = []
  let time = 1_000
  const clock = {
    now: () => instant(time),
    advance: (by: number) => {
      time += by
    },
  }
  const link: ControlLink = new ControlLink({
    start: () => {
      const child = new FakeChild()
      children.push(child)
      return child
    },
    setup: {
      config: clusterConfig(),
      self: nodeId(1),
      runtimeDirectory: "/nowhere",
      nodeKeyFile: "/nowhere/key",
      alertsFile: undefined,
      hooks: [],
      logLevel: "info",
      traceFile: undefined,
    },
    now: clock.now,
    event: (event) => events.push(event),
    command: () => undefined,
    keepRecord: () => undefined,
    health: () => undefined,
    stderr: () => undefined,
    log: () => undefined,
  })
  link.start()
  const child = (): FakeChild => {
    const last = children.at(-1)
    if (last === undefined) throw new Error("no control process was started")
    return last
  }
  return { link, child, children, events, clock }
}

function line(event: string): LogLine {
  return { at: wallTime(0), level: "info", event, fields: {} }
}

function start(operation: number): ControlEffect {
  return {
    kind: "start-service",
    operation,
    service: serviceName("ledger"),
    epoch: "1",
    deadline: instant(9e9),
  }
}

function post(number: number): ControlEffect {
  return { kind: "post-summary", post: number, timeout: instant(9e9), summary: summaryOf(number) }
}
