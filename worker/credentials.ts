/**
 * Credentials of one cluster: each with a scope, an end, and a name for people. Only their hash is stored, so that who reads
 * the storage can use none of them; the text is shown once, when it is made. The deployment's own credential
 * (`OPERATOR_CREDENTIAL_SHA256`) is beside these: it reaches every cluster and is `admin` everywhere.
 */
import type { WallTime } from "../protocol/units.ts"
import { wallTime } from "../protocol/units.ts"
import type { PlacedEvent } from "./alerts/incidents.ts"
import { endings, nextEnding, revoked } from "./credential-watch.ts"
import type { Scope } from "./scopes.ts"
import type { CountedSql } from "./sql.ts"

export interface Credential {
  readonly id: string
  readonly name: string
  readonly scope: Scope
  /** SHA-256 of the credential's text, in hexadecimal. */
  readonly hash: string
  readonly createdAt: WallTime
  readonly expiresAt: WallTime | undefined
  /** What people were told of its end; absent in records of earlier versions. */
  readonly told?: "expiring" | "ended" | undefined
}

export type Authorization =
  | { readonly kind: "granted"; readonly scope: Scope; readonly name: string }
  | { readonly kind: "refused" }

const secretBytes = 32
export const credentialsMax = 50

export class Credentials {
  readonly #sql: CountedSql
  #nextEnding: WallTime | undefined

  constructor(sql: CountedSql) {
    this.#sql = sql
  }

  load(): void {
    this.#nextEnding = nextEnding(this.list())
  }

  /** When `tellEnds` has something to tell. */
  nextAt(): WallTime | undefined {
    return this.#nextEnding
  }

  /** In a transaction with the events that it returns. */
  tellEnds(now: WallTime): readonly PlacedEvent[] {
    const told = endings(this.list(), now)
    for (const { credential } of told) this.#store(credential)
    this.load()
    return told.map(({ event }) => event)
  }

  list(): readonly Credential[] {
    return this.#sql
      .rows("SELECT text FROM credentials ORDER BY id")
      .map(({ text }) => JSON.parse(String(text)))
  }

  /** Makes one and returns its text, which nobody can show again. */
  async create(
    { name, scope, expiresAt }: Pick<Credential, "name" | "scope" | "expiresAt">,
    now: WallTime,
  ): Promise<{ readonly credential: Credential; readonly text: string }> {
    const id = hex(crypto.getRandomValues(new Uint8Array(4)))
    const text = `qb_${id}_${hex(crypto.getRandomValues(new Uint8Array(secretBytes)))}`
    const credential: Credential = { id, name, scope, hash: await sha256(text), createdAt: now, expiresAt }
    this.#store(credential)
    this.load()
    return { credential, text }
  }

  /** From now on it opens nothing. In a transaction with the events that it returns. */
  revoke(credential: Credential, now: WallTime): readonly PlacedEvent[] {
    this.#sql.run("DELETE FROM credentials WHERE id = ?", credential.id)
    this.load()
    return revoked(credential, now)
  }

  #store(credential: Credential): void {
    const replace = "INSERT OR REPLACE INTO credentials (id, text) VALUES (?, ?)"
    this.#sql.run(replace, credential.id, JSON.stringify(credential))
  }

  async authorize(text: string, now: WallTime): Promise<Authorization> {
    const id = /^qb_([0-9a-f]{8})_[0-9a-f]{64}$/.exec(text)?.[1]
    const credential = this.list().find((each) => each.id === id)
    if (credential === undefined || (credential.expiresAt ?? now + 1) <= now) return { kind: "refused" }
    if (!sameHash(credential.hash, await sha256(text))) return { kind: "refused" }
    return { kind: "granted", scope: credential.scope, name: credential.name }
  }
}

export function describeCredential({ hash: _, told: __, createdAt, expiresAt, ...rest }: Credential): object {
  return { ...rest, created_at_ms: createdAt, expires_at_ms: expiresAt }
}

export function endOf(days: number | undefined, now: WallTime): WallTime | undefined {
  return days === undefined ? undefined : wallTime(now + days * 86_400_000)
}

function sameHash(a: string, b: string): boolean {
  const encoder = new TextEncoder()
  return crypto.subtle.timingSafeEqual(encoder.encode(a), encoder.encode(b))
}

async function sha256(text: string): Promise<string> {
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))))
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")
}
