import { expect, test } from "vitest"
import { commonVersion, protocolVersions } from "../../../protocol/version.ts"

test("[N2] the highest version that both speak, if there is one", () => {
  expect(commonVersion({ min: 1, max: 2 }, { min: 1, max: 2 })).toBe(2)
  expect(commonVersion({ min: 1, max: 2 }, { min: 2, max: 5 })).toBe(2)
  expect(commonVersion({ min: 1, max: 1 }, { min: 1, max: 9 })).toBe(1)
  expect(commonVersion({ min: 1, max: 1 }, { min: 2, max: 3 })).toBeUndefined()
  expect(commonVersion({ min: 4, max: 5 }, { min: 1, max: 3 })).toBeUndefined()
})

test("[N2] this program works with the version before its own", () => {
  expect(commonVersion(protocolVersions, { min: 1, max: protocolVersions.max - 1 })).toBe(
    protocolVersions.max - 1,
  )
})
