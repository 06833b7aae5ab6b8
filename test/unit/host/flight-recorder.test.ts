// A record of three real cores that talk to each other in virtual time: what one of them went through is kept, read
// back and replayed.

import { beforeAll, describe, expect, it } from "vitest"
import type { NodeEffect } from "../../../node-agent/core/effects.ts"
import type { NodeEvent } from "../../../node-agent/core/events.ts"
import { nextDeadline, step } from "../../../node-agent/core/node.ts"
import { createNode } from "../../../node-agent/core/start.ts"
import type { NodeState } from "../../../node-agent/core/state.ts"
import { createCryptography } from "../../../node-agent/host/cryptography.ts"
import { type FlightRecord, parseFlightRecord } from "../../../node-agent/host/flight-record.ts"
import { FlightRecorder } from "../../../node-agent/host/flight-recorder.ts"
import { replay } from "../../../node-agent/host/flight-replay.ts"
import { decodeFrame } from "../../../protocol/frames.ts"
import { instant, type NodeId, nodeId, serviceName, wallTime } from "../../../protocol/units.ts"
import { clusterConfig } from "./fixtures.ts"

const heading = { cluster: "lab", node: "a1", reason: "test", wall: 1_800_000_000_000, monotonic: 5 }
const resource = {
  kind: "command",
  name: "d",
  start: ["/bin/true"],
  stop: ["/bin/true"],
  monitor: ["/bin/true"],
}
const ledger = { name: "ledger", proof: "self-lease", self_lease_margin_ms: 50, resource: [resource] }
const config = clusterConfig({ service: [ledger] })

interface Member {
  readonly id: NodeId
  node: NodeState
  readonly recorder: FlightRecorder | undefined
  alive: boolean
}

/** Delivers after a millisecond what is sent; disks and services answer at once. */
class Mesh {
  now = 1_000
  readonly members: readonly Member[]
  readonly #due: { at: number; run: () => void }[] = []

  constructor(recorder: FlightRecorder) {
    this.members = config.nodes.map(({ id }) => this.#start(id, id === nodeId(1) ? recorder : undefined))
  }

  #start(id: NodeId, recorder: FlightRecorder | undefined): Member {
    const plain = createCryptography([{ id: 1, bytes: new Uint8Array(32).fill(3) }])
    const { node, effects } = createNode(
      {
        config,
        self: id,
        durable: undefined,
        cryptography: recorder?.listening(plain) ?? plain,
        ringKeys: [1],
        sessionNonce: new Uint8Array(16).fill(id),
        seed: id,
        wall: wallTime(heading.wall),
        gate: "none",
      },
      instant(this.now),
    )
    const member: Member = { id, node, recorder, alive: true }
    recorder?.begin(node)
    this.#later(0, () => this.#carryOut(member, effects))
    const found = config.services.map(({ name }) => ({
      service: name,
      state: "stopped" as const,
      epoch: undefined,
      reason: undefined,
    }))
    this.#later(5, () => this.tell(id, { kind: "control-connected", found }))
    return member
  }

  tell(id: NodeId, event: NodeEvent): void {
    const member = this.members.find((each) => each.id === id)
    if (member === undefined || !member.alive) return
    const at = instant(this.now)
    const effects = step(member.node, event, at)
    this.#carryOut(member, effects)
    member.recorder?.record(member.node, event, effects, at)
  }

  #carryOut(member: Member, effects: readonly NodeEffect[]): void {
    const tell = (event: NodeEvent) => this.#later(1, () => this.tell(member.id, event))
    for (const effect of effects) {
      if (effect.kind === "send") {
        const { to, link, bytes } = effect
        this.#later(1, () => this.tell(to, { kind: "datagram-received", link, bytes }))
      } else if (effect.kind === "persist") tell({ kind: "persisted", write: effect.write })
      else if (effect.kind === "start-service") tell({ ...effect, kind: "service-started" })
      else if (effect.kind === "stop-service") tell({ ...effect, kind: "service-stopped" })
    }
  }

  #later(delay: number, run: () => void): void {
    this.#due.push({ at: this.now + delay, run })
  }

  run(duration: number): void {
    const end = this.now + duration
    while (this.now < end) {
      this.now += 0.5
      for (const each of this.#due.filter(({ at }) => at <= this.now)) {
        this.#due.splice(this.#due.indexOf(each), 1)
        each.run()
      }
      for (const { id, node, alive } of this.members) {
        if (alive && (nextDeadline(node) ?? this.now + 1) <= this.now)
          this.tell(id, { kind: "deadline-reached" })
      }
    }
  }
}

