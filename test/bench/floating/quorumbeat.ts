/** Quorumbeat itself: three agents, the address behind the gate. */
import type { ProfileName } from "../../../protocol/cluster.ts"
import { FloatingAgents } from "../../support/floating/agents.ts"
import type { System } from "./system.ts"

export function quorumbeat(
  name: string,
  title: string,
  options: {
    readonly profile: ProfileName
    readonly timings?: Readonly<Record<string, number>>
    readonly program: string
  },
): System {
  let agents: FloatingAgents | undefined
  const sure = (): FloatingAgents => {
    if (agents === undefined) throw new Error("not prepared")
    return agents
  }
  return {
    name,
    title,
    async prepare(stage) {
      agents = new FloatingAgents(stage, options)
      await agents.prepare()
    },
    startOne(_, node) {
      sure().startOne(node)
      return sure().child(node)
    },
    isWhole: () => sure().isWhole(),
  }
}
