/** Where things are unless an option says otherwise. */
export const defaultPaths = {
  config: "/etc/quorumbeat/cluster.toml",
  nodeKey: "/etc/quorumbeat/node.key",
  ringKey: "/etc/quorumbeat/ring.key",
  alerts: "/etc/quorumbeat/alerts.toml",
  state: "/var/lib/quorumbeat",
  runtime: "/run/quorumbeat",
} as const
