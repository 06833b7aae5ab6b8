/**
 * Node's HTTP modules, without `import`: a bundle loads every imported built-in at its start, also in the real-time
 * process, which speaks no HTTP; and importing `node:http` by name reads its `WebSocket` export, which loads the whole
 * of Node's own undici. Both together cost 10 MB a process (measured).
 */
export const http = process.getBuiltinModule("node:http")
export const https = process.getBuiltinModule("node:https")
