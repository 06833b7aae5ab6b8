/**
 * What sites say to each other directly (SPEC M8): heartbeats, requests for a pledge and their answers, releases. JSON
 * in printable ASCII inside sealed frames; the coordinator of a site speaks to every node of the others.
 */
import { frameLimits } from "../../protocol/frame.ts"
import { ok, type Result } from "../../protocol/result.ts"
import type { Epoch, Millis, NodeId, SiteId, Ticket } from "../../protocol/units.ts"
import { asciiJson, parseShaped, type Shapes } from "./shaped.ts"
import { log, send, type Turn } from "./turn.ts"

export type SiteMessage =
  | {
      readonly kind: "heartbeat"
      readonly site: SiteId
      readonly checksum: string
      /** Of the configuration; version 1 of the protocol does not say. */
      readonly version?: number
      readonly confirmed?: boolean
      /** Members of the site's view. */
      readonly members: readonly NodeId[]
      readonly tickets: readonly { readonly ticket: Ticket; readonly epoch: Epoch; readonly held: boolean }[]
      /** Active services: position in the configuration, mandate epoch. Not said by older versions; for people (SPEC S22). */
      readonly active?: readonly (readonly [number, number])[]
      /** Tickets for which its vote is bound: position in the configuration, position of the site it is bound to, for how long yet. Not said by older versions. */
      readonly bound?: readonly (readonly [number, number, Millis])[]
    }
  | {
      readonly kind: "pledge-request"
      readonly id: number
      readonly ticket: Ticket
      readonly site: SiteId
      readonly epoch: Epoch
      /** Checksum of the configuration, once a ring has ordered it: a vote is given under the same one only (SPEC LC6). */
      readonly configuration?: string | undefined
      /** Checksum of one that only a file says; it counts where the voter's was changed live. Not said by older versions. */
      readonly file?: string | undefined
    }
  | {
      readonly kind: "pledge-answer"
      readonly id: number
      readonly ticket: Ticket
      readonly granted: boolean
      readonly epoch: Epoch
      /** The highest epoch the voter has voted for. */
      readonly known: Epoch
      readonly reason: string
    }
  /** The site gave its mandate up at `epoch`, all owners stopped or not, and would have `next` take it. */
  | {
      readonly kind: "mandate-released"
      readonly site: SiteId
      readonly ticket: Ticket
      readonly epoch: Epoch
      readonly stopped: boolean
      readonly next: SiteId | null
    }
  /** A piece of a configuration that the receiver does not have (SPEC LC6); between nodes of one site as well. */
  | {
      readonly kind: "configuration"
      readonly part: number
      readonly parts: number
      readonly text: string
      /** Checksum of the whole, as in marks: pieces of two are not put together. Not said by older versions. */
      readonly of?: string | undefined
    }

const shapes: Readonly<Record<SiteMessage["kind"], Shapes[string]>> = {
  heartbeat: { site: "string", checksum: "string", members: "object", tickets: "object" },
  configuration: { part: "number", parts: "number", text: "string" },
  "pledge-request": { id: "number", ticket: "string", site: "string", epoch: "number" },
  "pledge-answer": {
    id: "number",
    ticket: "string",
    granted: "boolean",
    epoch: "number",
    known: "number",
    reason: "string",
  },
  "mandate-released": { site: "string", ticket: "string", epoch: "number", stopped: "boolean" },
}

export function sendSiteMessage(turn: Turn, to: NodeId, message: SiteMessage): void {
  const text = asciiJson(message)
  if (text.length > frameLimits.textBytes) {
    log(turn, "error", "site-message-too-long", { kind: message.kind, bytes: text.length })
    return
  }
  send(turn, to, { kind: "site", text })
}

/** With bound votes and as many of the active services as the frame has room for: the rest of a heartbeat must not be lost for them. */
export function heartbeatWith(
  heartbeat: SiteMessage & { readonly kind: "heartbeat" },
  active: readonly (readonly [number, number])[],
): SiteMessage {
  const { bound: _, ...short } = heartbeat
  const fits = (message: SiteMessage): boolean => asciiJson(message).length <= frameLimits.textBytes
  const base = fits(heartbeat) ? heartbeat : short
  for (let count = active.length; count > 0; count -= 1) {
    const whole = { ...base, active: active.slice(0, count) }
    if (fits(whole)) return whole
  }
  return base
}

export function sendToOtherSites(turn: Turn, message: SiteMessage): void {
  for (const peer of turn.node.peers.values()) {
    if (!peer.sameSite) sendSiteMessage(turn, peer.node.id, message)
  }
}

export function parseSiteMessage(text: string): Result<SiteMessage, string> {
  const parsed = parseShaped(text, shapes)
  return parsed.kind === "error" ? parsed : ok(parsed.value as SiteMessage)
}
