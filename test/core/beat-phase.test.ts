import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BeatPhases, untilBeat } from "../../src/core/beat-phase.ts";

describe("the phases of beats", () => {
  it("are one for 32 links, then the next, eight over the interval and from the first again", () => {
    const phases = new BeatPhases(7, 400);
    const given = Array.from({ length: 9 * 32 }, () => phases.next());
    const wanted = [0, 50, 100, 150, 200, 250, 300, 350, 0].map((ms) => 7 + ms);
    expect(given.filter((_, at) => at % 32 === 0)).toEqual(wanted);
    expect(new Set(given.slice(0, 32)).size).toBe(1);
  });

  it("bring links together that rose at different times", () => {
    expect(1_000 + untilBeat(1_000, 30, 250)).toBe(1_030 + 250);
    expect(1_100 + untilBeat(1_100, 30, 250)).toBe(1_030 + 250);
    expect(1_217 + untilBeat(1_217, 30, 250)).toBe(1_030 + 250);
  });

  it("leave a quarter of an interval after each beat, and are met whatever was late", () => {
    const times = fc.record({
      nowMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
      phaseMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
      intervalMs: fc.integer({ min: 10, max: 60_000 }),
    });
    fc.assert(
      fc.property(times, ({ nowMs, phaseMs, intervalMs }) => {
        const left = untilBeat(nowMs, phaseMs, intervalMs);
        expect(left).toBeGreaterThanOrEqual(intervalMs * 0.25);
        expect(left).toBeLessThanOrEqual(intervalMs * 1.25);
        const beats = (nowMs + left - phaseMs) / intervalMs;
        expect(Math.abs(beats - Math.round(beats))).toBeLessThan(1e-3);
      }),
    );
  });
});
