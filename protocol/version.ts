/**
 * Versions of what nodes say to each other (SPEC N). Neighbouring versions work in one ring, so that agents can be
 * upgraded one after the other: a hello tells the range its sender speaks, two nodes use the highest that both do, and what
 * all members of a ring must understand keeps to the lowest among them.
 *
 *   1  the first one; its hello says nothing of versions
 *   2  links are probed, members' events are relayed (SPEC LN); nodes tell where they stand (SPEC R5, R6); joins name the configuration (SPEC LC); reports like the representative's (SPEC R10); live configuration changes
 */
export interface VersionRange {
  readonly min: number
  readonly max: number
}

export const protocolVersions: VersionRange = { min: 1, max: 2 }

/** A hello without a range. */
export const silentRange: VersionRange = { min: 1, max: 1 }

/** The highest version that both speak; undefined: there is none. */
export function commonVersion(a: VersionRange, b: VersionRange): number | undefined {
  const version = Math.min(a.max, b.max)
  return version >= Math.max(a.min, b.min) ? version : undefined
}
