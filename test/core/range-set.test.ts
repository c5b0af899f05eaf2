import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RangeSet } from "../../src/core/range-set.ts";
import { MeshError } from "../../src/errors.ts";

const MAX = Number.MAX_SAFE_INTEGER;

type Step =
  | { readonly kind: "add"; readonly from: number; readonly length: number }
  | { readonly kind: "removeBelow"; readonly n: number };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("add" as const),
        from: fc.nat(120),
        length: fc.oneof(fc.constant(0), fc.nat(12)),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant("removeBelow" as const), n: fc.nat(60) }),
    },
  ),
  { maxLength: 80 },
);

/** Maximal runs of a plain set. */
const runsOf = (set: ReadonlySet<number>): { from: number; to: number }[] => {
  const runs: { from: number; to: number }[] = [];
  for (const n of [...set].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && last.to === n - 1) last.to = n;
    else runs.push({ from: n, to: n });
  }
  return runs;
};

const play = (script: readonly Step[]): { ranges: RangeSet; plain: Set<number> } => {
  const ranges = new RangeSet();
  const plain = new Set<number>();
  for (const step of script) {
    if (step.kind === "add") {
      ranges.add(step.from, step.from + step.length);
      for (let n = step.from; n <= step.from + step.length; n++) plain.add(n);
    } else {
      ranges.removeBelow(step.n);
      for (const n of plain) if (n <= step.n) plain.delete(n);
    }
  }
  return { ranges, plain };
};

const code = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof MeshError) return error.code;
    throw error;
  }
  return "none";
};

describe("RangeSet", () => {
  it("holds what a plain set holds, as its maximal runs", () => {
    fc.assert(
      fc.property(steps, (script) => {
        const { ranges, plain } = play(script);
        const runs = runsOf(plain);
        expect([...ranges.ranges()]).toEqual(runs);
        expect(ranges.size).toBe(runs.length);
        expect(ranges.first).toEqual(runs[0]);
        expect(ranges.last).toEqual(runs.at(-1));
        for (let n = 0; n < 140; n++) expect(ranges.has(n)).toBe(plain.has(n));
      }),
      { numRuns: 500 },
    );
  });

  it("answers for whole ranges as asking number by number would", () => {
    fc.assert(
      fc.property(steps, fc.nat(120), fc.nat(10), (script, from, length) => {
        const { ranges, plain } = play(script);
        const asked = Array.from({ length: length + 1 }, (_, index) => from + index);
        expect(ranges.hasAll(from, from + length)).toBe(asked.every((n) => plain.has(n)));
        expect(ranges.meets(from, from + length)).toBe(asked.some((n) => plain.has(n)));
      }),
      { numRuns: 500 },
    );
  });

  it("comes back equal from its bytes, and equal sets have equal bytes", () => {
    fc.assert(
      fc.property(steps, (script) => {
        const { ranges, plain } = play(script);
        const bytes = ranges.encode();
        expect([...RangeSet.decode(bytes).ranges()]).toEqual([...ranges.ranges()]);
        const rebuilt = new RangeSet();
        for (const n of [...plain].reverse()) rebuilt.add(n, n);
        expect(rebuilt.encode()).toEqual(bytes);
      }),
    );
  });

  it("keeps large numbers exact, up to 2^53-1", () => {
    const big = fc.tuple(fc.maxSafeNat(), fc.maxSafeNat());
    fc.assert(
      fc.property(big, ([a, b]) => {
        const ranges = new RangeSet();
        ranges.add(Math.min(a, b), Math.max(a, b));
        expect([...RangeSet.decode(ranges.encode()).ranges()]).toEqual([...ranges.ranges()]);
      }),
    );
    const top = new RangeSet();
    top.add(MAX, MAX);
    top.add(0, 0);
    top.add(MAX - 2, MAX - 2);
    expect([...RangeSet.decode(top.encode()).ranges()]).toEqual([
      { from: 0, to: 0 },
      { from: MAX - 2, to: MAX - 2 },
      { from: MAX, to: MAX },
    ]);
  });

  it("writes the bytes it always wrote", () => {
    const ranges = new RangeSet();
    for (const [from, to] of [
      [1, 200],
      [202, 202],
      [1000, 1000 + 16384],
    ] as const) {
      ranges.add(from, to);
    }
    expect(Buffer.from(ranges.encode()).toString("hex")).toBe("0301c70100009c06808001");
    expect(Buffer.from(new RangeSet().encode()).toString("hex")).toBe("00");
  });

  it("refuses what is no range", () => {
    const ranges = new RangeSet();
    for (const [from, to] of [
      [2, 1],
      [-1, 1],
      [0.5, 1],
      [1, MAX + 1],
      [Number.NaN, 1],
    ] as const) {
      expect(code(() => ranges.add(from, to))).toBe("INVALID_OPTIONS");
    }
    expect(ranges.size).toBe(0);
  });

  it("refuses damaged bytes and never fails in another way", () => {
    const wrong = ["", "01", "0101", "0280", "0000", "018000", "01ffffffffffffffff7f00"];
    wrong.push("010080", "00ff", "01ffffffffffffff0f01", "ffffffffffffff0f");
    for (const hex of wrong) {
      const bytes = Buffer.from(hex, "hex");
      expect(
        code(() => RangeSet.decode(bytes)),
        hex,
      ).toBe("JOURNAL_DAMAGED");
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), (bytes) => {
        const outcome = code(() => {
          // Whatever is accepted is the one encoding of what it means.
          expect(RangeSet.decode(bytes).encode()).toEqual(bytes);
        });
        expect(["none", "JOURNAL_DAMAGED"]).toContain(outcome);
      }),
      { numRuns: 2000 },
    );
  });

  it("stays one range, whatever its length, when acks come in order", () => {
    const ranges = new RangeSet();
    for (let n = 1; n <= 100_000; n++) {
      ranges.add(n, n);
      if (n % 1000 === 0) ranges.removeBelow(n - 10);
    }
    expect([...ranges.ranges()]).toEqual([{ from: 99_991, to: 100_000 }]);
  });

  it("forgets a long dead front and goes on exactly as before", () => {
    const ranges = new RangeSet();
    const plain = new Set<number>();
    for (let n = 0; n < 2_000; n += 2) {
      ranges.add(n, n);
      plain.add(n);
      if (n % 50 === 0 && n > 600) {
        ranges.removeBelow(n - 300);
        for (const m of plain) if (m <= n - 300) plain.delete(m);
        ranges.add(n - 199, n - 199); // joins two ranges in the middle
        plain.add(n - 199);
      }
    }
    expect([...ranges.ranges()]).toEqual(runsOf(plain));
    expect(ranges.size).toBeGreaterThan(100);
  });
});
