/**
 * Pacemaker and Corosync as Debian packages them, with IPaddr2 and without STONITH (there is none here). Each node has
 * its own /etc/corosync, /var/lib, /run, /dev/shm and host name in a mount and UTS namespace.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Stage } from "../../support/floating/stage.ts"
import type { System } from "./system.ts"

export interface PacemakerSettings {
  /** Lines of corosync.conf's `totem` and of its `interface`. */
  readonly totem: string
  readonly link: string
  readonly monitorSeconds: number
}

export function pacemaker(name: string, title: string, settings: PacemakerSettings): System {
  const folder = (stage: Stage, node: string): string => join(stage.directory, `pacemaker-${node}`)
  /** In the node's namespaces; `enter` keeps them for later commands. */
  const inside = (stage: Stage, node: string, command: string): readonly string[] => [
    "nsenter",
    `--net=/run/netns/${stage.network.name(node)}`,
    `--mount=${folder(stage, node)}/mount`,
    `--uts=${folder(stage, node)}/uts`,
    "sh",
    "-c",
    command,
  ]
  return {
    name,
    title,
    async prepare(stage) {
      for (const node of stage.nodes) {
        const own = folder(stage, node)
        mkdirSync(join(own, "corosync"), { recursive: true })
        writeFileSync(join(own, "corosync/corosync.conf"), corosyncConf(stage, settings))
        writeFileSync(join(own, "setup.sh"), setup(own, node), { mode: 0o755 })
        // From outside of `ip netns exec`, whose own mount namespace would end with it and does not see those of others.
        run(`touch ${own}/mount ${own}/uts; mount --bind ${own} ${own}; mount --make-private ${own}`)
        const network = `--net=/run/netns/${stage.network.name(node)}`
        run(`nsenter ${network} unshare --mount=${own}/mount --uts=${own}/uts ${own}/setup.sh`)
        stage.atClose(() => run(`umount --recursive --lazy ${own}`))
      }
    },
    startOne(stage, node) {
      // Pacemaker ends with Corosync, and comes again with it.
      const start = "rm -rf /run/* /dev/shm/*; mkdir -p /run/lock; corosync -f & sleep 1; exec pacemakerd -f"
      return stage.spawnInside(node, "pacemaker", inside(stage, node, start))
    },
    async configure(stage) {
      const [first = ""] = stage.nodes
      const ask = (command: string): boolean => output(inside(stage, first, command)) !== undefined
      await until(120_000, () => ask("cibadmin --query >/dev/null && crmadmin --dc_lookup >/dev/null"))
      const option = (key: string, value: string): string =>
        `crm_attribute --type crm_config --name ${key} --update ${value}`
      const primitive =
        `<primitive id="address" class="ocf" provider="heartbeat" type="IPaddr2">` +
        `<instance_attributes id="a"><nvpair id="a-ip" name="ip" value="${stage.floating.ipv4}"/>` +
        `<nvpair id="a-mask" name="cidr_netmask" value="24"/><nvpair id="a-nic" name="nic" value="eth0"/></instance_attributes>` +
        `<operations><op id="m" name="monitor" interval="${settings.monitorSeconds}s"/></operations></primitive>`
      for (const command of [
        option("stonith-enabled", "false"),
        "crm_attribute --type rsc_defaults --name resource-stickiness --update 100",
        `cibadmin --create --scope resources --xml-text '${primitive}'`,
      ])
        await until(30_000, () => ask(command))
    },
    async isWhole(stage) {
      return stage.nodes.every((node) => {
        const command = "crm_mon --one-shot --output-as text 2>/dev/null"
        const printed = output(inside(stage, node, command)) ?? ""
        const online = /Online: \[ (.*) \]/.exec(printed)?.[1]?.split(" ") ?? []
        return stage.nodes.every((each) => online.includes(each))
      })
    },
  }
}

function corosyncConf(stage: Stage, { totem, link }: PacemakerSettings): string {
  const nodes = stage.nodes.map(
    (node, index) =>
      `  node {\n    ring0_addr: ${stage.addressOf(node)}\n    name: ${node}\n    nodeid: ${index + 1}\n  }\n`,
  )
  return `totem {
  version: 2
  cluster_name: bench
  transport: knet
${totem}${link === "" ? "" : `  interface {\n    linknumber: 0\n${link}  }\n`}}
nodelist {
${nodes.join("")}}
quorum {
  provider: corosync_votequorum
}
logging {
  to_stderr: yes
  to_logfile: no
  to_syslog: no
}
`
}

function setup(own: string, node: string): string {
  const places = ["/run", "/dev/shm", "/var/lib/corosync", "/var/lib/pacemaker", "/var/log"]
  return `#!/bin/sh
set -e
hostname ${node}
mount --bind ${own}/corosync /etc/corosync
${places.map((place) => `mount -t tmpfs tmpfs ${place}`).join("\n")}
mkdir -p /var/log/corosync /var/log/pacemaker /var/lib/pacemaker/cib /var/lib/pacemaker/pengine /var/lib/pacemaker/blackbox /var/lib/pacemaker/cores /run/lock
chown -R hacluster:haclient /var/lib/pacemaker /var/log/pacemaker
chmod 1777 /dev/shm
`
}

function run(command: string): void {
  execFileSync("sh", ["-ec", command])
}

/** `undefined`: it failed. */
function output([program = "", ...parameters]: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync(program, parameters, { encoding: "utf8", timeout: 20_000 })
  return status === 0 ? stdout : undefined
}

async function until(limit: number, look: () => boolean): Promise<void> {
  for (const from = Date.now(); !look(); await new Promise((resolve) => setTimeout(resolve, 500)))
    if (Date.now() - from > limit) throw new Error("pacemaker does not answer")
}
