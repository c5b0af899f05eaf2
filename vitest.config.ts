import { defineConfig } from "vitest/config";

// Processes, sockets and disks are real here, so two kinds of test run differently: "unit" files go
// side by side, at most two at a time; "integration" files start processes, so one at a time.
export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    passWithNoTests: false,
    // The JSON is where .ci/run takes its counts from.
    reporters: ["default", ["json", { outputFile: ".build/test-results.json" }]],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/integration/**"],
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
