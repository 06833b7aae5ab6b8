/**
 * Ordered messages: what members of a view tell each other in one total order (SPEC R12). JSON in printable ASCII
 * on the wire; a payload that does not parse is dropped and counted, by every member alike.
 */
import { err, ok, type Result } from "../../protocol/result.ts"
import type { ReportedEvent } from "../../protocol/summaries.ts"
import type { Epoch, Incarnation, Millis, NodeId, ServiceName, SiteId, Ticket } from "../../protocol/units.ts"
import type { OperatorCommand, SettingCommand } from "./events.ts"
import { asciiJson, parseShaped } from "./shaped.ts"
import type { Phase } from "./state.ts"

export type Message =
  /** A piece of a member's report, ordered while the ring is in Recovery (SPEC R10). */
  | Piece<"report">
  /** A piece of the witness's memo, told by the coordinator when it is newer than what the view knows (SPEC VL6). */
  | Piece<"memo">
  /** A piece of a proposed configuration (SPEC LC1). */
  | Piece<"configure">
  /** The proposal is stored by all and registered: it is active (SPEC LC5). */
  | { readonly kind: "activate"; readonly version: number; readonly checksum: string }
  /** This site's vote for a ticket goes to `site` (SPEC M3). `request` names the claim it answers. */
  | {
      readonly kind: "pledge"
      readonly ticket: Ticket
      readonly site: SiteId
      readonly number: number
      readonly epoch: Epoch
      readonly request: { readonly node: NodeId; readonly id: number }
    }
  /** The holder gave its mandate up: the vote pledged to it is free again. */
  | {
      readonly kind: "unpledge"
      readonly next: SiteId | undefined
      readonly ticket: Ticket
      readonly site: SiteId
      readonly epoch: Epoch
      readonly stopped: boolean
    }
  /** `node` runs the service; its activation epoch is (mandate, voice, ring sequence, this message's seq). */
  | {
      readonly kind: "assign"
      readonly service: ServiceName
      readonly node: NodeId
      readonly incarnation: Incarnation
      readonly mandate: Epoch
      readonly voice: Epoch
    }
  | { readonly kind: "revoke"; readonly service: ServiceName; readonly epoch: string }
  /** The origin's own word on a service it may run; `stopped` with an epoch is the proof `released`. */
  | {
      readonly kind: "phase"
      readonly service: ServiceName
      readonly phase: Phase
      readonly epoch: string | undefined
      readonly failed: boolean
      readonly reason: string
      /** What a monitor found failed. Version 1 does not say. */
      readonly resource?: string | undefined
    }
  | {
      readonly kind: "command"
      readonly number: number
      readonly incarnation: number
      readonly command: OperatorCommand
    }
  /** The same, for what agents of version 1 do not know (SPEC N6). */
  | {
      readonly kind: "setting"
      readonly number: number
      readonly incarnation: number
      readonly command: SettingCommand
    }
  /** So many failures on a node are long ago (SPEC S10). Not for version 1 (SPEC N6). */
  | {
      readonly kind: "forget"
      readonly service: ServiceName
      readonly node: NodeId
      readonly count: number
    }
  /** The coordinator of a view that needs the witness: it was granted; from here on the view's messages count. */
  | { readonly kind: "voice"; readonly epoch: Epoch }
  /** The coordinator of a view that needs the witness: the memo has this command now; it may be acknowledged. */
  | { readonly kind: "recorded"; readonly node: NodeId; readonly number: number }
  /** The witness object that the origin believes, told at its first contact: nobody has to find it out again. */
  | { readonly kind: "pin"; readonly witness: string }
  /** An operator accepted another object: believed by all members, claimed from only after `wait` (SPEC W6). */
  | { readonly kind: "accept"; readonly witness: string; readonly wait: Millis }
  /** Something for people that happened on the origin; changes nothing (SPEC LN10). */
  | { readonly kind: "event"; readonly event: ReportedEvent }
  /** The origin is about to leave and wants its services moved. */
  | { readonly kind: "departing" }
  /** The origin runs nothing, exercises nothing on this ring any more, and leaves now. */
  | { readonly kind: "departed" }
  /** From now on `node` coordinates the view (its predecessor lost its way to the witness). */
  | { readonly kind: "coordinator"; readonly node: NodeId }

