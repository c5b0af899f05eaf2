import { defineConfig } from "vitest/config";

// Processes, sockets and disks are real here, so three kinds of test run differently: "unit" files go side by side, at
// most two at a time; so do "integration" files, which start processes and mostly wait for them; "alone" are those
// that fill the machine, or look at times on it.
const ALONE = [
  "bench",
  "chaos",
  "cluster",
  "containers",
  "doctor",
  "hostile",
  "killers",
  "large-payloads",
  "meeting",
  "members",
  "networks",
  "providers",
  "stalled",
].map((name) => `test/integration/${name}.test.ts`);

/** They only end what hangs: a machine that is busy with something else takes its time. */
const PATIENCE = { testTimeout: 240_000, hookTimeout: 120_000 };

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    passWithNoTests: false,
    // The JSON is where .ci/run takes its counts from.
    reporters: ["default", ["json", { outputFile: ".build/test-results.json" }]],
    ...PATIENCE,
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
          exclude: ALONE,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: "alone",
          include: ALONE,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
