import { cloudflareTest } from "@cloudflare/vitest-plugin"
import { defineConfig } from "vitest/config"
import { PlainLineReporter } from "./test/support/plain-line-reporter.ts"

// Secrets of the Worker under test. Production sets the same names with `wrangler secret put`.
const workerSecretsForTests: Record<string, string> = {}

export default defineConfig({
  test: {
    reporters: ["default", new PlainLineReporter()],
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/{unit,scenarios}/**/*.test.ts"],
          // Exhaustive ones take seconds on a machine of its own.
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: "simulation",
          include: ["test/simulation/**/*.test.ts"],
          // Minutes of virtual time, on machines that may be busy with something else.
          testTimeout: 300_000,
        },
      },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: { bindings: workerSecretsForTests },
          }),
        ],
        test: {
          name: "worker",
          include: ["test/worker/**/*.test.ts"],
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // Real sockets and real time: one file at a time, after everything else has freed the processors.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
