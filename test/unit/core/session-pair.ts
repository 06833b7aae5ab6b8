/** Builders for session tests: nodes with real cryptography, and the words the tests speak in. */

import type { Cryptography } from "../../../node-agent/core/cryptography.ts"
import {
  createSessions,
  helloFor,
  type KeyRing,
  type Received,
  receive,
  type Sessions,
  sealTo,
} from "../../../node-agent/core/session.ts"
import {
  createCryptography,
  type HostCryptography,
  type RingKey,
} from "../../../node-agent/host/cryptography.ts"
import { clusterTagOf } from "../../../protocol/datagram.ts"
import type { DropReason, Frame } from "../../../protocol/frame.ts"
import { incarnation, type NodeId, nodeId } from "../../../protocol/units.ts"
import { protocolVersions, type VersionRange } from "../../../protocol/version.ts"

export const a = nodeId(1)
export const b = nodeId(2)
export const c = nodeId(3)
export const cluster = "grid-north"
export const clusterTag = clusterTagOf(cluster)
export const key1: RingKey = { id: 1, bytes: new Uint8Array(32).fill(0x11) }
export const key2: RingKey = { id: 2, bytes: new Uint8Array(32).fill(0x22) }

export interface TestNode {
  readonly sessions: Sessions
  readonly host: HostCryptography
  /** How often a body was tried to be opened: the dear part of refusing a forgery. */
  opens: number
}

export interface Start {
  readonly incarnation?: number
  /** Fills the nonce: another chance for each start. */
  readonly chance?: number
  readonly ringKeys?: readonly RingKey[]
  readonly keyRing?: KeyRing
  readonly versions?: VersionRange
  readonly cluster?: string
}

export function start(self: NodeId, options: Start = {}): TestNode {
  const host = createCryptography(options.ringKeys ?? [key1])
  const node: { sessions: Sessions | undefined; opens: number } = { sessions: undefined, opens: 0 }
  const counting: Cryptography = {
    deriveKey: host.deriveKey,
    seal: host.seal,
    open: (...args) => {
      node.opens += 1
      return host.open(...args)
    },
  }
  const count = options.incarnation ?? 1
  const sessions = createSessions({
    cluster: options.cluster ?? cluster,
    clusterTag,
    self,
    incarnation: incarnation(count),
    nonce: new Uint8Array(16).fill(options.chance ?? self * 16 + count),
    keyRing: options.keyRing ?? { active: 1, accepted: [1] },
    peers: [a, b, c].filter((id) => id !== self),
    cryptography: counting,
    versions: options.versions ?? protocolVersions,
  })
  return Object.assign(node, { sessions, host })
}

export const probe = (id: number): Frame => ({ kind: "probe", id })

/** What the second word of `receive` says, short enough to compare in one line. */
export function outcome(received: Received): string {
  switch (received.kind) {
    case "dropped":
      return received.reason satisfies DropReason
    case "copy":
    case "old-hello":
      return received.kind
    case "frame":
      return `frame${received.newIncarnation ? " new" : ""}`
    case "hello-accepted":
      return [
        "hello",
        received.established ? "established" : "heard",
        ...(received.newIncarnation ? ["new"] : []),
        ...(received.replyWanted ? ["reply-wanted"] : []),
      ].join(" ")
    default:
      return received satisfies never
  }
}

export function hello(from: TestNode, to: TestNode): Uint8Array {
  return helloFor(from.sessions, to.sessions.self)
}

export function sealed(from: TestNode, to: TestNode, id = 1): Uint8Array {
  const bytes = sealTo(from.sessions, to.sessions.self, probe(id))
  if (bytes === undefined) throw new Error("no session")
  return bytes
}

export function deliver(to: TestNode, bytes: Uint8Array): string {
  return outcome(receive(to.sessions, bytes))
}

/** The exchange by hellos alone: both have a session afterwards. */
export function connect(first: TestNode, second: TestNode): void {
  deliver(second, hello(first, second))
  deliver(first, hello(second, first))
  deliver(second, hello(first, second))
}

/** What must not change when something is dropped: printed, so that every field counts. */
export function snapshot(node: TestNode): string {
  return JSON.stringify([...node.sessions.peers.values()], (key, value: unknown) => {
    if (key === "keys" || key === "helloKeys") return undefined
    if (value instanceof Uint8Array || value instanceof Uint32Array) return [...value].join()
    return value
  })
}

export function changed(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice()
  copy[at] = value
  return copy
}
