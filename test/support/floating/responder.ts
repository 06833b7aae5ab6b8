/**
 * A node's answer at the floating addresses: returns each probe with the node's name before it. Bound to the addresses
 * whether they are there or not (ip_nonlocal_bind), so that what is seen is where they are and whether they pass.
 */
import { createSocket } from "node:dgram"

const [name = "", ...addresses] = process.argv.slice(2)

import { probePort } from "./ports.ts"

for (const address of addresses) {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4")
  // A closed gate refuses the answer: that is what it is for.
  socket.on("error", () => undefined)
  socket.on("message", (probe, from) => {
    socket.send(`${name} ${probe.toString()}`, from.port, from.address, () => undefined)
  })
  socket.bind(probePort, address)
}