function recorded(recorder: FlightRecorder): { readonly record: FlightRecord; readonly mesh: Mesh } {
  const mesh = new Mesh(recorder)
  mesh.run(3_000)
  mesh.tell(nodeId(1), { kind: "datagram-received", link: 0, bytes: new Uint8Array(700).fill(0x51) })
  const service = serviceName("ledger")
  mesh.tell(nodeId(1), { kind: "operator-commanded", request: 1, command: { kind: "service-stop", service } })
  mesh.run(1_000)
  for (const member of mesh.members) if (member.id === nodeId(3)) member.alive = false
  mesh.run(2_000)
  const parsed = parseFlightRecord(recorder.dump(heading))
  if (parsed.kind === "error") throw new Error(parsed.error)
  return { record: parsed.value, mesh }
}

describe("a flight record", () => {
  let record: FlightRecord

  beforeAll(() => {
    record = recorded(new FlightRecorder()).record
  })

  it("[H17] replayed gives the same effects, from the start and through a lost member", () => {
    expect(record.heading).toEqual(heading)
    expect(record.segments).toHaveLength(1)
    const steps = record.segments[0]?.steps ?? []
    expect(steps.length).toBeGreaterThan(200)
    const logged = steps.flatMap(({ effects }) =>
      effects.flatMap((each) => (each.kind === "log" ? each.event : [])),
    )
    expect(logged).toContain("view-installed")
    expect(logged).toContain("service-running")
    expect(logged).toContain("service-stopped")
    expect(logged).toContain("node-down")
    expect(replay(record)).toEqual({ kind: "ok", value: steps.length })
  })

  it("[H17] holds the frames in the clear and no key", () => {
    const frames = (record.segments[0]?.steps ?? []).flatMap(({ sealed }) =>
      sealed.flatMap((body) => {
        const frame = decodeFrame(body)
        return frame.kind === "ok" ? frame.value.kind : []
      }),
    )
    expect(frames).toContain("token")
    const state = record.segments[0]?.state()
    expect("cryptography" in (state?.sessions ?? {})).toBe(false)
    for (const peer of state?.sessions.peers.values() ?? []) expect(peer.helloKeys.size).toBe(0)
  })

  it("says where a program differs from the one that was recorded", () => {
    const [segment] = record.segments
    if (segment === undefined) throw new Error("nothing recorded")
    const token = segment.steps.findIndex(({ event, sealed }) => {
      const frames = sealed.map(decodeFrame).filter(({ kind }) => kind === "ok")
      return event.kind === "datagram-received" && frames.length > 1
    })
    expect(token).toBeGreaterThan(0)
    const without = segment.steps.filter((_, index) => index !== token)
    expect(replay({ ...record, segments: [{ ...segment, steps: without }] })).toMatchObject({ kind: "error" })
  })

  it("keeps the newest in bounded memory, and each part can be replayed", () => {
    const bytes = 24 << 10
    const recorder = new FlightRecorder(bytes)
    const small = recorded(recorder)
    expect(recorder.dump(heading).length).toBeLessThan(6 * bytes)
    expect(small.record.segments).toHaveLength(2)
    const last = small.record.segments[1]?.steps.at(-1)?.at ?? 0
    expect(small.mesh.now - last).toBeLessThan(300)
    expect(replay(small.record)).toMatchObject({ kind: "ok" })
  })

  it("that is damaged is an error, never an exception", () => {
    const recorder = new FlightRecorder(64 << 10)
    recorded(recorder)
    const whole = recorder.dump(heading)
    expect(parseFlightRecord(Buffer.from("something else"))).toEqual({
      kind: "error",
      error: "not a flight record",
    })
    for (let length = 0; length < whole.length - 1; length += 997) {
      const cut = parseFlightRecord(whole.subarray(0, length))
      if (cut.kind === "ok") expect(cut.value.segments.length).toBeLessThan(2)
    }
  })
})
