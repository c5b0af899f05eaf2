/**
 * What holds back the start of a subscription's handlers here: its circuit breaker and its rate.
 *
 * Problem: the machines in core only answer; somebody must ask them before each start, tell them each end,
 * wake what waits when an open breaker's time is over (also when nothing is here that would ask), and say
 * what happened. Approach: every run carries the permit it started with; its end is told once, whoever tells
 * it first; one timer ends the open time.
 *
 * Invariants: a change of the breaker's state is counted, logged, reported and passed on once; after `stop`
 * no timer is left.
 */
import { type BreakerOutcome, type BreakerState, CircuitBreaker } from "../core/circuit-breaker.ts";
import { RateLimiter } from "../core/rate-limiter.ts";
import { MeshError } from "../errors.ts";
import type { BreakerRules, FlowRules } from "../options/read-flow.ts";
import type { Timer } from "../ports/clock.ts";
import { outcomeOf } from "./consumer/outcome.ts";
import type { Environment } from "./environment.ts";

/** One run of a handler. `permit` is the breaker's; 0: none, or its end was told. */
export type FlowRun = { permit: number };
export type BreakerMode = BreakerState["type"];

export class FlowLimits {
  readonly #env: Environment;
  readonly #id: string;
  readonly #rules: BreakerRules | undefined;
  readonly #breaker: CircuitBreaker | undefined;
  readonly #limiter: RateLimiter | undefined;
  readonly #changed: (mode: BreakerMode) => void;
  #mode: BreakerMode = "closed";
  /** The next start has waited for the rate. */
  #late = false;
  #timer: Timer | undefined;
  #stopped = false;

  /** `id` is of the subscription; `changed` hears of the breaker's new state, after it took effect. */
  constructor(
    env: Environment,
    id: string,
    { breaker, rate }: FlowRules,
    changed: (mode: BreakerMode) => void,
  ) {
    this.#env = env;
    this.#id = id;
    this.#rules = breaker;
    this.#breaker = breaker === undefined ? undefined : new CircuitBreaker(breaker);
    this.#limiter = rate === undefined ? undefined : new RateLimiter(rate);
    this.#changed = changed;
  }

  get mode(): BreakerMode {
    return this.#mode;
  }

  /** Half-open, and no probe is under way. */
  get wantsProbe(): boolean {
    const state = this.#breaker?.state;
    return state?.type === "half-open" && !state.probing;
  }

  /** Milliseconds until the next start: 0 now, Infinity until a probe has ended. Takes nothing. */
  waitMs(nowMs: number): number {
    const closedMs = this.#breakerMs(nowMs);
    const rateMs = this.#limiter?.waitMs(nowMs) ?? 0;
    if (rateMs > 0 && closedMs === 0 && !this.#late) {
      this.#late = true;
      this.#env.counters.count("rate.waits");
    }
    return Math.max(closedMs, rateMs);
  }

  /** Why nothing may start now, for callers that do not wait; undefined: it may. */
  refusal(nowMs: number): MeshError | undefined {
    if (this.#breakerMs(nowMs) > 0) {
      return new MeshError("CIRCUIT_OPEN", `the circuit breaker of "${this.#id}" is open`);
    }
    const waitMs = Math.ceil(this.#limiter?.waitMs(nowMs) ?? 0);
    if (waitMs === 0) return undefined;
    return new MeshError("RATE_LIMITED", `"${this.#id}" takes the next one in ${waitMs} ms`);
  }

  /** Only after `waitMs` said 0. */
  started(run: FlowRun, nowMs: number): void {
    this.#late = false;
    this.#limiter?.admit(nowMs);
    if (this.#breaker === undefined) return;
    run.permit = this.#breaker.start(nowMs);
    if (this.#mode === "half-open") this.#env.counters.count("breaker.probes");
  }

  succeeded(run: FlowRun): void {
    this.#end(run, "success");
  }

  failed(run: FlowRun, error: unknown): void {
    if (run.permit !== 0) this.#end(run, this.#isFailure(error) ? "failure" : "neutral");
  }

  timedOut(run: FlowRun): void {
    this.#end(run, "failure");
  }

  /** Its end will say nothing about what it depends on. */
  dropped(run: FlowRun): void {
    this.#end(run, "neutral");
  }

  /** What still ends is not told to anybody. */
  stop(): void {
    this.#stopped = true;
    this.#disarm();
  }

  #disarm(): void {
    if (this.#timer !== undefined) this.#env.clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  #breakerMs(nowMs: number): number {
    if (this.#breaker === undefined) return 0;
    const waitMs = this.#breaker.waitMs(nowMs);
    this.#watch(nowMs);
    return waitMs;
  }

  #end(run: FlowRun, outcome: BreakerOutcome): void {
    if (run.permit === 0 || this.#breaker === undefined) return;
    const nowMs = this.#env.clock.monotonicMs();
    this.#breaker.end(run.permit, outcome, nowMs);
    run.permit = 0;
    this.#watch(nowMs);
  }

  #isFailure(error: unknown): boolean {
    const { type } = outcomeOf(error);
    if (type === "defer") return false;
    const isFailure = this.#rules?.isFailure;
    if (isFailure === undefined) return type === "retry" && !isUnreadable(error);
    try {
      return isFailure(error) === true;
    } catch {
      return true; // an error that cannot even be looked at
    }
  }

  #watch(nowMs: number): void {
    const { state, counted } = this.#breaker as CircuitBreaker;
    if (state.type === this.#mode || this.#stopped) return;
    this.#mode = state.type;
    const { counters, logger, report } = this.#env;
    const subscription = this.#id;
    const openMs = state.type === "open" ? Math.ceil(state.untilMs - nowMs) : 0;
    if (state.type === "open") {
      counters.count("breaker.opened");
      logger.warn("circuit breaker open", { subscription, openMs, ...counted });
      this.#arm(openMs);
    } else if (state.type === "closed") logger.info("circuit breaker closed", { subscription });
    report({ type: "breaker", subscription, state: state.type, openMs });
    this.#changed(state.type);
  }

  #arm(openMs: number): void {
    const { clock } = this.#env;
    this.#disarm();
    this.#timer = clock.setTimer(openMs, () => {
      this.#timer = undefined;
      const nowMs = clock.monotonicMs();
      const leftMs = this.#breakerMs(nowMs);
      if (this.#mode === "open") this.#arm(Math.ceil(leftMs)); // the timer was early
    });
  }
}

/** The value was at fault. */
const isUnreadable = (error: unknown): boolean =>
  MeshError.is(error, "SCHEMA_VIOLATION") || MeshError.is(error, "CONTRACT_MISMATCH");

/** Undefined where nothing holds anything back. */
export const flowLimitsOf = (
  env: Environment,
  id: string,
  rules: FlowRules,
  changed: (mode: BreakerMode) => void,
): FlowLimits | undefined =>
  rules.breaker === undefined && rules.rate === undefined
    ? undefined
    : new FlowLimits(env, id, rules, changed);
