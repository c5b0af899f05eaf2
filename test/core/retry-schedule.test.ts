import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  isExhausted,
  jitterFraction,
  type RetryPolicy,
  retryDelayMs,
} from "../../src/core/retry-schedule.ts";

const POLICY: RetryPolicy = { attempts: 10, baseMs: 100, capMs: 60_000 };
const ALMOST_ONE = 1 - 2 ** -32;

describe("the retry schedule", () => {
  it.each([
    [1, 100],
    [2, 200],
    [3, 400],
    [10, 51_200],
    [11, 60_000],
    [1_000_000, 60_000],
  ])("draws the delay after failure %i from below %i ms", (failed, ceilingMs) => {
    expect(retryDelayMs(POLICY, failed, 0)).toBe(0);
    expect(retryDelayMs(POLICY, failed, 0.5)).toBe(ceilingMs / 2);
    expect(retryDelayMs(POLICY, failed, ALMOST_ONE)).toBe(ceilingMs - 1);
  });

  it("equals fraction * min(cap, base * 2^(n-1)) in whole milliseconds", () => {
    const policies = fc.record({
      attempts: fc.constant(10),
      baseMs: fc.nat(100_000),
      capMs: fc.nat(86_400_000),
    });
    const fractions = fc.integer({ min: 0, max: 2 ** 32 - 1 }).map((n) => n / 2 ** 32);
    fc.assert(
      fc.property(policies, fc.integer({ min: 1, max: 40 }), fractions, (policy, n, fraction) => {
        const ceiling = BigInt(policy.baseMs) * 2n ** BigInt(n - 1);
        const capped = ceiling < BigInt(policy.capMs) ? ceiling : BigInt(policy.capMs);
        expect(retryDelayMs(policy, n, fraction)).toBe(Math.floor(fraction * Number(capped)));
      }),
    );
  });

  it("is zero for a base of zero and at most the cap for a base above it", () => {
    expect(retryDelayMs({ ...POLICY, baseMs: 0 }, 1_000, ALMOST_ONE)).toBe(0);
    expect(retryDelayMs({ ...POLICY, baseMs: 90_000 }, 1, ALMOST_ONE)).toBe(59_999);
  });

  it("ends after the policy's number of runs", () => {
    expect(isExhausted(POLICY, 9)).toBe(false);
    expect(isExhausted(POLICY, 10)).toBe(true);
    expect(isExhausted(POLICY, 11)).toBe(true);
    expect(isExhausted({ ...POLICY, attempts: Infinity }, 1e9)).toBe(false);
  });
});

describe("the jitter fraction", () => {
  it("is in [0, 1) and the same for the same message and attempt", () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(), (hash, attempt) => {
        const fraction = jitterFraction(hash, attempt);
        expect(fraction).toBeGreaterThanOrEqual(0);
        expect(fraction).toBeLessThan(1);
        expect(jitterFraction(hash, attempt)).toBe(fraction);
      }),
    );
    expect(jitterFraction(0x12345678, 3)).toBe(0x4cb909fd / 2 ** 32);
  });

  it("spreads evenly over messages and over attempts", () => {
    const overMessages = new Array<number>(16).fill(0);
    const overAttempts = new Array<number>(16).fill(0);
    for (let n = 1; n <= 16_000; n++) {
      const a = Math.floor(jitterFraction(n, 1) * 16);
      const b = Math.floor(jitterFraction(77, n) * 16);
      overMessages[a] = (overMessages[a] as number) + 1;
      overAttempts[b] = (overAttempts[b] as number) + 1;
    }
    // 1,000 expected in each, standard deviation 31.
    for (const count of [...overMessages, ...overAttempts]) {
      expect(Math.abs(count - 1_000)).toBeLessThan(155);
    }
  });

  it("does not go hand in hand for one message's attempts", () => {
    let sum = 0;
    for (let n = 1; n <= 10_000; n++) {
      sum += (jitterFraction(n, 1) - 0.5) * (jitterFraction(n, 2) - 0.5);
    }
    // The correlation: 12 is one over the variance of a uniform fraction.
    expect(Math.abs((sum / 10_000) * 12)).toBeLessThan(0.05);
  });
});
