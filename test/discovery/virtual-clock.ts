/** A clock that moves only when told, for discoveries: runs timers in order of their time. */
import type { Clock, Timer } from "../../src/ports/clock.ts";

type Pending = Timer & { atMs: number; fn: () => void };

export class VirtualClock implements Clock {
  #nowMs = 0;
  readonly #pending = new Set<Pending>();

  get timerCount(): number {
    return this.#pending.size;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, fn: () => void): Timer {
    const timer: Pending = { atMs: this.#nowMs + delayMs, fn };
    this.#pending.add(timer);
    return timer;
  }

  clearTimer(timer: Timer): void {
    this.#pending.delete(timer as Pending);
  }

  endOfTurn(fn: () => void): void {
    this.setTimer(0, fn);
  }

  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs;
    for (;;) {
      const due = [...this.#pending].filter((timer) => timer.atMs <= endMs);
      const next = due.sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#pending.delete(next);
      this.#nowMs = next.atMs;
      next.fn();
    }
    this.#nowMs = endMs;
  }
}
