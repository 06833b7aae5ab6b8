/** Bindings and secrets of the Worker. Names are part of the deployment: `wrangler.toml`, and the embedded witness's own. */
import type { ClusterWitness } from "./cluster.ts"

export interface Environment {
  /** One object a cluster, by the cluster's name; and one named `registryName`. */
  readonly CLUSTER: DurableObjectNamespace<ClusterWitness>
  /** Secret: Ed25519 private key (JWK or PKCS 8) that signs replies. */
  readonly WITNESS_KEY?: string
  /** Secret: SHA-256 of the operator's credential, 64 hexadecimal digits. */
  readonly OPERATOR_CREDENTIAL_SHA256?: string
  /** Secret: seals the secrets of receivers at rest, `id:base64` of 32 bytes, newest first. Default: made of `WITNESS_KEY`. */
  readonly RECEIVER_KEY?: string
  /** Where people reach this deployment, as `https://witness.example.com`: for links in notifications. */
  readonly PUBLIC_URL?: string
  /** How many posts a second one cluster may make; default 40 (`rate-limit.ts`). */
  readonly POSTS_PER_SECOND?: string
  /** "1": alerts may go to private addresses and over plain HTTP. Only for a witness inside the operator's network. */
  readonly ALLOW_PRIVATE_RECEIVERS?: string
}
