/** `quorumbeat keygen`: makes keys. */
import type { Result } from "../../protocol/result.ts"
import { createCredential, createNodeKey, createReceiverKey, createRingKey } from "../host/key-file.ts"
import { type Command, CommandFailure, exitStatus, parseOptions, print, usageFailure } from "./command.ts"

const help = `Usage: quorumbeat keygen FILE
       quorumbeat keygen --witness FILE
       quorumbeat keygen --ring [--id N] FILE
       quorumbeat keygen --credential FILE
       quorumbeat keygen --receivers [--id N] FILE

Makes a key in FILE (mode 0400); a file that exists is never overwritten.

  (no option)   this node's Ed25519 key (JWK); prints the public key for cluster.toml
  --witness     the witness's Ed25519 key (JWK), for the secret WITNESS_KEY; prints the public key
  --ring        the ring key that all nodes share: copy the file to every node, over a safe way
  --credential  the operator's credential for the witness; prints its SHA-256 for OPERATOR_CREDENTIAL_SHA256
  --receivers   a key that seals the receivers' secrets in the witness's storage, for the secret RECEIVER_KEY
  --id N        the number of a ring key or receivers' key, 1 to 255 (1); the next key gets another one

Exit status: 0 made; 1 not; 2 wrong use.`

export const keygen: Command = {
  summary: "make a key or credential",
  help,
  async run(parameters) {
    const { values, positionals } = parseOptions(
      parameters,
      {
        ring: { type: "boolean", default: false },
        witness: { type: "boolean", default: false },
        credential: { type: "boolean", default: false },
        receivers: { type: "boolean", default: false },
        id: { type: "string" },
      },
      { min: 1, max: 1 },
    )
    const [file = ""] = positionals
    if ([values.ring, values.witness, values.credential, values.receivers].filter(Boolean).length > 1) {
      throw usageFailure("--ring, --witness, --credential and --receivers exclude each other")
    }
    if (values.id !== undefined && !values.ring && !values.receivers) {
      throw usageFailure("--id goes with --ring and --receivers only")
    }
    const id = readId(values.id ?? "1")
    if (values.ring) return report(createRingKey(file, id))
    if (values.receivers) return report(createReceiverKey(file, id))
    return report(values.credential ? createCredential(file) : createNodeKey(file))
  },
}

function report(made: Result<string | undefined, string>): number {
  if (made.kind === "error") throw new CommandFailure(exitStatus.failed, made.error)
  if (made.value !== undefined) print(made.value)
  return exitStatus.done
}

function readId(text: string): number {
  const id = Number(text)
  if (/^\d{1,3}$/.test(text) && id >= 1 && id <= 255) return id
  throw usageFailure(`--id ${text}: expected 1 to 255`)
}
