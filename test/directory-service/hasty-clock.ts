/** Real time that can also be made to jump: then what is due runs in the order of its time. */
import type { Clock, Timer } from "../../src/ports/clock.ts";

type Waiting = Timer & { readonly atMs: number; readonly fn: () => void; handle: NodeJS.Timeout };

export class HastyClock implements Clock {
  #aheadMs = 0;
  readonly #waiting = new Set<Waiting>();

  wallMs(): number {
    return Date.now() + this.#aheadMs;
  }

  monotonicMs(): number {
    return performance.now() + this.#aheadMs;
  }

  setTimer(delayMs: number, fn: () => void): Timer {
    const handle = setTimeout(() => this.#run(timer), delayMs).unref();
    const timer: Waiting = { atMs: this.monotonicMs() + delayMs, fn, handle };
    this.#waiting.add(timer);
    return timer;
  }

  clearTimer(timer: Timer): void {
    this.#waiting.delete(timer as Waiting);
    clearTimeout((timer as Waiting).handle);
  }

  endOfTurn(fn: () => void): void {
    queueMicrotask(() => process.nextTick(fn));
  }

  skip(ms: number): void {
    const endMs = this.monotonicMs() + ms;
    for (;;) {
      const due = [...this.#waiting].filter(({ atMs }) => atMs <= endMs);
      const next = due.sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#aheadMs += Math.max(0, next.atMs - this.monotonicMs());
      this.#run(next);
    }
    this.#aheadMs += Math.max(0, endMs - this.monotonicMs());
  }

  #run(timer: Waiting): void {
    if (!this.#waiting.delete(timer)) return;
    clearTimeout(timer.handle);
    timer.fn();
  }
}
