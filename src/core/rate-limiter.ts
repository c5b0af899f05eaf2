/**
 * How often something may start: at most `perSecond` in the long run, at most `burst` at once.
 *
 * Approach: the generic cell rate algorithm. One number, the theoretical arrival time of the next start if
 * all came evenly; a start is admitted when it is at most `burst - 1` intervals early. The number is kept in
 * units of a millisecond times `perSecond`, in which an interval is exactly 1,000: whole rates at whole
 * milliseconds are exact.
 *
 * Invariant: between any two moments w milliseconds apart, both included, at most `burst + w * perSecond /
 * 1,000` starts are admitted.
 * Rejected: a token bucket with a refill timer (the same verdicts, and a timer); a window of the last second
 * (twice the rate around its border, or a list of the starts).
 * Source: ITU-T I.371, annex A.1, "virtual scheduling".
 */
export type RatePolicy = {
  /** Above 0. */
  readonly perSecond: number;
  /** A whole number, from 1. */
  readonly burst: number;
};

const INTERVAL = 1_000;

export class RateLimiter {
  readonly #perSecond: number;
  readonly #early: number;
  #arrival = Number.NEGATIVE_INFINITY;

  constructor({ perSecond, burst }: RatePolicy) {
    this.#perSecond = perSecond;
    this.#early = (burst - 1) * INTERVAL;
  }

  /** Milliseconds until a start is admitted; 0 now. Takes nothing. */
  waitMs(nowMs: number): number {
    const early = this.#arrival - this.#early - nowMs * this.#perSecond;
    return early > 0 ? early / this.#perSecond : 0;
  }

  /** 0: admitted, and counted. Else the milliseconds until one is, and nothing changed. */
  admit(nowMs: number): number {
    const waitMs = this.waitMs(nowMs);
    if (waitMs > 0) return waitMs;
    this.charge(nowMs, 1);
    return 0;
  }

  /** Counts so many that were started, admitted or not: a debt that is waited for. */
  charge(nowMs: number, starts: number): void {
    this.#arrival = Math.max(this.#arrival, nowMs * this.#perSecond) + INTERVAL * starts;
  }
}
