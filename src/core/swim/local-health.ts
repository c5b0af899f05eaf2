/**
 * How far a node trusts itself.
 *
 * Problem: a node that is slow finds that everybody else does not answer in time. Approach (Lifeguard): a score
 * from 0, which its own failures raise and successes lower; intervals and time-outs of its probes are multiplied
 * by the score plus one.
 *
 * Invariant: 0 <= score <= `SCORE_MAX`.
 * Source: Lifeguard, section IV-A; the bound is memberlist's (a multiplier of at most 8).
 */

const SCORE_MAX = 7;

export class LocalHealth {
  #score = 0;

  get score(): number {
    return this.#score;
  }

  get multiplier(): number {
    return this.#score + 1;
  }

  /** Something went wrong, so often, that may be this node's own fault. */
  failed(times = 1): void {
    this.#score = Math.min(SCORE_MAX, this.#score + times);
  }

  succeeded(): void {
    this.#score = Math.max(0, this.#score - 1);
  }
}
