/** What a watchdog proves about a node that nobody hears: when it has surely been reset (SPEC WD5). */
import { type Millis, millis, stretched } from "./units.ts"

/**
 * Timeouts until a machine is surely reset whose last feed was decided upon while its rights were live: that feed may
 * land a timeout later (else the one before it runs out), Linux feeds once more when the device of a killed agent is
 * closed, a timeout after that at most, and then a timeout passes.
 */
const timeoutsToReset = 3
/** From the device's firing to a machine that does nothing any more. */
const resetTime = millis(1_000)

/** How long after its rights were over a node with this watchdog surely runs nothing. */
export function resetSurelyAfter(timeout: Millis, rho: number): Millis {
  return stretched(millis(timeoutsToReset * timeout + resetTime), rho)
}
