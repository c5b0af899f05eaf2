/** Time as an argument: the system's clocks in production, a virtual one in simulation. */

export type Timer = { readonly brand?: "timer" };

export interface Clock {
  /** Wall clock, milliseconds since 1970. May jump. Never used alone for order, dedup or fences. */
  wallMs(): number;
  /** Monotonic clock, milliseconds with a fraction, from an arbitrary start. */
  monotonicMs(): number;
  /** Calls `fn` once, at least `delayMs` from now. Does not keep the process alive. */
  setTimer(delayMs: number, fn: () => void): Timer;
  clearTimer(timer: Timer): void;
  /** Calls `fn` at the end of this turn of the event loop, after all pending promise reactions. */
  endOfTurn(fn: () => void): void;
}
