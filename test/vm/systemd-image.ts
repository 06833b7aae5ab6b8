/** What the virtual machine needs to have systemd, of this machine's Debian package, as its first program. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"

export const systemdPrograms = {
  "usr/lib/systemd/systemd": "/lib/systemd/systemd",
  "usr/bin/systemctl": "/usr/bin/systemctl",
}

/** Nothing of the distribution's units is there: each says all that it needs. */
const units = {
  "scenario.service": `[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/app/guest-systemd.sh
`,
  "scenario.target": `[Unit]
DefaultDependencies=no
Wants=scenario.service
`,
  "unit.service": `[Unit]
DefaultDependencies=no
[Service]
EnvironmentFile=/run/quorumbeat/unit.env
ExecStart=/bin/sh -c 'echo "$$QUORUMBEAT_EPOCH" >/run/unit-epoch; exec sleep 100000'
ExecStopPost=/bin/rm -f /run/unit-epoch
`,
  // Stopped, it leaves a process behind.
  "left.service": `[Unit]
DefaultDependencies=no
[Service]
KillMode=process
ExecStart=/bin/sh -c 'sleep 100000 & exec sleep 99999'
`,
}

export function installSystemd(folder: string): void {
  const own = join(folder, "etc/systemd/system")
  mkdirSync(own, { recursive: true })
  for (const [name, text] of Object.entries(units)) writeFileSync(join(own, name), text)
  symlinkSync("scenario.target", join(own, "default.target"))
  writeFileSync(join(folder, "etc/machine-id"), `${"0123456789abcdef".repeat(2)}\n`)
}

/** In place of the service that only the watchdog ends. */
export const systemdServices = ["unit", "left"]
  .map(
    (name) => `
[[service]]
name = "${name}"

[[service.resource]]
kind = "systemd"
name = "${name}"
unit = "${name}.service"
monitor_interval_ms = 1000
`,
  )
  .join("")
