// What the tests of the host share: a directory of their own, a small cluster, and waiting without sleeping long.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { onTestFinished } from "vitest"
import { monotonicNow } from "../../../node-agent/host/clock.ts"
import { readActivation } from "../../../node-agent/host/control/activation-file.ts"
import type { ControlEvent } from "../../../node-agent/host/control/messages.ts"
import { ServiceRunner } from "../../../node-agent/host/control/service.ts"
import type { ClusterConfig, CommandResource, ResourceConfig } from "../../../protocol/cluster.ts"
import { parseConfig } from "../../../protocol/config.ts"
import { clusterTagOf, encodeHeader } from "../../../protocol/datagram.ts"
import type { Summary } from "../../../protocol/summaries.ts"
import {
  after,
  type Instant,
  incarnation,
  millis,
  nodeId,
  serviceName,
  siteId,
  ticketName,
} from "../../../protocol/units.ts"

/** Removed when the test has finished. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "quorumbeat-"))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** Polls until `look` gives something; fails the test after `patience` milliseconds. */
export async function eventually<T>(look: () => T | undefined | false, patience = 20_000): Promise<T> {
  for (let waited = 0; waited < patience; waited += 5) {
    const found = look()
    if (found !== undefined && found !== false) return found
    await sleep(5)
  }
  throw new Error("it did not happen in time")
}

export const inMilliseconds = (wait: number): Instant => after(monotonicNow(), millis(wait))

/** 32 zero bytes are as good as any where nothing is verified. */
const anyKey = (id: number): string => `${String.fromCharCode(64 + id).repeat(42)}A`

/** One site of three nodes on loopback and, if wanted, a witness and services. */
export function clusterConfig(more: object = {}): ClusterConfig {
  const config = parseConfig(
    {
      cluster: "lab",
      version: 1,
      site: [{ name: "a" }],
      node: [1, 2, 3].map((id) => {
        return { id, name: `a${id}`, site: "a", links: [`127.0.0.${id}:5405`], public_key: anyKey(id) }
      }),
      ...more,
    },
    () => "0".repeat(64),
  )
  if (config.kind === "error") throw new Error(JSON.stringify(config.error))
  return config.value
}

/** A resource whose programs are shell scripts; quick limits. */
export function shellResource(
  name: string,
  scripts: { readonly start: string; readonly stop?: string; readonly monitor?: string },
  limits: Partial<CommandResource> = {},
): CommandResource {
  const shell = (script: string): readonly string[] => ["/bin/sh", "-c", script]
  return {
    kind: "command",
    name,
    start: shell(scripts.start),
    stop: shell(scripts.stop ?? "exit 0"),
    monitor: shell(scripts.monitor ?? "exit 0"),
    startTimeout: millis(3_000),
    stopTimeout: millis(3_000),
    monitorTimeout: millis(3_000),
    monitorInterval: millis(60_000),
    environment: {},
    ...limits,
  }
}

/** What node 1 would post. */
export function summaryOf(counter: number): Summary {
  return {
    cluster: "lab",
    node: nodeId(1),
    incarnation: incarnation(5),
    counter,
    challenge: "",
    site: siteId("a"),
    configuration: { version: 1, checksum: "0".repeat(64) },
    view: undefined,
    state: { voice: "not-held", tickets: [], nodes: [], services: [] },
    events: [],
    highest: [],
    claims: [],
  }
}

export const ledger = serviceName("ledger")

/** One service of these resources, outside an agent: what it did is told and noted. */
export function serviceOf(resources: (directory: string) => readonly ResourceConfig[]) {
  const directory = temporaryDirectory()
  const events: ControlEvent[] = []
  const printed: string[] = []
  const runner = new ServiceRunner({
    service: {
      name: ledger,
      ticket: ticketName("main"),
      nodes: [nodeId(1)],
      mode: "automatic",
      proof: { kind: "operator" },
      migrationThreshold: undefined,
      failureTimeout: undefined,
      antiAffinity: undefined,
      failbackAfter: undefined,
      resources: resources(directory),
    },
    runtimeDirectory: directory,
    environment: {
      QUORUMBEAT_SERVICE: ledger,
      QUORUMBEAT_LEASE_FILE: join(directory, "ledger.lease"),
    },
    printed: (_service, resource, text) => printed.push(`${resource}: ${text}`),
    emit: (event) => events.push(event),
    stoppedIntervalMin: millis(20),
  })
  const outcome = (operation: number) =>
    eventually(() => events.find((event) => "operation" in event && event.operation === operation), 10_000)
  const notes = (): readonly string[] =>
    existsSync(join(directory, "notes"))
      ? readFileSync(join(directory, "notes"), "utf8").trim().split("\n")
      : []
  return {
    runner: Object.assign(runner, { directory }),
    directory,
    events,
    printed,
    outcome,
    notes,
    note: () => readActivation(directory, ledger),
  }
}

/** From node 2 to node 1, with a body that no key opens. */
export function sealedDatagram({ counter }: { readonly counter: number }): Buffer {
  const header = encodeHeader(
    {
      kind: "sealed",
      keyId: 1,
      sender: nodeId(2),
      receiver: nodeId(1),
      senderIncarnation: incarnation(3),
      receiverIncarnation: incarnation(4),
      counter,
    },
    clusterTagOf("lab"),
  )
  return Buffer.concat([header, Buffer.alloc(60, "sealed")])
}
