/** Every attack that this repository knows, in a process of its own; what is fuzzed a million times. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const run = promisify(execFile);
const TEST_MS = 900_000;
const MAIN = ".build/test/hostile/main.js";

describe("a hostile peer", () => {
  it(
    "breaks nothing",
    async () => {
      const { stdout } = await run(process.execPath, [MAIN, "--json"], { maxBuffer: 1 << 24 });
      const last = stdout.trim().split("\n").at(-1) ?? "";
      const { cases } = JSON.parse(last) as {
        cases: { name: string; tried: number; broken: number }[];
      };
      expect(cases.filter(({ broken }) => broken > 0)).toEqual([]);
      expect(cases.every(({ tried }) => tried > 0)).toBe(true);
      expect(cases.length).toBeGreaterThanOrEqual(10);
    },
    TEST_MS,
  );

  it("is one of those it knows", async () => {
    await expect(run(process.execPath, [MAIN, "--case", "nobody"])).rejects.toThrow(
      /no case nobody/,
    );
  });
});
