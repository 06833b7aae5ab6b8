/**
 * Secret keys on disk: a node's Ed25519 key and the witness's (JWK files), and the shared ring keys. A file that
 * others may read is refused, not warned about.
 */
import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  randomBytes,
} from "node:crypto"
import { closeSync, fstatSync, openSync, readFileSync, writeFileSync } from "node:fs"
import { err, ok, type Result } from "../../protocol/result.ts"
import { formatRingKey, parseRingKey, type RingKey } from "./cryptography.ts"

export interface NodeKey {
  readonly privateKey: KeyObject
  /** Ed25519 public key, 32 bytes, base64url: as in the cluster configuration. */
  readonly publicKey: string
}

/** Errors are one line for people: the file, what is wrong and what to do. */
export function readNodeKey(path: string): Result<NodeKey, string> {
  const text = readSecret(path)
  if (text.kind === "error") return text
  let jwk: JsonWebKey
  try {
    jwk = JSON.parse(text.value)
  } catch {
    return err(`${path}: not a JWK (JSON); make one with \`quorumbeat keygen\``)
  }
  if (jwk.kty !== "OKP" || jwk.crv !== "Ed25519" || typeof jwk.d !== "string" || typeof jwk.x !== "string") {
    return err(`${path}: not an Ed25519 private key; make one with \`quorumbeat keygen\``)
  }
  try {
    return ok({ privateKey: createPrivateKey({ key: jwk, format: "jwk" }), publicKey: jwk.x })
  } catch (cause) {
    return err(`${path}: not a usable Ed25519 key: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}

export function readRingKey(path: string): Result<RingKey, string> {
  const text = readSecret(path)
  if (text.kind === "error") return text
  const key = parseRingKey(text.value)
  return key.kind === "ok"
    ? key
    : err(`${path}: not a ring key: ${key.error}; see \`quorumbeat keygen --ring\``)
}

/** Writes a new key pair, never over an existing file, and returns the public half. */
export function createNodeKey(path: string): Result<string, string> {
  const { privateKey } = generateKeyPairSync("ed25519")
  const jwk = privateKey.export({ format: "jwk" })
  const written = writeSecret(path, `${JSON.stringify({ ...jwk, alg: "Ed25519", use: "sig" })}\n`)
  return written.kind === "ok" ? ok(String(jwk.x)) : written
}

export function createRingKey(path: string, id: number): Result<undefined, string> {
  return writeSecret(path, formatRingKey({ id, bytes: randomBytes(32) }))
}

/** An operator's credential: chance as text; returns its SHA-256 in hexadecimal, which is all the witness is told. */
export function createCredential(path: string): Result<string, string> {
  const credential = randomBytes(32).toString("base64url")
  const written = writeSecret(path, `${credential}\n`)
  return written.kind === "ok" ? ok(createHash("sha256").update(credential).digest("hex")) : written
}

/** A key that seals receivers' secrets at the witness; several in one secret, the newest first, rotate it. */
export function createReceiverKey(path: string, id: number): Result<undefined, string> {
  return writeSecret(path, `k${id}:${randomBytes(32).toString("base64")}\n`)
}

/** A file that only its owner may read. Checked on the open descriptor: what is read is what was checked. */
export function readSecret(path: string): Result<string, string> {
  let descriptor: number
  try {
    descriptor = openSync(path, "r")
  } catch (cause) {
    return err(`${path}: cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
  try {
    const mode = fstatSync(descriptor).mode & 0o777
    if ((mode & 0o077) !== 0) {
      const shown = mode.toString(8).padStart(4, "0")
      return err(`${path}: group or others may access it (mode ${shown}); run \`chmod 0400 ${path}\``)
    }
    return ok(readFileSync(descriptor, "utf8"))
  } finally {
    closeSync(descriptor)
  }
}

function writeSecret(path: string, content: string): Result<undefined, string> {
  try {
    writeFileSync(path, content, { flag: "wx", mode: 0o400 })
    return ok(undefined)
  } catch (cause) {
    const isThere = cause instanceof Error && "code" in cause && cause.code === "EEXIST"
    const reason = isThere ? "exists already; a key is never overwritten: move it away first" : String(cause)
    return err(`${path}: ${reason}`)
  }
}
