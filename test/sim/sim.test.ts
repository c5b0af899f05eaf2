/** A small swarm with every test run; `npm run sim` is the large one. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { coverOf, NO_SCENARIO, SCENARIOS } from "./scenarios.ts";
import { simulate } from "./simulate.ts";

const SEEDS = 20;
const SCENARIO_SEEDS = 3;

/** Without a scenario the seed runs without one, whatever it draws today. */
type Regression = { readonly seed: number; readonly scenario?: string; readonly cause: string };

/** What the seeds in regressions.json once broke. */
const REGRESSIONS: readonly Regression[] = JSON.parse(
  readFileSync(new URL("./regressions.json", import.meta.url), "utf8"),
);

// A test for each, so that none is late because there are many.
describe("a simulated mesh", { timeout: 900_000 }, () => {
  it.each(Array.from({ length: SEEDS }, (_, index) => index + 1))(
    "keeps its promises with seed %d",
    async (seed) => {
      const { violations, diagnosis } = await simulate(seed);
      expect(violations, diagnosis).toEqual([]);
    },
  );

  it.each(REGRESSIONS)(
    "keeps its promises where they were once broken: seed $seed, $cause",
    async ({ seed, scenario = NO_SCENARIO }) => {
      const { violations, diagnosis } = await simulate(seed, { scenario });
      expect(violations, diagnosis).toEqual([]);
    },
  );

  it.each(SCENARIOS.map(({ name }) => name))(
    "sees %s happen, and keeps its promises",
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

  it("does the same every time for one seed", async () => {
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
