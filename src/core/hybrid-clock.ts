/**
 * A hybrid logical clock: timestamps close to wall time that never contradict cause and effect.
 *
 * Problem: wall clocks of nodes differ and jump back, yet "which definition is newer" and "when was
 * this accepted" need times that grow along every chain of messages. Approach: a pair (ms,
 * counter). `now` is the larger of the wall clock and the last pair, counted up; hearing a later
 * pair raises the last one. A pair too far ahead of the own wall clock is not merged, so that one
 * broken clock cannot drag the mesh along.
 *
 * Invariants: `now` is strictly increasing; after a merge it is greater than what was merged;
 * merging alone never puts `last.ms` above the largest wall time seen + maxAheadMs; `0 <= counter
 * <= 65535`. When the counter is used up the milliseconds step ahead of the wall, which catches up
 * by itself. No order, dedup or fence rests on these times alone.
 * Rejected: vector clocks (they grow with the mesh, and nothing here needs to detect concurrency).
 * Source: Kulkarni, Demirbas, Madappa, Avva, Leone: "Logical Physical Clocks", OPODIS 2014, figure
 * 5.
 */

/** Milliseconds since 1970 and a counter inside the millisecond; 48 and 16 bits on the wire. */
export type HybridTime = { readonly ms: number; readonly counter: number };

export type MergeVerdict = "merged" | "tooFarAhead";

/** How far ahead of the own wall clock a remote time may be and still count. */
export const MAX_AHEAD_MS = 60_000;

const COUNTER_MAX = 0xffff;

/** Negative when `a` is earlier, 0 when equal, positive when later. */
export const compareHybridTimes = (a: HybridTime, b: HybridTime): number =>
  a.ms === b.ms ? a.counter - b.counter : a.ms - b.ms;

export class HybridClock {
  readonly #maxAheadMs: number;
  #ms: number;
  #counter: number;

  /**
   * `last`: the latest time this node ever gave out, as far as it is stored; the clock goes on
   * after it.
   */
  constructor(maxAheadMs: number = MAX_AHEAD_MS, last: HybridTime = { ms: 0, counter: 0 }) {
    this.#maxAheadMs = maxAheadMs;
    this.#ms = last.ms;
    this.#counter = last.counter;
  }

  /** The latest time given out or merged. */
  get last(): HybridTime {
    return { ms: this.#ms, counter: this.#counter };
  }

  /**
   * A time later than any before it. A wall clock that stands still or jumps back is outvoted by
   * `last`.
   */
  now(wallMs: number): HybridTime {
    const wall = Math.floor(wallMs);
    if (wall > this.#ms) {
      this.#ms = wall;
      this.#counter = 0;
    } else if (this.#counter < COUNTER_MAX) {
      this.#counter++;
    } else {
      this.#ms++;
      this.#counter = 0;
    }
    return { ms: this.#ms, counter: this.#counter };
  }

  /**
   * Hears of a remote time. Whatever is more than `maxAheadMs` ahead of `wallMs` changes nothing.
   */
  merge(remote: HybridTime, wallMs: number): MergeVerdict {
    // Written so that NaN falls on the refusing side.
    if (!(remote.ms - wallMs <= this.#maxAheadMs)) return "tooFarAhead";
    if (remote.ms > this.#ms || (remote.ms === this.#ms && remote.counter > this.#counter)) {
      this.#ms = remote.ms;
      this.#counter = remote.counter;
    }
    return "merged";
  }
}
