import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RateLimiter, type RatePolicy } from "../../src/core/rate-limiter.ts";

describe("a rate limiter", () => {
  it("admits a burst at once, then one for each interval", () => {
    const limiter = new RateLimiter({ perSecond: 10, burst: 3 });
    const admitted: number[] = [];
    for (let nowMs = 0; nowMs <= 300; nowMs++) {
      while (limiter.admit(nowMs) === 0) admitted.push(nowMs);
    }
    expect(admitted).toEqual([0, 0, 0, 100, 200, 300]);
  });

  it("says how long to wait, and takes nothing by saying so", () => {
    const limiter = new RateLimiter({ perSecond: 4, burst: 1 });
    expect(limiter.admit(1_000)).toBe(0);
    expect([limiter.waitMs(1_000), limiter.waitMs(1_100), limiter.admit(1_249)]).toEqual([
      250, 150, 1,
    ]);
    expect(limiter.waitMs(1_250)).toBe(0);
    expect(limiter.admit(1_250)).toBe(0);
  });

  it("keeps no more than a burst for quiet times", () => {
    const limiter = new RateLimiter({ perSecond: 1_000, burst: 2 });
    expect([limiter.admit(0), limiter.admit(0)]).toEqual([0, 0]);
    const later = 3_600_000;
    expect([limiter.admit(later), limiter.admit(later), limiter.admit(later)]).toEqual([0, 0, 1]);
  });

  it("takes rates below one in a second", () => {
    const limiter = new RateLimiter({ perSecond: 0.5, burst: 1 });
    expect(limiter.admit(0)).toBe(0);
    expect(limiter.admit(500)).toBe(1_500);
    expect(limiter.admit(2_000)).toBe(0);
  });
});

/** A bucket of tokens, in thousandths of a token, filled millisecond by millisecond. */
class PlainBucket {
  readonly #policy: RatePolicy;
  #thousandths: number;
  #nowMs: number;

  constructor(policy: RatePolicy, nowMs: number) {
    this.#policy = policy;
    this.#thousandths = 1_000 * policy.burst;
    this.#nowMs = nowMs;
  }

  takes(nowMs: number): boolean {
    const full = 1_000 * this.#policy.burst;
    for (; this.#nowMs < nowMs; this.#nowMs++) {
      this.#thousandths = Math.min(full, this.#thousandths + this.#policy.perSecond);
    }
    if (this.#thousandths < 1_000) return false;
    this.#thousandths -= 1_000;
    return true;
  }
}

describe("a rate limiter, whatever comes when", () => {
  const policies = fc.record({
    perSecond: fc.integer({ min: 1, max: 3_000 }),
    burst: fc.integer({ min: 1, max: 20 }),
  });
  const gaps = fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 200 });

  it("admits what a bucket of tokens admits", () => {
    fc.assert(
      fc.property(policies, gaps, (policy, waits) => {
        const limiter = new RateLimiter(policy);
        const bucket = new PlainBucket(policy, 0);
        let nowMs = 0;
        for (const wait of waits) {
          nowMs += wait;
          expect(limiter.admit(nowMs) === 0).toBe(bucket.takes(nowMs));
        }
      }),
    );
  });

  it("admits after the wait it named, and not a millisecond before", () => {
    fc.assert(
      fc.property(policies, gaps, (policy, waits) => {
        const limiter = new RateLimiter(policy);
        let nowMs = 0;
        for (const wait of waits) {
          nowMs += wait;
          const waitMs = Math.ceil(limiter.admit(nowMs));
          if (waitMs === 0) continue;
          expect(limiter.waitMs(nowMs + waitMs - 1)).toBeGreaterThan(0);
          expect(limiter.waitMs(nowMs + waitMs)).toBe(0);
        }
      }),
    );
  });

  it("admits in no span more than a burst and the rate's share of it", () => {
    fc.assert(
      fc.property(policies, gaps, (policy, waits) => {
        const limiter = new RateLimiter(policy);
        const admitted: number[] = [];
        let nowMs = 0;
        for (const wait of waits) {
          nowMs += wait;
          while (limiter.admit(nowMs) === 0) admitted.push(nowMs);
        }
        for (let from = 0; from < admitted.length; from += 7) {
          for (let to = from; to < admitted.length; to += 5) {
            const spanMs = (admitted[to] as number) - (admitted[from] as number);
            const most = policy.burst + (spanMs * policy.perSecond) / 1_000;
            expect(to - from + 1).toBeLessThanOrEqual(most);
          }
        }
      }),
    );
  });
});
