/**
 * How long a peer has been silent, as far as that is the peer's doing.
 *
 * Time in which this process itself stood still does not count: what came meanwhile waits to be read behind
 * the timer that looks.
 */
import type { Clock } from "../../ports/clock.ts";

export class Silence {
  readonly #clock: Clock;
  #heardMs = 0;
  #lookedMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds since the peer was last heard. */
  get ms(): number {
    return this.#clock.monotonicMs() - this.#heardMs;
  }

  /** From here on `isLonger` is asked every heartbeat. */
  watch(): void {
    this.#lookedMs = this.#clock.monotonicMs();
  }

  /** Something came, or silence counts from now. */
  end(): void {
    this.#heardMs = this.#clock.monotonicMs();
  }

  isLonger(silenceMs: number, heartbeatMs: number): boolean {
    const now = this.#clock.monotonicMs();
    const lateMs = now - this.#lookedMs - heartbeatMs;
    this.#lookedMs = now;
    if (lateMs > heartbeatMs) this.#heardMs = Math.min(now, this.#heardMs + lateMs);
    return this.ms > silenceMs;
  }
}
