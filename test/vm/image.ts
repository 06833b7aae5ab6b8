/**
 * What the virtual machine boots: a Debian kernel, unpacked and not installed, and everything else in one archive that
 * stays in memory: busybox, Node, the built agent with its one native package, and a cluster of one node.
 */
import { execFileSync } from "node:child_process"
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { homedir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { timeoutSeconds } from "./scenarios.ts"
import { installSystemd, systemdPrograms, systemdServices } from "./systemd-image.ts"

export interface Image {
  readonly kernel: string
  readonly archive: string
}

const root = resolve(import.meta.dirname, "../..")
/** The kernel is fetched once. */
const cache = join(homedir(), ".cache/quorumbeat-vm")
/** The flavour for clouds lacks the driver of the emulated hardware. */
const kernelPackage = "linux-image-amd64"
const drivers = ["watchdog", "i6300esb", "softdog"]
const koffi = ["koffi", "@koromix/koffi-linux-x64"]

/** What is missing on this machine; empty: a virtual machine can be run. */
export function missingTools(): readonly string[] {
  const needed = {
    "qemu-system-x86_64": "qemu-system-x86",
    cpio: "cpio",
    busybox: "busybox-static",
    "dpkg-deb": "dpkg",
    systemctl: "systemd",
  }
  const missing = Object.entries(needed).filter(([program]) => !onPath(program))
  return missing.map(([, name]) => name)
}

function onPath(program: string): boolean {
  return (process.env.PATH ?? "").split(":").some((folder) => existsSync(join(folder, program)))
}

/** Of the bundle `program`, into `workplace`. Takes some seconds, and a download the first time. */
export function makeImage(program: string, workplace: string): Image {
  const kernelRoot = unpackedKernel()
  const [version = ""] = readdirSync(join(kernelRoot, "lib/modules"))
  const folder = join(workplace, "root")
  for (const name of ["bin", "usr/bin", "app", "modules"]) mkdirSync(join(folder, name), { recursive: true })
  installProgram(folder, "bin/busybox", which("busybox"))
  installProgram(folder, "usr/bin/node", process.execPath)
  installProgram(folder, "usr/bin/flock", which("flock"))
  for (const driver of drivers) {
    const file = `${driver}.ko`
    copyFileSync(
      join(kernelRoot, "lib/modules", version, "kernel/drivers/watchdog", file),
      join(folder, "modules", file),
    )
  }
  installProgram(folder, "init", join(import.meta.dirname, "guest-init.sh"))
  installProgram(folder, "app/job.sh", join(import.meta.dirname, "job.sh"))
  for (const name of ["quorumbeat.js", "agent.js"])
    copyFileSync(join(dirname(program), name), join(folder, "app", name))
  for (const name of koffi) {
    cpSync(join(root, "node_modules", name), join(folder, "app/node_modules", name), {
      recursive: true,
      filter: (path) => !/\/(doc|vendor|abi|musl_x64)(\/|$)|\.(cc|hh|inc|S|asm|md)$/.test(path),
    })
  }
  writeFileSync(join(folder, "app/block.cjs"), blocker)
  for (const [to, from] of Object.entries(systemdPrograms)) installProgram(folder, to, from)
  installProgram(folder, "app/guest-systemd.sh", join(import.meta.dirname, "guest-systemd.sh"))
  installSystemd(folder)
  configure(join(folder, "app"), program)
  const archive = join(workplace, "initrd.cpio")
  execFileSync("sh", ["-c", `find . | cpio -o -H newc --quiet > ${archive}`], { cwd: folder })
  return { kernel: join(kernelRoot, "boot", `vmlinuz-${version}`), archive }
}

/** Preloaded into the agent: at this signal its loop stands still for good, as after a bug. */
const blocker = `process.on("SIGUSR2", () => { for (;;); })\n`

function unpackedKernel(): string {
  const unpacked = join(cache, "kernel")
  if (existsSync(join(unpacked, "boot"))) return unpacked
  mkdirSync(cache, { recursive: true })
  let name = kernelName()
  if (name === undefined) {
    execFileSync("apt-get", ["update", "-qq"], { stdio: ["ignore", "ignore", "inherit"] })
    name = kernelName()
  }
  if (name === undefined) throw new Error(`no package ${kernelPackage} to be had`)
  execFileSync("apt-get", ["download", "-qq", name], { cwd: cache, stdio: ["ignore", "ignore", "inherit"] })
  const file = readdirSync(cache).find((each) => each.startsWith(name) && each.endsWith(".deb"))
  if (file === undefined) throw new Error(`${name} was not downloaded`)
  const partial = join(cache, "kernel.new")
  rmSync(partial, { recursive: true, force: true })
  execFileSync("dpkg-deb", ["-x", join(cache, file), partial])
  execFileSync("mv", [partial, unpacked])
  rmSync(join(cache, file))
  return unpacked
}

/** The package that the newest kernel is in; `undefined`: apt does not know, or not yet. */
function kernelName(): string | undefined {
  try {
    const depends = execFileSync("apt-cache", ["depends", kernelPackage], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    })
    return /Depends: (linux-image-\S+)/.exec(depends)?.[1]
  } catch {
    // It knows no such package.
    return undefined
  }
}

