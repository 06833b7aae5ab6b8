/** The cluster.toml that `quorumbeat init` writes where there is none: one site of three, to be edited. */

/** `publicKey`: of the node that is being set up, so that one of the three is right at once. */
export function exampleConfig(node: string, publicKey: string): string {
  return `# Quorumbeat cluster configuration: the same file on every node.
# Check it with \`quorumbeat config check\`; every key has a default where one makes sense.

cluster = "example"
# Raise it by one with each change.
version = 1
# industrial: elsewhere in under 500 ms. energy: 250 ms, needs SCHED_FIFO. relaxed: 2.5 s.
profile = "industrial"

[[site]]
name = "a"

# An odd number of nodes needs no witness. Each node makes its own key with \`quorumbeat init\` or \`quorumbeat keygen\`.
[[node]]
id = 1
name = "${node}"
site = "a"
# One address a ring link; two links on two networks are better than one.
links = ["10.0.0.1"]
public_key = "${publicKey}"

[[node]]
id = 2
name = "a2"
site = "a"
links = ["10.0.0.2"]
public_key = "replace with the public key of a2"

[[node]]
id = 3
name = "a3"
site = "a"
links = ["10.0.0.3"]
public_key = "replace with the public key of a3"

# Two sites: add [[site]] and nodes, \`wan = "address"\` to each node, and a witness:
# [witness]
# url = "https://quorumbeat-witness.example.workers.dev"
# public_key = "printed by quorumbeat keygen --witness"

# A service: what must run on one node at most. These programs get QUORUMBEAT_LEASE_FILE, QUORUMBEAT_EPOCH and more.
# [[service]]
# name = "ledger"
# nodes = ["${node}", "a2"]
# proof = "operator"
#
# [[service.resource]]
# kind = "command"
# name = "daemon"
# start = ["/usr/bin/systemctl", "start", "ledger"]
# stop = ["/usr/bin/systemctl", "stop", "ledger"]
# monitor = ["/usr/local/bin/ledger-check"]
`
}
