/**
 * A machine's management controller: OpenIPMI's `ipmi_sim`, asked over the real protocol. Its power switch is a file with 0 or 1,
 * and a program that is run when the power goes.
 */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Child } from "./cluster/child.ts"
import { waitFor } from "./cluster/waiting.ts"

export const ipmiUser = "admin"
export const ipmiPassword = "not-in-any-log"

export class Ipmi {
  readonly port: number
  readonly #directory: string
  #child: Child | undefined

  /** `powerLost`: a line of shell, run when the power is cut. */
  constructor(directory: string, port: number, powerLost = ":") {
    this.#directory = directory
    this.port = port
    mkdirSync(directory, { recursive: true })
    writeFileSync(this.#file("power"), "1\n")
    writeFileSync(this.#file("calls"), "")
    writeFileSync(this.#file("switch.sh"), powerSwitch(directory, powerLost))
    chmodSync(this.#file("switch.sh"), 0o755)
    writeFileSync(this.#file("lan.conf"), lanConfiguration(port, this.#file("switch.sh")))
    writeFileSync(this.#file("sim.emu"), emulation)
  }

  async start(): Promise<void> {
    this.#child = new Child({
      name: "ipmi_sim",
      program: [
        ...["ipmi_sim", "-c", this.#file("lan.conf"), "-f", this.#file("sim.emu")],
        ...["-s", this.#file("state"), "-n"],
      ],
      logFile: this.#file("ipmi.log"),
    })
    await waitFor({ what: `ipmi_sim at port ${this.port}`, limit: 20_000 }, () => {
      if (this.#child?.isRunning === false)
        throw new Error(`ipmi_sim ${this.#child.fate}: ${this.#child.lastWords()}`)
      return isOpen(this.port) || undefined
    })
  }

  async kill(): Promise<void> {
    await this.#child?.kill()
  }

  get isOn(): boolean {
    return readFileSync(this.#file("power"), "utf8").trim() === "1"
  }

  powerOn(): void {
    writeFileSync(this.#file("power"), "1\n")
  }

  /** What was asked of the switch: `1732180000.5 off`, seconds since 1970. */
  get switched(): readonly { readonly at: number; readonly to: "on" | "off" }[] {
    const lines = readFileSync(this.#file("calls"), "utf8").trim().split("\n")
    return lines.filter(Boolean).map((line) => {
      const [at = "", to] = line.split(" ")
      return { at: Number(at) * 1_000, to: to === "on" ? "on" : "off" }
    })
  }

  #file(name: string): string {
    return join(this.#directory, name)
  }
}

/** A UDP socket on 127.0.0.1: there is no connection that could be tried. */
function isOpen(port: number): boolean {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`
  return readFileSync("/proc/net/udp", "utf8").includes(` ${local} `)
}

/** ipmi_lan(5), chassis_control. */
function powerSwitch(directory: string, powerLost: string): string {
  return `#!/bin/sh
cd ${directory}
case "$2 $3 $4" in
"get power "*) echo "power:$(cat power)" ;;
"get boot "*) echo boot:default ;;
"set power 0") ${powerLost}; echo "$(date +%s.%N) off" >> calls; echo 0 > power ;;
"set power 1") echo "$(date +%s.%N) on" >> calls; echo 1 > power ;;
esac
`
}

function lanConfiguration(port: number, program: string): string {
  const kinds = "none md2 md5 straight"
  const levels = ["callback", "user", "operator", "admin"].map((each) => `    allowed_auths_${each} ${kinds}`)
  return `name "bmc"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 ${port}
    priv_limit admin
${levels.join("\n")}
    guid a123456789abcdefa123456789abcdef
  endlan
  user 2 true "${ipmiUser}" "${ipmiPassword}" admin 10 ${kinds}
  chassis_control "${program} 0x20"
`
}

const emulation = `mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_enable 0x20
`
