import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ADDRESSES_MAX, AddressRates } from "../../src/core/address-rates.ts";
import { FairStarts } from "../../src/core/fair-starts.ts";

const POLICIES = { all: { perSecond: 100, burst: 4 }, each: { perSecond: 10, burst: 2 } };

/** What begins at this moment, in order. */
const begun = <Item>(starts: FairStarts<Item>, nowMs: number): Item[] => {
  const items: Item[] = [];
  for (;;) {
    const next = starts.next(nowMs);
    if (next === undefined || "waitMs" in next) return items;
    items.push(next.item);
  }
};

describe("starts of strangers", () => {
  it("take turns between addresses, the newest of each first", () => {
    const starts = new FairStarts<string>(POLICIES);
    for (const item of ["a1", "a2", "a3"]) starts.add("a", item);
    starts.add("b", "b1");
    starts.add("c", "c1");
    expect(begun(starts, 0)).toEqual(["a3", "b1", "c1", "a2"]);
    expect(starts.next(0)).toEqual({ waitMs: 100 }); // "a" has had its burst
    expect(begun(starts, 99)).toEqual([]);
    expect(begun(starts, 100)).toEqual(["a1"]);
    expect(starts.next(100)).toBeUndefined();
  });

  it("forget what waits no longer", () => {
    const starts = new FairStarts<string>(POLICIES);
    starts.add("a", "a1");
    starts.add("a", "a2");
    starts.remove("a", "a2");
    starts.remove("a", "a2");
    starts.remove("b", "b1");
    expect(begun(starts, 0)).toEqual(["a1"]);
    expect(starts.next(0)).toBeUndefined();
  });

  it("keep both rates, and let nobody wait for one who asks without end", () => {
    const asked = fc.array(fc.tuple(fc.nat({ max: 200 }), fc.constantFrom("a", "b", "c")), {
      minLength: 1,
      maxLength: 300,
    });
    fc.assert(
      fc.property(asked, (arrivals) => {
        const starts = new FairStarts<{ from: string }>(POLICIES);
        const at: Record<string, number[]> = { a: [], b: [], c: [], quiet: [] };
        const all: number[] = [];
        let nowMs = 0;
        const take = (): void => {
          for (const { from } of begun(starts, nowMs)) {
            at[from]?.push(nowMs);
            all.push(nowMs);
          }
        };
        for (const [pauseMs, from] of arrivals) {
          for (const endMs = nowMs + pauseMs; nowMs < endMs; nowMs++) take();
          starts.add(from, { from });
        }
        starts.add("quiet", { from: "quiet" });
        const cameMs = nowMs;
        for (let left = 60_000; all.length <= arrivals.length && left > 0; left--, nowMs++) take();
        expect(all.length).toBe(arrivals.length + 1);
        // Three others go first at most, one each, and what the burst of all still owes.
        expect((at.quiet?.[0] ?? Infinity) - cameMs).toBeLessThanOrEqual(5 * 10);
        for (const [times, { perSecond, burst }] of [
          [all, POLICIES.all],
          ...Object.values(at).map((one) => [one, POLICIES.each] as const),
        ] as const) {
          times.forEach((startMs, from) => {
            const within = times.filter((ms, n) => n >= from && ms <= startMs + 1_000).length;
            expect(within).toBeLessThanOrEqual(burst + perSecond);
          });
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe("rates of addresses", () => {
  it("are kept of the last ones: the first is forgotten for one more", () => {
    const rates = new AddressRates({ perSecond: 1, burst: 1 });
    expect([rates.of("first").admit(0), rates.of("first").admit(0)]).toEqual([0, 1_000]);
    for (let n = 1; n < ADDRESSES_MAX; n++) rates.of(`n${n}`);
    expect(rates.of("first").waitMs(0)).toBe(1_000);
    rates.of("one more");
    expect(rates.of("first").waitMs(0)).toBe(0);
  });
});
