import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  compareHybridTimes,
  HybridClock,
  type HybridTime,
  MAX_AHEAD_MS,
} from "../../src/core/hybrid-clock.ts";

const ZERO: HybridTime = { ms: 0, counter: 0 };

describe("HybridClock", () => {
  it("follows the wall clock and counts inside a millisecond", () => {
    const clock = new HybridClock();
    expect(clock.now(1_000.9)).toEqual({ ms: 1_000, counter: 0 });
    expect(clock.now(1_000.1)).toEqual({ ms: 1_000, counter: 1 });
    expect(clock.now(999)).toEqual({ ms: 1_000, counter: 2 });
    expect(clock.now(1_001)).toEqual({ ms: 1_001, counter: 0 });
  });

  it("steps one millisecond ahead when the counter is used up", () => {
    const clock = new HybridClock(MAX_AHEAD_MS, { ms: 5_000, counter: 65_534 });
    expect(clock.now(5_000)).toEqual({ ms: 5_000, counter: 65_535 });
    expect(clock.now(5_000)).toEqual({ ms: 5_001, counter: 0 });
    expect(clock.now(5_000)).toEqual({ ms: 5_001, counter: 1 });
  });

  it("goes on after a stored time, though the wall clock was set back meanwhile", () => {
    const clock = new HybridClock(MAX_AHEAD_MS, { ms: 9_000_000, counter: 7 });
    expect(clock.now(1_000)).toEqual({ ms: 9_000_000, counter: 8 });
  });

  it("merges what is exactly as far ahead as allowed, and nothing further", () => {
    const clock = new HybridClock(60_000, ZERO);
    clock.now(1_000);
    expect(clock.merge({ ms: 61_001, counter: 0 }, 1_000)).toBe("tooFarAhead");
    expect(clock.last).toEqual({ ms: 1_000, counter: 0 });
    expect(clock.merge({ ms: 61_000, counter: 3 }, 1_000)).toBe("merged");
    expect(clock.now(1_000)).toEqual({ ms: 61_000, counter: 4 });
  });

  it("is not moved by an earlier time, and refuses what is no number", () => {
    const clock = new HybridClock(60_000, { ms: 5_000, counter: 5 });
    expect(clock.merge({ ms: 5_000, counter: 4 }, 5_000)).toBe("merged");
    expect(clock.merge({ ms: 4_999, counter: 9 }, 5_000)).toBe("merged");
    expect(clock.merge({ ms: Number.NaN, counter: 0 }, 5_000)).toBe("tooFarAhead");
    expect(clock.last).toEqual({ ms: 5_000, counter: 5 });
  });

  it("grows strictly along every chain of messages between nodes with wild wall clocks", () => {
    const steps = fc.array(
      fc.record({
        from: fc.nat(2),
        to: fc.nat(2),
        drift: fc.integer({ min: -200_000, max: 200_000 }),
      }),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(steps, (script) => {
        const start = 1_000_000;
        const clocks = [0, 1, 2].map(() => new HybridClock());
        const walls = [start, start, start];
        const wallsMax = [start, start, start];
        const latest: HybridTime[] = [ZERO, ZERO, ZERO];
        for (const { from, to, drift } of script) {
          walls[from] = Math.max(0, (walls[from] as number) + drift);
          wallsMax[from] = Math.max(wallsMax[from] as number, walls[from] as number);
          const sent = (clocks[from] as HybridClock).now(walls[from] as number);
          expect(compareHybridTimes(sent, latest[from] as HybridTime)).toBeGreaterThan(0);
          latest[from] = sent;
          const wall = walls[to] as number;
          const verdict = (clocks[to] as HybridClock).merge(sent, wall);
          expect(verdict).toBe(sent.ms > wall + MAX_AHEAD_MS ? "tooFarAhead" : "merged");
          // The largest of what was given out and what was merged is the floor of what comes.
          if (verdict === "merged" && compareHybridTimes(sent, latest[to] as HybridTime) > 0) {
            latest[to] = sent;
          }
          expect((clocks[to] as HybridClock).last).toEqual(latest[to]);
          const bound = (wallsMax[to] as number) + MAX_AHEAD_MS;
          expect((clocks[to] as HybridClock).last.ms).toBeLessThanOrEqual(bound);
        }
      }),
    );
  });
});
