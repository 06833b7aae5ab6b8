/** The id of an incident: the same whoever reports it, so that a pager folds what several tell of one cause. */
import { sha256 } from "@noble/hashes/sha2.js"
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js"

/** 128 bits of SHA-256 over cluster, kind, subject and the epoch or incarnation that caused it, as 32 hexadecimal digits. */
export function incidentId(cluster: string, kind: string, subject: string, cause: string): string {
  return bytesToHex(sha256(utf8ToBytes(JSON.stringify([cluster, kind, subject, cause])))).slice(0, 32)
}
