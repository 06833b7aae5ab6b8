/**
 * The latest genuine frames of a session, so that a copy that comes over another link is known as one: same counter,
 * same seal, a link that it has not come over yet. A copy proves that its link works, and nothing is decrypted for
 * it. Whoever only knows a counter cannot make one: the seal's tag is remembered from the frame that was opened. Mutable;
 * owned by the session it belongs to.
 */
export interface RecentFrames {
  readonly counters: Float64Array
  readonly tags: Uint8Array
  /** Bits of the links that each came over. */
  readonly links: Uint8Array
}

/** Of the 16 bytes of the tag: guessing these takes 2^63 tries, each of which gains one mark on one link. */
const tagBytes = 8

/** `kept`: so many frames a slower link may lag behind the fastest; later copies are replays like any other. */
export function createRecentFrames(kept: number): RecentFrames {
  return {
    counters: new Float64Array(kept),
    tags: new Uint8Array(kept * tagBytes),
    links: new Uint8Array(kept),
  }
}

/** `bytes` is the whole datagram, just opened under its seal. */
export function rememberFrame(recent: RecentFrames, counter: number, bytes: Uint8Array, link: number): void {
  const slot = counter % recent.counters.length
  if (counter < (recent.counters[slot] ?? 0)) return
  recent.counters[slot] = counter
  recent.links[slot] = 1 << link
  for (let i = 0; i < tagBytes; i += 1)
    recent.tags[slot * tagBytes + i] = bytes[bytes.length - tagBytes + i] ?? 0
}

export function isRemembered(recent: RecentFrames, counter: number): boolean {
  return recent.counters[counter % recent.counters.length] === counter
}

/** True for the first copy of a frame over `link`: the next one is a replay. */
export function takeCopy(recent: RecentFrames, counter: number, bytes: Uint8Array, link: number): boolean {
  const slot = counter % recent.counters.length
  const links = recent.links[slot] ?? 0
  if (!isRemembered(recent, counter) || (links & (1 << link)) !== 0) return false
  for (let i = 0; i < tagBytes; i += 1) {
    if (recent.tags[slot * tagBytes + i] !== bytes[bytes.length - tagBytes + i]) return false
  }
  recent.links[slot] = links | (1 << link)
  return true
}
