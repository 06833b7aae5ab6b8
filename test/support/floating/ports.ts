/** Where a node answers at the floating addresses. */
export const probePort = 7_000
