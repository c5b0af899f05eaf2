/**
 * When heartbeats of one link were sent, to know how old an answer is.
 *
 * A link numbers its heartbeats from 1; an answer names the last one its sender had heard. Bound: `KEPT_MAX`
 * unanswered ones; of older ones an answer says nothing.
 */
const KEPT_MAX = 256;

export class PingTimes {
  readonly #sentMs = new Map<number, number>();
  #last = 0;

  /** The next heartbeat leaves now. */
  sent(nowMs: number): void {
    this.#sentMs.set(++this.#last, nowMs);
    this.#sentMs.delete(this.#last - KEPT_MAX);
  }

  /** When the heartbeat that was answered left; undefined when that is not known. */
  answered(id: number): number | undefined {
    const sentMs = this.#sentMs.get(id);
    if (sentMs === undefined) return undefined;
    for (const earlier of this.#sentMs.keys()) {
      if (earlier > id) break;
      this.#sentMs.delete(earlier);
    }
    return sentMs;
  }
}
