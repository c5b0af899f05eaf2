/**
 * Runs handlers of messages as they arrive.
 *
 * Problem: lanes, a job and its end cost more than most such handlers do. Approach: where nothing waits and there
 * is a place, the handler is called with the arrival itself. One that has returned, and neither sent anything nor
 * changed state, leaves nothing behind; any other goes on as a job of the runner, as if it had started there.
 *
 * Invariants: while a handler runs here, nothing else starts at this subscription; a message whose key has an order runs
 * here only while nothing of that key waits or is under way, its shard is this node's and its lease good; its shard is
 * busy meanwhile.
 */
import type { Arrival } from "./arrival.ts";
import type { JobHandler, JobRunner } from "./job-runner.ts";
import type { OwnedWork } from "./owned-work.ts";

export class AtOnce {
  readonly #runner: JobRunner;
  readonly #handler: JobHandler;
  readonly #hasLimits: boolean;
  readonly #owned: OwnedWork | undefined;
  /** Nothing more starts. */
  stopped = false;

  /**
   * `hasLimits`: a rate or a breaker is told of each start and end, so nothing runs here. `owned`: its keys have
   * owners.
   */
  constructor(
    runner: JobRunner,
    handler: JobHandler,
    hasLimits: boolean,
    owned: OwnedWork | undefined,
  ) {
    this.#runner = runner;
    this.#handler = handler;
    this.#hasLimits = hasLimits;
    this.#owned = owned;
  }

  /** No gate holds back a message without a key. Asked once for a bundle: nothing of it is bound to a lease. */
  get isOpen(): boolean {
    return !this.#hasLimits && this.#runner.isOpen;
  }

  /** What arrives now may run before anything else. */
  get isFree(): boolean {
    return !this.stopped && this.#runner.isFree;
  }

  /** When `isFree`: the same of a message of a key that has an order. */
  isFreeFor(keyHash: number): boolean {
    return !this.#runner.isBusy(keyHash) && this.#owned?.mayRun(keyHash) !== false;
  }

  /** When `isFree`, and its key is. True: it has ended and succeeded, and nothing is to be committed but that. */
  run(arrival: Arrival): boolean {
    const { keyHash } = arrival;
    const owned = keyHash < 0 ? undefined : this.#owned;
    let result: void | Promise<void>;
    this.#runner.enter();
    if (owned !== undefined) arrival.fence = owned.began(keyHash);
    try {
      result = this.#handler(arrival);
    } catch (error) {
      this.#runner.adoptFailed(this.#jobOf(arrival, owned), error);
      return false;
    }
    const { made } = arrival;
    if (result === undefined && (made === undefined || made.leavesNothing)) {
      arrival.hasEnded = true;
      if (made !== undefined) made.state = "ended";
      owned?.left(keyHash);
      this.#runner.leave();
      return true;
    }
    this.#runner.adopt(this.#jobOf(arrival, owned), result);
    return false;
  }

  /** What keeps its shard busy from now on. */
  #jobOf(arrival: Arrival, owned: OwnedWork | undefined) {
    const { job } = arrival;
    job.isCounted = owned !== undefined;
    return job;
  }
}
