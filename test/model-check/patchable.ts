/** What is bundled with a rule switched off. */
export { formed, rateVectors } from "./clusters.ts"
export { explore } from "./explore.ts"
