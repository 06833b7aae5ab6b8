/** Chance as an argument: a small seeded generator (mulberry32) kept in the node's state. Not for keys or nonces. */

export interface Random {
  state: number
}

export function createRandom(seed: number): Random {
  return { state: seed >>> 0 }
}

/** Uniform in [0, 1). Advances the generator. */
export function draw(random: Random): number {
  random.state = (random.state + 0x6d2b79f5) >>> 0
  let mixed = random.state
  mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
}
