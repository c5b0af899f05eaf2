/** A small swarm with every test run; `npm run sim` is the large one. */
import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { coverOf, NO_SCENARIO, SCENARIOS } from "./scenarios.ts";
import { simulate } from "./simulate.ts";

const SEEDS = 20;
const SCENARIO_SEEDS = 3;

/** Without a scenario the seed runs without one, whatever it draws today. */
type Regression = { readonly seed: number; readonly scenario?: string; readonly cause: string };

describe("a simulated mesh", () => {
  it("keeps its promises through the first seeds", { timeout: 240_000 }, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { violations, diagnosis } = await simulate(seed);
      expect(violations, `seed ${seed}\n${diagnosis}`).toEqual([]);
    }
  });

  it("keeps its promises where they were once broken", { timeout: 240_000 }, async () => {
    const text = await readFile(new URL("./regressions.json", import.meta.url), "utf8");
    for (const { seed, scenario = NO_SCENARIO, cause } of JSON.parse(text) as Regression[]) {
      const { violations, diagnosis } = await simulate(seed, { scenario });
      expect(violations, `seed ${seed}: ${cause}\n${diagnosis}`).toEqual([]);
    }
  });

  it.each(SCENARIOS.map(({ name }) => name))(
    "sees %s happen, and keeps its promises",
    { timeout: 240_000 },
    async (scenario) => {
      let seen = 0;
      for (let seed = 1; seed <= SCENARIO_SEEDS; seed++) {
        const { violations, coverage, diagnosis } = await simulate(seed, { scenario });
        expect(violations, `seed ${seed}\n${diagnosis}`).toEqual([]);
        seen += coverage.get(coverOf(scenario)) ?? 0;
      }
      expect(seen, "nothing of it was seen in any seed").toBeGreaterThan(0);
    },
  );

  it("does the same every time for one seed", { timeout: 60_000 }, async () => {
    for (const seed of [3, 17]) {
      const first = await simulate(seed);
      const again = await simulate(seed, { keepTrace: true });
      expect(again.hash).toBe(first.hash);
      expect(again.events).toBe(first.events);
    }
    const [one, other] = [await simulate(3), await simulate(4)];
    expect(one.hash).not.toBe(other.hash);
  });
});
