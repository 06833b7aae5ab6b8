/**
 * The service of demo and bench: `node ledger-daemon.ts NODE HOME LEASE-FILE LEDGER`. Up on every node as a hot standby,
 * like a database's. While it is primary it appends a line to the one ledger that all nodes write to, every 10 ms:
 * `<CLOCK_MONOTONIC in ns> <node> <epoch>`. That file is the evidence of who acted when.
 *
 * It ends itself by its lease (proof `self-lease`): right before each line it reads the lease file, and writes only while
 * the deadline is ahead and the lease is for its own epoch. Once that has not been so for `retireAfter` it gives up being
 * primary. It trusts neither the agent nor the operator's programs to be alive.
 *
 *   HOME/primary  the epoch it is to act at; written by `ledger.sh start`, removed by `stop`
 *   HOME/acting   the epoch it acts at, as long as it does
 */
import { appendFileSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const tickInterval = 5
const writeIntervalNs = 9_000_000n
const retireAfterNs = 1_000_000_000n

const [, , node = "", home = "", leaseFile = "", ledger = ""] = process.argv
const primaryFile = join(home, "primary")
const actingFile = join(home, "acting")
const log = openSync(ledger, "a")

/** The epoch it is primary at; "": standby. */
let acting = ""
/** Given up because its lease had long ended: it takes a new start to act again. */
let retired = ""
let lastWrite = 0n
let lastRight = 0n

rmSync(primaryFile, { force: true })
rmSync(actingFile, { force: true })
writeFileSync(join(home, "pid"), `${process.pid}\n`)
setInterval(tick, tickInterval)

function tick(): void {
  const primary = readLines(primaryFile)[0] ?? ""
  if (primary !== acting) change(primary === retired ? "" : primary)
  if (acting !== "") act()
}

function change(epoch: string): void {
  if (epoch === acting) return
  acting = epoch
  lastRight = process.hrtime.bigint()
  if (epoch === "") rmSync(actingFile, { force: true })
  else writeFileSync(actingFile, `${epoch}\n`)
}

function act(): void {
  const [deadline = "0", epoch = ""] = readLines(leaseFile)
  const now = process.hrtime.bigint()
  if (epoch === acting && now < BigInt(deadline)) {
    lastRight = now
    if (now - lastWrite < writeIntervalNs) return
    lastWrite = now
    appendFileSync(log, `${now} ${node} ${acting}\n`)
  } else if (now - lastRight > retireAfterNs) {
    retired = acting
    change("")
  }
}

function readLines(path: string): readonly string[] {
  try {
    return readFileSync(path, "utf8").split("\n")
  } catch {
    // Not there: not primary, or no lease.
    return []
  }
}
