/** What may go wrong in a world, and how often beside the rest: tables of weights, each with all of the one before it. */

/** Processes, cuts, an unreliable network, the witness there or not, commands, services. */
export const basicFaults = [
  [12, "kill"],
  [3, "kill-site"],
  [4, "restart"],
  [12, "start"],
  [6, "start-all"],
  [2, "amnesia"],
  [2, "leave"],
  [10, "freeze"],
  [4, "cut-sites"],
  [5, "cut-witness"],
  [6, "cut-one-way"],
  [5, "cut-nodes"],
  [3, "isolate"],
  [12, "heal"],
  [4, "witness"],
  [2, "witness-restart"],
  [2, "witness-rollback"],
  [5, "loss"],
  [5, "command"],
  [4, "move"],
  [3, "die"],
  [4, "control"],
  [3, "service-fails"],
] as const

/** Those, and clocks, disks, links, frames and everything that can happen to a post. */
export const harshFaults = [
  ...basicFaults,
  [4, "suspend"],
  [2, "guest-freeze"],
  [6, "stall"],
  [2, "disk-full"],
  [2, "wall-step"],
  [4, "link-down"],
  [4, "flap"],
  [3, "partial-mesh"],
  [3, "frames"],
  [4, "witness-slow"],
  [4, "posts"],
  [2, "witness-twin"],
  [1, "witness-replaced"],
  [2, "witness-clock"],
  [3, "power-off"],
  [3, "ticket-move"],
  [2, "mode"],
  [2, "service-hangs"],
] as const

/** Those, and the configuration changes, and parts of the cluster take the witness from each other. */
export const changingFaults = [...harshFaults, [6, "configure"], [3, "witness-flap"]] as const

/** Those, and nodes lose their gates. */
export const allFaults = [...changingFaults, [2, "gate"]] as const

export type FaultKind = (typeof allFaults)[number][1]

export type FaultTable = readonly (readonly [weight: number, kind: FaultKind])[]