/** A program with the shared libraries that it was linked with. */
function installProgram(folder: string, to: string, from: string): void {
  const target = join(folder, to)
  mkdirSync(dirname(target), { recursive: true })
  copyFileSync(realpathSync(from), target)
  chmodSync(target, 0o755)
  for (const library of librariesOf(from)) {
    const path = join(folder, library)
    if (existsSync(path)) continue
    mkdirSync(dirname(path), { recursive: true })
    copyFileSync(realpathSync(library), path)
  }
}

function librariesOf(program: string): readonly string[] {
  try {
    const output = execFileSync("ldd", [program], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
    return [...output.matchAll(/(\/\S+)/g)].flatMap(([, path]) => path ?? [])
  } catch {
    // A script, or linked statically.
    return []
  }
}

function which(program: string): string {
  return execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim()
}

const watchedJob = `
[[service]]
name = "job"
proof = "watchdog"

[[service.resource]]
kind = "command"
name = "job"
start = ["/app/job.sh", "start"]
stop = ["/app/job.sh", "stop"]
monitor = ["/app/job.sh", "monitor"]
`

/** One node, one service that nothing but the watchdog ends; or two that are units of systemd. */
function configure(folder: string, program: string): void {
  const file = (name: string) => join(folder, name)
  const keys = ["--key", file("node.key"), "--ring-key", file("ring.key"), "--state-dir", file("state")]
  const run = (config: string) =>
    execFileSync(
      process.execPath,
      [program, "init", "--config", config, "--node", "a1", "--new-ring-key", ...keys],
      { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] },
    )
  const publicKey = publicKeyOf(() => run(file("example.toml")))
  const cluster = (node: string): string => `
cluster = "vm"
profile = "relaxed"
version = 1

[[site]]
name = "here"

[[node]]
id = 1
name = "a1"
site = "here"
links = ["127.0.0.1"]
public_key = "${publicKey}"
${node}
`
  const watchdog = `watchdog = { timeout_s = ${timeoutSeconds}, device = "/dev/watchdog0" }`
  writeFileSync(file("cluster.toml"), `${cluster(watchdog)}${watchedJob}`)
  writeFileSync(file("cluster-systemd.toml"), `${cluster("")}${systemdServices}`)
  run(file("cluster.toml"))
}

/** `init` prints it, and ends with status 1 because the configuration is still to be written. */
function publicKeyOf(run: () => string): string {
  let output = ""
  try {
    output = run()
  } catch (cause) {
    if (!(cause instanceof Error && "stdout" in cause)) throw cause
    output = String(cause.stdout)
  }
  const key = /[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]/.exec(output)?.[0]
  if (key === undefined) throw new Error(`no public key in: ${output}`)
  return key
}
