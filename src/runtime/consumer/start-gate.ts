/**
 * Whether the next handler of a subscription may start, whatever message it is for.
 *
 * Problem: several things hold back the start of handlers (a rate, an open circuit breaker), each for its own
 * time, and none should know of the others or of lanes. Approach: a gate says how long to wait; all of them
 * must say 0; one timer asks again when the last of them will. Which message may start is the lanes' matter.
 *
 * Invariants: `started` is told of a start only after every gate said 0 in the same turn; a subscription
 * without gates asks nothing; nothing is asked, and no timer is set, while nothing waits to start.
 */
import type { Clock, Timer } from "../../ports/clock.ts";
import type { Job } from "./job.ts";

export interface StartGate {
  /**
   * Milliseconds until the next start: 0 for now, Infinity until the gate's owner calls `dispatch`. Asking
   * takes nothing.
   */
  waitMs(nowMs: number): number;
  /** This job starts now. */
  started(job: Job, nowMs: number): void;
}

export class StartGates {
  readonly #gates: readonly StartGate[];
  readonly #clock: Clock;
  readonly #again: () => void;
  #timer: Timer | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #openMs = 0;

  /** `again` is called when waiting may be over. */
  constructor(gates: readonly StartGate[], clock: Clock, again: () => void) {
    this.#gates = gates;
    this.#clock = clock;
    this.#again = again;
  }

  /** Ask only while something waits to start. False: `again` follows, or a gate's owner dispatches. */
  areOpen(): boolean {
    if (this.#gates.length === 0) return true;
    const nowMs = this.#clock.monotonicMs();
    let waitMs = 0;
    for (const gate of this.#gates) waitMs = Math.max(waitMs, gate.waitMs(nowMs));
    if (waitMs === 0) {
      this.#openMs = nowMs;
      return true;
    }
    if (waitMs < Number.POSITIVE_INFINITY) this.#arm(nowMs, waitMs);
    return false;
  }

  /** After `areOpen` said so, in the same turn. */
  started(job: Job): void {
    for (const gate of this.#gates) gate.started(job, this.#openMs);
  }

  stop(): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
  }

  #arm(nowMs: number, waitMs: number): void {
    const atMs = nowMs + waitMs;
    if (atMs >= this.#timerAtMs) return;
    this.stop();
    this.#timerAtMs = atMs;
    // Rounded up: a timer that fires early would ask for nothing.
    this.#timer = this.#clock.setTimer(Math.ceil(waitMs), () => {
      this.#timer = undefined;
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      this.#again();
    });
  }
}
