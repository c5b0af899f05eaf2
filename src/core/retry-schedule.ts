/**
 * When a failed message is tried again.
 *
 * Problem: retries at fixed or plainly doubled intervals arrive together and keep the failing
 * service down. Approach: "full jitter": a delay uniform between zero and an exponentially growing
 * ceiling. The random fraction is an argument; `jitterFraction` makes one of the message and the
 * attempt, so that a restarted or simulated producer arrives at the same delay.
 *
 * Invariants: `0 <= delay <= min(capMs, baseMs * 2^(n-1))`, an integer; the ceiling never falls
 * with n; only doubling and comparing, so the result is the same on every engine.
 * Rejected: equal jitter (more work for the failing side), decorrelated jitter (needs the last
 * delay stored).
 * Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).
 */
import { mix32 } from "./shard-map.ts";

export type RetryPolicy = {
  /** Runs in all, the first one included; Infinity for no end. */
  readonly attempts: number;
  /** Ceiling of the first delay. */
  readonly baseMs: number;
  /** Ceiling of every delay. */
  readonly capMs: number;
};

/**
 * Milliseconds to wait after the `failedAttempts`-th failure (from 1).
 * `fraction` is in [0, 1).
 */
export const retryDelayMs = (
  policy: RetryPolicy,
  failedAttempts: number,
  fraction: number,
): number => {
  const { baseMs, capMs } = policy;
  let ceilingMs = baseMs;
  // Ends after log2(cap / base) steps however many attempts failed; zero never reaches the cap.
  for (let n = 1; n < failedAttempts && ceilingMs < capMs && ceilingMs > 0; n++) ceilingMs *= 2;
  return Math.floor(fraction * Math.min(capMs, ceilingMs));
};

/** True when the policy allows no further run. */
export const isExhausted = (policy: RetryPolicy, failedAttempts: number): boolean =>
  failedAttempts >= policy.attempts;

/** A fraction in [0, 1) that looks random and depends on the message and the attempt only. */
export const jitterFraction = (messageHash: number, attempt: number): number =>
  mix32(mix32(messageHash) ^ Math.imul(attempt, 0x9e37_79b9)) / 0x1_0000_0000;
