/** Runs one test of a tree of sources, by name. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

const TEST_MS_MAX = 120_000;

export type TestCounts = { readonly passed: number; readonly failed: number };

/** A file that cannot even be loaded, or hangs, counts as nothing passed and nothing failed. */
export const runTest = async (
  treePath: string,
  file: string,
  test: string,
): Promise<TestCounts> => {
  const vitest = join(treePath, "node_modules/vitest/vitest.mjs");
  const output = join(treePath, ".build/test-results.json"); // as vitest.config.ts says
  const pattern = `^.*${test.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`;
  const args = ["run", file, "-t", pattern];
  const child = spawn(process.execPath, [vitest, ...args], { cwd: treePath, stdio: "ignore" });
  const watchdog = setTimeout(() => child.kill("SIGKILL"), TEST_MS_MAX);
  await once(child, "exit");
  clearTimeout(watchdog);
  const text = await readFile(output, "utf8").catch(() => undefined);
  if (text === undefined) return { passed: 0, failed: 0 };
  const { numPassedTests, numFailedTests } = JSON.parse(text) as {
    numPassedTests: number;
    numFailedTests: number;
  };
  return { passed: numPassedTests, failed: numFailedTests };
};
