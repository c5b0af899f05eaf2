/**
 * When to ask for peers on one interface.
 *
 * At once, then with pauses of 1, 2, 4... up to 60 s, for ever: 0 s, 1 s, 3 s, 7 s... (RFC 6762 section
 * 5.2). A long pause gets up to 2 % of jitter. When another host asks the same question late in our
 * pause, its answers serve us too and the query counts as sent (section 7.3), at most three times in a
 * row, so that nobody can silence us.
 */

const FIRST_PAUSE_MS = 1_000;
const PAUSE_MAX_MS = 60_000;
const JITTER = 0.02;
const SKIPPED_MAX = 3;

export class QuerySchedule {
  #dueMs: number;
  #pauseMs = FIRST_PAUSE_MS;
  #lastPauseMs = 0;
  #skipped = 0;

  constructor(nowMs: number) {
    this.#dueMs = nowMs;
  }

  /** When the next query is due. */
  get dueMs(): number {
    return this.#dueMs;
  }

  /** Notes that a query goes out now. `jitter` is uniform in [0, 1). */
  sent(nowMs: number, jitter: number): void {
    this.#dueMs = nowMs + this.#pauseMs * (1 + JITTER * jitter);
    this.#lastPauseMs = this.#pauseMs;
    this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSE_MAX_MS);
    this.#skipped = 0;
  }

  /**
   * Notes that the same question, with no known answer beyond ours, was heard. Our own query coming
   * back changes nothing, because hardly any of the pause has gone by then.
   */
  heardSame(nowMs: number): void {
    const leftMs = this.#dueMs - nowMs;
    if (this.#skipped >= SKIPPED_MAX || leftMs > this.#lastPauseMs / 2) return;
    if (this.#lastPauseMs <= FIRST_PAUSE_MS) return;
    this.#skipped += 1;
    this.#dueMs = nowMs + this.#lastPauseMs;
  }
}
