/** What the parts of a world have of it: its time, chance, and the way to its nodes. */
import type { NodeEvent } from "../core/events.ts"
import type { Host } from "./machine.ts"

export interface Surroundings {
  /** True time in ms. */
  now(): number
  /** Calls `run` after `delay` ms of true time. */
  at(delay: number, run: () => void): void
  /** The same, unless the agent's process has ended by then. */
  after(host: Host, delay: number, run: () => void): void
  tell(host: Host, event: NodeEvent): void
  /** A delay as chance has it. */
  varied(delay: number): number
}
