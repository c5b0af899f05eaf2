/** The command, as it is run by hand and in CI. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import type { SwarmTotals } from "./swarm.ts";

const run = promisify(execFile);

const sim = async (...args: string[]): Promise<string> => {
  const { stdout } = await run(process.execPath, [".build/test/sim/main.js", ...args]);
  return stdout;
};

const totals = (stdout: string): SwarmTotals =>
  JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as SwarmTotals;

describe("the simulation's command", { timeout: 900_000 }, () => {
  it("reports the same whatever the number of threads", async () => {
    const seeds = ["--seeds", "8", "--seed-start", "3", "--json"];
    const alone = await sim(...seeds, "--workers", "1");
    expect(await sim(...seeds, "--workers", "3")).toBe(alone);
    const { seeds: count, events, violations } = totals(alone);
    expect({ count, violations }).toEqual({ count: 8, violations: 0 });
    expect(events).toBeGreaterThan(1_000);
  });

  it("replays a seed byte for byte", async () => {
    const seed = ["--seed", "5", "--scenario", "link-blip", "--trace"];
    const first = await sim(...seed);
    expect(first.split("\n").length).toBeGreaterThan(100);
    expect(await sim(...seed)).toBe(first);
  });

  it("refuses a scenario it does not know", async () => {
    await expect(sim("--seeds", "1", "--scenario", "no-such-thing")).rejects.toThrow(
      /no scenario "no-such-thing"/,
    );
  });
});
