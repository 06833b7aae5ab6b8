/**
 * Signatures of the documents (SPEC W5): compact JWS, Ed25519 and nothing else, with a `typ` for each kind of document
 * and a `kid` that names cluster and signer. A node's key verifies that node's summaries only.
 */

import type { CryptoKey } from "jose"
import * as jose from "jose"
import { err, ok, type Result } from "../protocol/result.ts"
import { replyType, signatureAlgorithm, summaryType, witnessKeyId } from "../protocol/summaries.ts"
import type { DocumentReason, RequestReason } from "./errors.ts"

/** The witness's own key: signs replies. `publicKey` is what nodes pin, 32 bytes in base64url. */
export interface WitnessKey {
  readonly privateKey: CryptoKey
  readonly publicKey: string
}

/** What a signed document says about itself; nothing of it is believed before the signature is. */
export interface DocumentHeader {
  readonly node: number
}

/** Reads a summary's header: which node of this cluster claims to have signed it. */
export function readHeader(document: string, cluster: string): Result<DocumentHeader, DocumentReason> {
  let header: jose.ProtectedHeaderParameters
  try {
    header = jose.decodeProtectedHeader(document)
  } catch {
    return err("document-not-signed")
  }
  if (typeof header.alg !== "string" || typeof header.kid !== "string") return err("document-not-signed")
  if (header.alg !== signatureAlgorithm) return err("algorithm-not-allowed")
  if (header.typ !== summaryType) return err("type-not-allowed")
  const [signedFor, node, ...rest] = header.kid.split("/")
  if (signedFor !== cluster) return err("wrong-cluster")
  if (node === undefined || rest.length > 0 || !/^[1-9][0-9]{0,4}$/.test(node)) return err("unknown-key")
  return ok({ node: Number(node) })
}

/** Verifies a summary with its node's key (32 bytes, base64url); the payload as text if it is genuine. */
export async function verifySummary(
  document: string,
  publicKey: string,
): Promise<Result<string, DocumentReason>> {
  try {
    const key = await importPublicKey(publicKey)
    const { payload } = await jose.compactVerify(document, key, { algorithms: [signatureAlgorithm] })
    return ok(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(payload))
  } catch (error) {
    // Every way to fail is one answer: a forged, torn or wrongly encoded document proves nothing about its node.
    if (error instanceof jose.errors.JOSEError || error instanceof TypeError || isCryptoError(error)) {
      return err("signature-invalid")
    }
    throw error
  }
}

/** Signs a reply's payload as this cluster's witness. */
export function signReply(payload: string, cluster: string, key: WitnessKey): Promise<string> {
  return new jose.CompactSign(new TextEncoder().encode(payload))
    .setProtectedHeader({ alg: signatureAlgorithm, typ: replyType, kid: witnessKeyId(cluster) })
    .sign(key.privateKey)
}

/** Imports the secret WITNESS_KEY: an Ed25519 private key as JWK (JSON) or PKCS 8 (PEM, or its base64 alone). */
export async function importWitnessKey(
  secret: string | undefined,
): Promise<Result<WitnessKey, RequestReason>> {
  if (secret === undefined || secret === "") return err("witness-key-not-set")
  const known = importedWitnessKeys.get(secret)
  if (known !== undefined) return ok(known)
  try {
    const privateKey = await importPrivateKey(secret.trim())
    const { x } = await jose.exportJWK(privateKey)
    if (x === undefined) return err("witness-key-invalid")
    const key = { privateKey, publicKey: x }
    importedWitnessKeys.set(secret, key)
    return ok(key)
  } catch {
    // Not JSON, not base64, another kind of key: all are one mistake of whoever set the secret.
    return err("witness-key-invalid")
  }
}

// One deployment has one key; a rotation adds a second for the life of the isolate.
const importedWitnessKeys = new Map<string, WitnessKey>()

async function importPrivateKey(secret: string): Promise<CryptoKey> {
  if (!secret.startsWith("{")) {
    const body = secret.replace(/-----[A-Z ]+-----|\s/g, "")
    const pem = `-----BEGIN PRIVATE KEY-----\n${body}\n-----END PRIVATE KEY-----`
    return jose.importPKCS8(pem, signatureAlgorithm, { extractable: true })
  }
  const { crv, x, d }: jose.JWK = JSON.parse(secret)
  if (crv !== "Ed25519" || x === undefined || d === undefined)
    throw new TypeError("not an Ed25519 private key")
  const key = await jose.importJWK({ kty: "OKP", crv, x, d }, signatureAlgorithm, { extractable: true })
  if (key instanceof Uint8Array) throw new TypeError("not a key pair")
  return key
}

async function importPublicKey(publicKey: string): Promise<CryptoKey> {
  const key = await jose.importJWK({ kty: "OKP", crv: "Ed25519", x: publicKey }, signatureAlgorithm)
  if (key instanceof Uint8Array) throw new TypeError("not a public key")
  return key
}

/** WebCrypto refuses impossible keys with its own kind of error. */
function isCryptoError(error: unknown): boolean {
  return error instanceof DOMException
}
