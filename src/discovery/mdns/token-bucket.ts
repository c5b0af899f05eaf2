/**
 * A token bucket: bounds how often something may happen, with room for a burst.
 *
 * Invariant: over any span of t seconds at most `burst + perSecond * t` calls of `take` succeed.
 */
export class TokenBucket {
  readonly #burst: number;
  readonly #perSecond: number;
  #tokens: number;
  #filledAtMs = 0;

  constructor(burst: number, perSecond: number) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#tokens = burst;
  }

  /** Takes one token; false when there is none. */
  take(nowMs: number): boolean {
    this.#fill(nowMs);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** When `take` can succeed next: `nowMs` itself when it can now. */
  readyAtMs(nowMs: number): number {
    this.#fill(nowMs);
    return this.#tokens >= 1 ? nowMs : nowMs + ((1 - this.#tokens) / this.#perSecond) * 1_000;
  }

  #fill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.#filledAtMs);
    this.#filledAtMs = Math.max(nowMs, this.#filledAtMs);
    // The small excess forgives rounding, so that a call at `readyAtMs` does succeed.
    const grown = this.#tokens + (elapsedMs / 1_000) * this.#perSecond + 1e-9;
    this.#tokens = Math.min(this.#burst, grown);
  }
}
