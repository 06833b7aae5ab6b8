/** `--stay`: leaves the cluster running and says how to look around. */
import type { Cluster } from "../support/cluster/cluster.ts"
import type { Workplace } from "../support/cluster/workplace.ts"

/** Prints the commands and waits for ever: Ctrl-C ends this process, and with it everything it has started. */
export function stay({ layout, agents }: Cluster, { program, directory }: Workplace): Promise<never> {
  const quorumbeat = `${process.execPath} ${program}`
  const status = agents.map(({ node }) => `  ${quorumbeat} status --runtime-dir ${node.runtimeDirectory}`)
  const [first] = agents
  const [, second] = layout.sites
  const lines = [
    "",
    "Everything is still running. Look around from another terminal:",
    "",
    ...status,
    `  ${quorumbeat} status --watch --runtime-dir ${first?.node.runtimeDirectory}`,
    "",
    "Move the service to a neighbour, or to the other site:",
    "",
    `  ${quorumbeat} service move ledger n2 --runtime-dir ${first?.node.runtimeDirectory}`,
    `  ${quorumbeat} ticket move main ${second?.name} --runtime-dir ${first?.node.runtimeDirectory}`,
    "",
    "What the service writes, what the agents log, the witness as its operator sees it:",
    "",
    `  tail -f ${layout.ledgerFile}`,
    `  tail -f ${agents.map(({ node }) => node.logFile).join(" ")}`,
    `  curl -H "authorization: Bearer $(cat ${layout.credentialFile})" ${layout.witnessUrl}/v1/clusters/${layout.name}`,
    "",
    "Kill something (the real-time process of each node):",
    "",
    ...agents.map(({ name, pid }) => `  kill -9 ${pid}   # ${name}`),
    "",
    `Everything is in ${directory}. Ctrl-C ends it all.`,
    "",
  ]
  process.stdout.write(`${lines.join("\n")}\n`)
  // A timer keeps this process alive, a promise alone would not.
  return new Promise(() => setInterval(() => undefined, 60_000))
}
