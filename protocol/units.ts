/**
 * Units and identities. Brands are made here and in parsers only; arithmetic on brands goes through the named
 * functions below, because a brand does not survive `+` and the compiler would let two different brands be compared.
 */

declare const brand: unique symbol
type Branded<T, Name extends string> = T & { readonly [brand]: Name }

/** A length of time in milliseconds; fractions are meaningful. */
export type Millis = Branded<number, "Millis">
/** A reading of ONE node's monotonic clock, in milliseconds. Readings of two nodes are never compared. */
export type Instant = Branded<number, "Instant">
/** Milliseconds since the Unix epoch. For people and alerts only: no decision about a right rests on it. */
export type WallTime = Branded<number, "WallTime">
/** One agent identity for all time: 1..65535, as `nodeid` in other cluster managers. Never an address, never reused. */
export type NodeId = Branded<number, "NodeId">
/** A failure domain holding nodes. */
export type SiteId = Branded<string, "SiteId">
/** What a mandate is for; the default ticket is `main`. */
export type Ticket = Branded<string, "Ticket">
export type ServiceName = Branded<string, "ServiceName">
/** How many times a node has started: tells a restarted node from its former self. Rises by at least one a start. */
export type Incarnation = Branded<number, "Incarnation">
/** Counts grants of one lease; rises by one or more with each grant and never falls. 0 = never granted. */
export type Epoch = Branded<number, "Epoch">

export const millis = (value: number): Millis => value as Millis
export const instant = (value: number): Instant => value as Instant
export const wallTime = (value: number): WallTime => value as WallTime
export const nodeId = (value: number): NodeId => value as NodeId
export const siteId = (value: string): SiteId => value as SiteId
export const ticketName = (value: string): Ticket => value as Ticket
export const serviceName = (value: string): ServiceName => value as ServiceName
export const incarnation = (value: number): Incarnation => value as Incarnation
export const epoch = (value: number): Epoch => value as Epoch

/** The instant `wait` after `start`. */
export function after(start: Instant, wait: Millis): Instant {
  return instant(start + wait)
}

/** How long from `from` to `to`; negative if `to` is earlier. */
export function elapsed(from: Instant, to: Instant): Millis {
  return millis(to - from)
}

/** The earlier of two instants; `undefined` does not count. */
export function earlier(a: Instant | undefined, b: Instant | undefined): Instant | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return a < b ? a : b
}

/** The earliest of several instants; `undefined` entries do not count. */
export function earliest(...instants: readonly (Instant | undefined)[]): Instant | undefined {
  let first: Instant | undefined
  for (const each of instants) {
    if (each !== undefined && (first === undefined || each < first)) first = each
  }
  return first
}

/** The latest of two instants, where `undefined` means "no right": absent beats nothing. */
export function latest(a: Instant | undefined, b: Instant | undefined): Instant | undefined {
  if (a === undefined) return b
  if (b === undefined) return a
  return a > b ? a : b
}

/** `D' = D * (1 + rho) / (1 - rho)`: what others wait where the holder counts `D` (SPEC Q1). `rho` is a fraction. */
export function stretched(duration: Millis, rho: number): Millis {
  return millis((duration * (1 + rho)) / (1 - rho))
}

/** Names one ring: a representative, its incarnation, and a sequence that only rises, across restarts too. */
export interface RingId {
  readonly sequence: number
  readonly representative: NodeId
  readonly incarnation: Incarnation
}

export function sameRing(a: RingId, b: RingId): boolean {
  return a.sequence === b.sequence && a.representative === b.representative && a.incarnation === b.incarnation
}

/** A printable key for maps: `sequence.representative.incarnation`. */
export function ringKey(ring: RingId): string {
  return `${ring.sequence}.${ring.representative}.${ring.incarnation}`
}