type PieceKind = "report" | "memo" | "configure"

export interface Piece<Kind extends PieceKind> {
  readonly kind: Kind
  readonly part: number
  readonly parts: number
  readonly text: string
}

/** Characters of one piece: with its prefix it stays within `frameLimits.payloadBytes`. */
const pieceChars = 680

/** Cuts a long printable ASCII text into ordered messages. */
export function piecesOf<Kind extends PieceKind>(kind: Kind, text: string): readonly Piece<Kind>[] {
  const parts = Math.max(1, Math.ceil(text.length / pieceChars))
  return Array.from({ length: parts }, (_, part) => {
    return { kind, part, parts, text: text.slice(part * pieceChars, (part + 1) * pieceChars) }
  })
}

/** What is known of a text in pieces with one more of them, and the whole once it is complete. Other pieces than of so many are of another text. */
export function withPiece(
  known: readonly (string | undefined)[],
  { part, parts, text }: { readonly part: number; readonly parts: number; readonly text: string },
): { readonly pieces: readonly (string | undefined)[]; readonly whole: string | undefined } {
  const pieces = Array.from({ length: parts }, (_, index) =>
    known.length === parts ? known[index] : undefined,
  )
  pieces[part] = text
  return { pieces, whole: pieces.every((each) => each !== undefined) ? pieces.join("") : undefined }
}

/** Upper bound on pieces: a report of 20 KB is more than any cluster within the bounds needs. */
export const piecesMax = 32

const kinds: Readonly<
  Record<
    Exclude<Message["kind"], PieceKind>,
    Readonly<Record<string, "string" | "number" | "boolean" | "object">>
  >
> = {
  pledge: { ticket: "string", site: "string", number: "number", epoch: "number", request: "object" },
  unpledge: { ticket: "string", site: "string", epoch: "number", stopped: "boolean" },
  assign: { service: "string", node: "number", incarnation: "number", mandate: "number", voice: "number" },
  revoke: { service: "string", epoch: "string" },
  phase: { service: "string", phase: "string", failed: "boolean", reason: "string" },
  command: { number: "number", incarnation: "number", command: "object" },
  forget: { service: "string", node: "number", count: "number" },
  setting: { number: "number", incarnation: "number", command: "object" },
  voice: { epoch: "number" },
  recorded: { node: "number", number: "number" },
  activate: { version: "number", checksum: "string" },
  pin: { witness: "string" },
  accept: { witness: "string", wait: "number" },
  event: { event: "object" },
  departing: {},
  departed: {},
  coordinator: { node: "number" },
}

export function encodeMessage(message: Message): string {
  if (message.kind === "report" || message.kind === "memo" || message.kind === "configure") {
    return `${message.kind} ${message.part} ${message.parts} ${message.text}`
  }
  return asciiJson(message)
}

/** Members are not Byzantine and run one configuration, so the shape is checked, not every value. */
export function parseMessage(
  payload: string,
): Result<Message, { readonly kind: "malformed"; readonly detail: string }> {
  const piece = /^(report|memo|configure) (\d{1,2}) (\d{1,2}) /.exec(payload)
  if (piece !== null) return parsePiece(payload, piece)
  const parsed = parseShaped(payload, kinds)
  return parsed.kind === "error" ? malformed(parsed.error) : ok(parsed.value as Message)
}

function parsePiece(payload: string, match: RegExpExecArray): ReturnType<typeof parseMessage> {
  const [prefix, kind, partText, partsText] = match
  const [part, parts] = [Number(partText), Number(partsText)]
  if (parts < 1 || parts > piecesMax || part >= parts) return malformed("no such piece")
  const text = payload.slice(prefix.length)
  return ok({ kind: kind === "memo" || kind === "configure" ? kind : "report", part, parts, text })
}

function malformed(detail: string) {
  return err({ kind: "malformed" as const, detail })
}
