/**
 * Whether calls to something that may be broken should be made at all.
 *
 * Problem: while what a handler depends on is down, every call fails: attempts are burnt, dead letters pile
 * up, and the dependency gets no rest. Approach: three states. *Closed*: calls are made and their outcomes
 * counted; when, of at least `minimum` in the window, `failureShare` failed, it opens. *Open*: no call is
 * made for `openMs`, twice as long each time in a row it opens again, at most `openMsMax`. *Half-open*: one
 * call at a time, a probe; `probes` successes in a row close it, one failure opens it.
 *
 * A call carries the permit it started with. An outcome counts only in the state in which its call started:
 * what began before the breaker opened says nothing about the time after. A neutral outcome (the message was
 * at fault, not the dependency) counts nowhere, and makes room for the next probe.
 *
 * Invariants: in half-open at most one call is under way that started there; the window is empty when the
 * breaker closes; from one state to another it goes by `#change` and nowhere else.
 * Source: Nygard, "Release It!", chapter 5, "Circuit Breaker". Share, minimum and window as in Moleculer
 * (0.5, 20, 60 s, half-open after 10 s); the growing open time is ours.
 */
import { OutcomeWindow } from "./outcome-window.ts";

export type BreakerPolicy = {
  /** Above 0, to 1. */
  readonly failureShare: number;
  readonly minimum: number;
  readonly windowMs: number;
  readonly openMs: number;
  readonly openMsMax: number;
  readonly probes: number;
};

export type BreakerState =
  | { readonly type: "closed" }
  /** `openings`: how often in a row it opened. */
  | { readonly type: "open"; readonly untilMs: number; readonly openings: number }
  | {
      readonly type: "half-open";
      readonly probing: boolean;
      readonly succeeded: number;
      readonly openings: number;
    };

export type BreakerOutcome = "success" | "failure" | "neutral";

const CLOSED: BreakerState = Object.freeze({ type: "closed" });

export class CircuitBreaker {
  readonly #policy: BreakerPolicy;
  readonly #window: OutcomeWindow;
  #state: BreakerState = CLOSED;
  /** Of the present state; probes of one half-open time share it. */
  #permit = 1;

  constructor(policy: BreakerPolicy) {
    this.#policy = policy;
    this.#window = new OutcomeWindow(policy.windowMs);
  }

  /** As of the last call with a time. */
  get state(): BreakerState {
    return this.#state;
  }

  /** What was counted in the window: failures, and all. */
  get counted(): { readonly failures: number; readonly total: number } {
    return { failures: this.#window.failures, total: this.#window.total };
  }

  /** Milliseconds until a call may start: 0 now, Infinity when the end of a probe decides. */
  waitMs(nowMs: number): number {
    this.#pass(nowMs);
    const state = this.#state;
    switch (state.type) {
      case "closed":
        return 0;
      case "open":
        return state.untilMs - nowMs;
      case "half-open":
        return state.probing ? Number.POSITIVE_INFINITY : 0;
    }
  }

  /** A call starts. Only when `waitMs` is 0. @returns its permit, for `end` */
  start(nowMs: number): number {
    this.#pass(nowMs);
    if (this.#state.type === "half-open") this.#state = { ...this.#state, probing: true };
    return this.#permit;
  }

  /** The call of this permit has ended. Call it once for each. */
  end(permit: number, outcome: BreakerOutcome, nowMs: number): void {
    this.#pass(nowMs);
    if (permit !== this.#permit) return;
    const state = this.#state;
    switch (state.type) {
      case "closed":
        if (outcome !== "neutral") this.#count(outcome === "failure", nowMs);
        return;
      case "open":
        return; // no call starts in it
      case "half-open":
        if (outcome === "failure") this.#open(state.openings + 1, nowMs);
        else this.#probed(state, outcome === "success" ? 1 : 0);
    }
  }

  #count(failed: boolean, nowMs: number): void {
    const window = this.#window;
    window.add(failed, nowMs);
    const { minimum, failureShare } = this.#policy;
    if (!failed || window.total < minimum) return;
    if (window.failures >= failureShare * window.total) this.#open(1, nowMs);
  }

  #probed(state: BreakerState & { type: "half-open" }, succeeded: number): void {
    const all = state.succeeded + succeeded;
    if (all >= this.#policy.probes) {
      this.#window.clear();
      this.#change(CLOSED);
    } else this.#state = { ...state, probing: false, succeeded: all };
  }

  #open(openings: number, nowMs: number): void {
    const { openMs, openMsMax } = this.#policy;
    const forMs = Math.min(openMsMax, openMs * 2 ** (openings - 1));
    this.#change({ type: "open", untilMs: nowMs + forMs, openings });
  }

  /** Time alone ends the open state. */
  #pass(nowMs: number): void {
    const state = this.#state;
    if (state.type !== "open" || nowMs < state.untilMs) return;
    const { openings } = state;
    this.#change({ type: "half-open", probing: false, succeeded: 0, openings });
  }

  #change(state: BreakerState): void {
    this.#state = state;
    this.#permit++;
  }
}
