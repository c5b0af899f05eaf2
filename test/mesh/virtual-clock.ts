/**
 * Time that stands still until it is told to go on: timers fire in order, at their virtual moment, and all
 * promise reactions run between two of them.
 *
 * `run` lets time pass until a promise has settled. A loop that sets timers of 0 ms for ever is caught.
 */
import { setImmediate as immediate } from "node:timers/promises";
import type { Clock, Timer } from "../../src/ports/clock.ts";

type Armed = Timer & { readonly atMs: number; readonly order: number; readonly fn: () => void };

const START_WALL_MS = Date.UTC(2030, 0, 1);
/** Timers that may fire at one virtual moment. */
const AT_ONCE_MAX = 100_000;

export class VirtualClock implements Clock {
  #nowMs = 1_000;
  #wallAheadMs = START_WALL_MS;
  #order = 0;
  readonly #timers = new Set<Armed>();

  wallMs(): number {
    return Math.floor(this.#wallAheadMs + this.#nowMs);
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, fn: () => void): Timer {
    const timer: Armed = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, fn };
    this.#timers.add(timer);
    return timer;
  }

  clearTimer(timer: Timer): void {
    this.#timers.delete(timer as Armed);
  }

  endOfTurn(fn: () => void): void {
    queueMicrotask(() => process.nextTick(fn));
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** The process stands still: time passes, and nothing fires meanwhile. */
  stall(ms: number): void {
    this.#nowMs += ms;
  }

  /** Everything that can happen without time passing happens. */
  async settle(): Promise<void> {
    await this.#passTo(this.#nowMs);
  }

  /** So much time passes. */
  async advance(ms: number): Promise<void> {
    await this.#passTo(this.#nowMs + ms);
  }

  /** Time passes until the promise settles, at most `limitMs`. */
  async run<T>(promise: Promise<T>, limitMs = 120_000): Promise<T> {
    let settled = false;
    const over = (): void => {
      settled = true;
    };
    promise.then(over, over);
    await this.until(() => settled, limitMs);
    return promise;
  }

  /** Time passes until the condition holds. */
  async until(condition: () => boolean, limitMs = 120_000): Promise<void> {
    const endMs = this.#nowMs + limitMs;
    for (let steps = 0; ; steps++) {
      await immediate();
      if (condition()) return;
      const next = this.#next(endMs);
      if (next === undefined || steps > 50 * AT_ONCE_MAX) {
        throw new Error(`nothing more happens, and the condition does not hold: ${condition}`);
      }
      this.#fire(next);
    }
  }

  async #passTo(endMs: number): Promise<void> {
    let atOnce = 0;
    await immediate();
    for (let next = this.#next(endMs); next !== undefined; next = this.#next(endMs)) {
      atOnce = next.atMs > this.#nowMs ? 0 : atOnce + 1;
      if (atOnce > AT_ONCE_MAX) throw new Error("timers fire for ever at one moment");
      this.#fire(next);
      await immediate();
    }
    this.#nowMs = Math.max(this.#nowMs, endMs);
  }

  #fire(timer: Armed): void {
    this.#timers.delete(timer);
    this.#nowMs = Math.max(this.#nowMs, timer.atMs);
    timer.fn();
  }

  #next(endMs: number): Armed | undefined {
    let first: Armed | undefined;
    for (const timer of this.#timers) {
      if (timer.atMs > endMs) continue;
      if (first === undefined || timer.atMs < first.atMs) first = timer;
      else if (timer.atMs === first.atMs && timer.order < first.order) first = timer;
    }
    return first;
  }
}
