/**
 * How many bytes of pieces may be on their way at a time.
 *
 * Problem: what was handed to a socket cannot be overtaken, and kernels and libraries buffer megabytes: a request
 * behind them waits for all of it. But a long path needs as many bytes under way as it holds. Approach: the time from
 * sending a piece to hearing that it was taken, less the shortest such time seen lately, is how long pieces queue
 * somewhere. The window grows while that is far below QUEUE_MS, shrinks above it, and stays between its bounds.
 *
 * Invariants: bytesMin <= bytes <= bytesMax; a clock that jumps changes the window by one step, never its bounds.
 * Source: TCP Vegas (Brakmo 1994); LEDBAT (RFC 6817), which has the two-slot minimum.
 */

/** How long pieces may queue on their way, in milliseconds: a request behind them waits no longer. */
const QUEUE_MS = 0.5;
/** The shortest time is that of the last one to two of these. */
const SLOT_MS = 60_000;

export class PieceWindow {
  readonly #bytesMin: number;
  readonly #bytesMax: number;
  #bytes: number;
  #shortest = Number.POSITIVE_INFINITY;
  #shortestBefore = Number.POSITIVE_INFINITY;
  #slotMs = Number.NEGATIVE_INFINITY;
  /** It shrinks once for what was on its way, not once for each piece of it. */
  #quietUntil = 0;

  constructor(bytesMin: number, bytesMax: number) {
    this.#bytesMin = bytesMin;
    this.#bytesMax = bytesMax;
    this.#bytes = Math.min(2 * bytesMin, bytesMax);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * A piece sent at `sentMs` was taken, the last of `bytes`.
   * @param sent, taken bytes of pieces since the session began
   */
  taken(sentMs: number, nowMs: number, bytes: number, sent: number, taken: number): void {
    if (nowMs - this.#slotMs >= SLOT_MS) {
      this.#shortestBefore = this.#shortest;
      this.#shortest = Number.POSITIVE_INFINITY;
      this.#slotMs = nowMs;
    }
    const tookMs = Math.max(0, nowMs - sentMs);
    this.#shortest = Math.min(this.#shortest, tookMs);
    const queuedMs = tookMs - Math.min(this.#shortest, this.#shortestBefore);
    if (queuedMs <= QUEUE_MS / 2) {
      this.#bytes = Math.min(this.#bytesMax, this.#bytes + bytes);
    } else if (queuedMs > QUEUE_MS && taken >= this.#quietUntil) {
      this.#bytes = Math.max(this.#bytesMin, Math.floor((this.#bytes * 3) / 4));
      this.#quietUntil = sent;
    }
  }
}
