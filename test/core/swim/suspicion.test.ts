import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Suspicion, suspicionMs, suspicionSpan } from "../../../src/core/swim/suspicion.ts";
import { SWIM_TIMES } from "../../../src/core/swim/swim-times.ts";

describe("the time of a suspicion", () => {
  // The values of memberlist's own table, for 2 s, 30 s and 3 wanted.
  it.each([
    [0, 30_000],
    [1, 16_000],
    [2, 7_810.9],
    [3, 2_000],
    [4, 2_000],
  ])("falls with %i confirmations to %d ms", (confirmed, expected) => {
    const span = { minMs: 2_000, maxMs: 30_000, wanted: 3 };
    expect(suspicionMs(span, confirmed)).toBeCloseTo(expected, 0);
  });

  it("grows with the logarithm of the mesh, and wants no more accusers than there are", () => {
    const times = SWIM_TIMES.default;
    expect(suspicionSpan(times, 10)).toEqual({ minMs: 4_000, maxMs: 24_000, wanted: 3 });
    expect(suspicionSpan(times, 10_000)).toEqual({ minMs: 16_000, maxMs: 96_000, wanted: 3 });
    expect(suspicionSpan(times, 3).wanted).toBe(1);
    expect(suspicionSpan(times, 2)).toEqual({ minMs: 4_000, maxMs: 24_000, wanted: 0 });
  });

  it("lies between its bounds and never grows", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20_000 }), fc.nat(10), (live, confirmed) => {
        const span = suspicionSpan(SWIM_TIMES.lan, live);
        const ms = suspicionMs(span, confirmed);
        expect(ms).toBeGreaterThanOrEqual(span.minMs);
        expect(ms).toBeLessThanOrEqual(span.maxMs);
        expect(suspicionMs(span, confirmed + 1)).toBeLessThanOrEqual(ms);
      }),
    );
  });
});

describe("a suspicion", () => {
  const span = { minMs: 1_000, maxMs: 4_000, wanted: 2 };

  it("counts each accuser once, the first included, and as many as are wanted", () => {
    const suspicion = new Suspicion(span, 200, "a", 0);
    expect(suspicion.endMs).toBe(4_000);
    expect(suspicion.confirm("a")).toBe(false);
    expect(suspicion.confirm("b")).toBe(true);
    expect(suspicion.confirm("b")).toBe(false);
    expect(suspicion.confirm("c")).toBe(true);
    expect(suspicion.endMs).toBe(1_000);
    expect(suspicion.confirm("d")).toBe(false);
  });

  it("calls the suspect once before it ends", () => {
    const suspicion = new Suspicion(span, 200, "a", 0);
    expect(suspicion.nextMs).toBe(3_800);
    expect(suspicion.isLastCall(3_799)).toBe(false);
    expect(suspicion.isLastCall(3_800)).toBe(true);
    expect(suspicion.isLastCall(3_801)).toBe(false);
    expect(suspicion.nextMs).toBe(4_000);
  });

  it("does not end before a node that stood still has heard what it missed", () => {
    const suspicion = new Suspicion(span, 200, "a", 0);
    suspicion.notBefore(5_000);
    expect(suspicion.endMs).toBe(5_000);
  });
});
