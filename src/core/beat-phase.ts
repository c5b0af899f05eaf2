/**
 * When the links of a node beat: together, as far as that costs nothing.
 *
 * Problem: each link beats every few hundred milliseconds; beats at times of their own wake the process once each, and
 * waking costs more than a beat. Approach: links share a phase, LINKS_PER_PHASE of them in the order in which they
 * rose, then the next one; there are PHASES, spread over the interval, so that a thousand beats are not one burst.
 * A beat that was late does not move those after it.
 *
 * Invariant: between two beats of a link that run in time lie LEAST_PART to 1 + LEAST_PART intervals, one as a rule.
 */

const LINKS_PER_PHASE = 32;
const PHASES = 8;
const LEAST_PART = 0.25;

export class BeatPhases {
  readonly #originMs: number;
  readonly #intervalMs: number;
  #given = 0;

  /** `originMs`: any time; nodes that start together should differ in it. */
  constructor(originMs: number, intervalMs: number) {
    this.#originMs = originMs;
    this.#intervalMs = intervalMs;
  }

  /** The phase of the next link. */
  next(): number {
    const phase = Math.floor(this.#given++ / LINKS_PER_PHASE) % PHASES;
    return this.#originMs + (phase * this.#intervalMs) / PHASES;
  }
}

/** From now to the next beat of a link with this phase. */
export const untilBeat = (nowMs: number, phaseMs: number, intervalMs: number): number => {
  const sinceMs = (((nowMs - phaseMs) % intervalMs) + intervalMs) % intervalMs;
  const leftMs = intervalMs - sinceMs;
  return leftMs < intervalMs * LEAST_PART ? leftMs + intervalMs : leftMs;
};
