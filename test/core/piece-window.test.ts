import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PieceWindow } from "../../src/core/piece-window.ts";

const MIN = 128 * 1024;
const MAX = 8 * 1024 * 1024;
const PIECE = 32 * 1024;

/** A path that takes `bytesPerMs`, after `delayMs` there and back; a window at a time. */
const windowOf = (bytesPerMs: number, delayMs: number, pieces: number): number => {
  const window = new PieceWindow(MIN, MAX);
  let sent = 0;
  let taken = 0;
  let nowMs = 0;
  let freeMs = 0;
  const underWay: { upTo: number; sentMs: number; takenMs: number }[] = [];
  for (let count = 0; count < pieces; count++) {
    while (sent - taken + PIECE <= window.bytes) {
      sent += PIECE;
      freeMs = Math.max(freeMs, nowMs) + PIECE / bytesPerMs;
      underWay.push({ upTo: sent, sentMs: nowMs, takenMs: freeMs + delayMs });
    }
    const first = underWay.shift();
    if (first === undefined) throw new Error("nothing is on its way");
    nowMs = first.takenMs;
    taken = first.upTo;
    window.taken(first.sentMs, nowMs, PIECE, sent, taken);
  }
  return window.bytes;
};

describe("PieceWindow", () => {
  it("stays small where bytes queue: a request behind them waits for less than a millisecond", () => {
    const bytesPerMs = 500_000;
    expect(windowOf(bytesPerMs, 0.05, 4_000) / bytesPerMs).toBeLessThan(1);
  });

  it("stays near the least there is on a slow network", () => {
    expect(windowOf(1_000, 1, 2_000)).toBeLessThan(1.5 * MIN);
  });

  it("grows to what a long path holds", () => {
    expect(windowOf(200_000, 20, 8_000)).toBeGreaterThan(0.7 * 200_000 * 20);
  });

  it("stays within its bounds, whatever the clock says", () => {
    const step = fc.record({ tookMs: fc.double({ min: -50, max: 500, noNaN: true }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const window = new PieceWindow(MIN, MAX);
        let nowMs = 0;
        let taken = 0;
        for (const { tookMs } of steps) {
          nowMs += Math.abs(tookMs);
          taken += PIECE;
          window.taken(nowMs - tookMs, nowMs, PIECE, taken + window.bytes, taken);
          expect(window.bytes).toBeGreaterThanOrEqual(MIN);
          expect(window.bytes).toBeLessThanOrEqual(MAX);
        }
      }),
    );
  });
});
