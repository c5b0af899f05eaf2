/** What a seed does to a mesh is known before it is done. */
import { describe, expect, it } from "vitest";
import { chaosPlanOf } from "./chaos-plan.ts";

const seeds = Array.from({ length: 50 }, (_, seed) => seed);

describe("the plan of a chaos run", () => {
  it("is the same for the same seed, and another for another", () => {
    expect(chaosPlanOf(1, 60)).toEqual(chaosPlanOf(1, 60));
    expect(chaosPlanOf(1, 60)).not.toEqual(chaosPlanOf(2, 60));
  });

  it("has ended all faults of a round some seconds before the next one", () => {
    for (const seed of seeds) {
      for (const { atMs, forMs } of chaosPlanOf(seed, 60).faults) {
        const round = Math.floor(atMs / 20_000);
        expect(atMs + forMs).toBeLessThanOrEqual(round * 20_000 + 13_000);
      }
    }
  });

  it("does one thing at a time to a process", () => {
    for (const seed of seeds) {
      const freeMs = new Map<string, number>();
      for (const { target, atMs, forMs } of chaosPlanOf(seed, 60).faults) {
        expect(atMs).toBeGreaterThanOrEqual(freeMs.get(target) ?? 0);
        freeMs.set(target, atMs + forMs);
      }
    }
  });

  it("brings every kind of fault in a handful of seeds", () => {
    const kinds = new Set(seeds.flatMap((seed) => chaosPlanOf(seed, 60).faults.map((f) => f.kind)));
    expect([...kinds].sort()).toEqual(["join", "kill", "killPaused", "leave", "pause"]);
  });
});
