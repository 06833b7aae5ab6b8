/**
 * A gate with nobody behind it, for tests: does what each line of standard input says and answers with one line. Runs in
 * a network namespace of its own.
 *
 *   open MS     the address may pass for MS from now          close      it may not
 *   late MS     as `open`, but the process stops itself between computing the request and sending it
 *               (both answer with the end of it in CLOCK_MONOTONIC's milliseconds)
 *   back MS     as `open`, computed with real time as it was MS later: as if it had been set back meanwhile
 *   check       what an agent does once a second              leave      what it does at its end
 *   lose        from now on `nft` cannot be run
 */
import { createInterface } from "node:readline"
import { monotonicNow, wallNow } from "../../../node-agent/host/clock.ts"
import { Gate } from "../../../node-agent/host/gate.ts"
import { loadNative } from "../../../node-agent/host/native.ts"
import { after, millis, serviceName, wallTime } from "../../../protocol/units.ts"

const service = serviceName("floating")
const [mode = "owned", ...addresses] = process.argv.slice(2)
const loaded = await loadNative()
let ahead = 0
const gate = new Gate({
  addresses: new Map([[service, addresses]]),
  native: mode === "no-native" || loaded.kind === "error" ? "told so" : loaded.value,
  owns: mode !== "unowned",
  changed: (missing) => say(missing === undefined ? "ready again" : `missing: ${missing}`),
  read: () => {
    const wall = wallTime(wallNow() + ahead)
    return { wall, monotonic: monotonicNow() }
  },
})

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

function obey(line: string): void {
  const [word, amount = "0"] = line.split(" ")
  const deadline = after(monotonicNow(), millis(Number(amount)))
  switch (word) {
    case "open":
      gate.set(service, deadline)
      gate.write()
      return say(`open ${gate.state.kind} until ${deadline}`)
    case "close":
      gate.set(service, undefined)
      gate.write()
      return say(`close ${gate.state.kind}`)
    case "late": {
      gate.set(service, deadline)
      const batch = gate.prepare()
      say(`stopping, until ${deadline}`)
      process.kill(process.pid, "SIGSTOP")
      gate.send(batch)
      return say("sent")
    }
    case "back":
      ahead = Number(amount)
      gate.set(service, deadline)
      gate.write()
      ahead = 0
      return say("set back")
    case "check":
      gate.check()
      return say(`checked ${gate.state.kind}`)
    case "lose":
      process.env.PATH = "/nowhere"
      return say("lost")
    case "leave":
      gate.close()
      say("left")
      return process.exit(0)
    default:
      say(`unknown ${line}`)
  }
}

say(JSON.stringify(gate.state))
createInterface({ input: process.stdin }).on("line", obey)
