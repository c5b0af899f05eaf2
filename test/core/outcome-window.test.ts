import fc from "fast-check";
import { expect, it } from "vitest";
import { OutcomeWindow } from "../../src/core/outcome-window.ts";

const WINDOW_MS = 1_000;
const SLICE_MS = WINDOW_MS / 10;

it("agrees with a list of the calls of the last ten slices", () => {
  const call = fc.record({
    afterMs: fc.oneof(fc.nat(60), fc.nat(400), fc.nat(5_000)),
    failed: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(call, { maxLength: 80 }), (calls) => {
      const window = new OutcomeWindow(WINDOW_MS);
      const list: { slice: number; failed: boolean }[] = [];
      let nowMs = 0;
      for (const { afterMs, failed } of calls) {
        nowMs += afterMs;
        const slice = Math.floor(nowMs / SLICE_MS);
        window.add(failed, nowMs);
        list.push({ slice, failed });
        const lately = list.filter((one) => one.slice > slice - 10);
        expect([window.total, window.failures]).toEqual([
          lately.length,
          lately.filter((one) => one.failed).length,
        ]);
      }
    }),
  );
});

it("counts a call for at least nine tenths of the window, and never longer than the window", () => {
  fc.assert(
    fc.property(fc.nat(10_000), fc.nat(2_000), (firstMs, laterMs) => {
      const window = new OutcomeWindow(WINDOW_MS);
      window.add(true, firstMs);
      window.add(false, firstMs + laterMs);
      if (laterMs <= 0.9 * WINDOW_MS) expect(window.failures).toBe(1);
      if (laterMs >= WINDOW_MS) expect(window.failures).toBe(0);
    }),
  );
});

it("keeps what it has when a clock goes back, and counts in the newest slice", () => {
  const window = new OutcomeWindow(WINDOW_MS);
  window.add(true, 5_000);
  window.add(true, 1_000);
  expect([window.total, window.failures]).toEqual([2, 2]);
  window.add(false, 6_000);
  expect([window.total, window.failures]).toEqual([1, 0]);
});

it("is empty after it was cleared", () => {
  const window = new OutcomeWindow(WINDOW_MS);
  for (let n = 0; n < 20; n++) window.add(n % 2 === 0, n * 30);
  window.clear();
  expect([window.total, window.failures]).toEqual([0, 0]);
  window.add(true, 600);
  expect([window.total, window.failures]).toEqual([1, 1]);
});
