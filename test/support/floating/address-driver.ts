/**
 * A floating address with no cluster behind it, for tests: `start`, `stop` and `monitor` by lines of standard input, one line
 * of answer each. Started with the address, the prefix and, if one is configured, the device.
 */
import { createInterface } from "node:readline"
import { monotonicNow } from "../../../node-agent/host/clock.ts"
import { IpResource } from "../../../node-agent/host/control/resources/ip.ts"
import { after, millis, serviceName } from "../../../protocol/units.ts"

const [address = "", prefix = "", device] = process.argv.slice(2)
const limit = millis(5_000)
const resource = new IpResource(
  {
    kind: "ip",
    name: "address",
    address,
    prefix: Number(prefix),
    device,
    startTimeout: limit,
    stopTimeout: limit,
    monitorTimeout: limit,
    monitorInterval: limit,
  },
  {
    service: serviceName("floating"),
    runtimeDirectory: "/nowhere",
    environment: {},
    printed: (_, text) => say(`printed ${text}`),
  },
)

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

async function obey(line: string): Promise<void> {
  const [word, amount = "60000"] = line.split(" ")
  if (word === "start") {
    const deadline = after(monotonicNow(), millis(Number(amount)))
    const began = performance.now()
    const failure = await resource.start("0.0.1.1", deadline).failure
    say(failure === undefined ? `started ${Math.round(performance.now() - began)}` : `failed ${failure}`)
  } else if (word === "stop") say((await resource.stop().failure) ?? "stopped")
  else if (word === "monitor") {
    const finding = await resource.monitor().finding
    say(finding.kind === "failed" ? `failed ${finding.reason}` : finding.kind)
  } else say(`unknown ${line}`)
}

say("ready")
createInterface({ input: process.stdin }).on("line", (line) => void obey(line))
