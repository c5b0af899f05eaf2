/**
 * Runs handlers of messages as they arrive.
 *
 * Problem: lanes, a job and its end cost more than most such handlers do. Approach: where nothing waits and there
 * is a place, the handler is called with the arrival itself. One that has returned, and neither sent anything nor
 * changed state, leaves nothing behind; any other goes on as a job of the runner, as if it had started there.
 *
 * Invariant: while a handler runs here, nothing else starts here.
 */
import type { Arrival } from "./arrival.ts";
import type { JobHandler, JobRunner } from "./job-runner.ts";

export class AtOnce {
  readonly #runner: JobRunner;
  readonly #handler: JobHandler;
  readonly #hasLimits: boolean;
  #isBusy = false;
  /** Nothing more starts. */
  stopped = false;

  /** `hasLimits`: a rate or a breaker is told of each start and end, so nothing runs here. */
  constructor(runner: JobRunner, handler: JobHandler, hasLimits: boolean) {
    this.#runner = runner;
    this.#handler = handler;
    this.#hasLimits = hasLimits;
  }

  /** No gate holds back a message without a key. Asked once for a bundle: nothing of it is bound to a lease. */
  get isOpen(): boolean {
    return !this.#hasLimits && this.#runner.isOpen;
  }

  /** What arrives now may run before anything else. */
  get isFree(): boolean {
    return !this.stopped && !this.#isBusy && this.#runner.isFree;
  }

  /** When `isFree`. True: it has ended and succeeded, and nothing is to be committed but that. */
  run(arrival: Arrival): boolean {
    let result: void | Promise<void>;
    this.#isBusy = true;
    try {
      result = this.#handler(arrival);
    } catch (error) {
      this.#runner.adoptFailed(arrival.job, error);
      return false;
    } finally {
      this.#isBusy = false;
    }
    const { made } = arrival;
    if (result === undefined && (made === undefined || made.leavesNothing)) {
      arrival.hasEnded = true;
      if (made !== undefined) made.state = "ended";
      return true;
    }
    this.#runner.adopt(arrival.job, result);
    return false;
  }
}
