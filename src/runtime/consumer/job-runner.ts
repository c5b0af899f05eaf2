/**
 * Runs handlers: parallel across keys, one at a time inside a key, each within its time.
 *
 * Problem: a handler may return at once, later, or never; a failed one may be tried again after a short wait
 * that holds its key; what a handler does after its time is over must have no effect. Approach: lanes say
 * what may run; every attempt is a job of its own, so that nothing an earlier attempt still holds can touch
 * a later one.
 *
 * Invariants: at most `concurrency` handlers run (those abandoned after `abandonMs` not counted); at most
 * one attempt per key is under way or waits for its next try; an attempt is reported once, by `succeeded` or
 * `failed`, and the owner answers each report with `done` or `again`.
 * Source: DESIGN section 7, "Time-out".
 */
import { Lanes } from "../../core/lanes.ts";
import { MeshError } from "../../errors.ts";
import type { Timer } from "../../ports/clock.ts";
import type { Environment } from "../environment.ts";
import type { Arrival } from "./arrival.ts";
import type { ConsumerOpening } from "./consumer-opening.ts";
import type { Job } from "./job.ts";
import { RetryWaits } from "./retry-waits.ts";
import { RunningJobs } from "./running-jobs.ts";
import { type StartGate, StartGates } from "./start-gate.ts";

/** Called once per attempt. Throwing or rejecting is a failed attempt; what it stages counts with it. */
export type JobHandler = (message: Job | Arrival) => void | Promise<void>;

export type RunnerLimits = {
  readonly concurrency: number;
  readonly timeoutMs: number;
  readonly abandonMs: number;
};

export interface RunnerOwner {
  /** For logs. */
  readonly id: string;
  succeeded(job: Job): void;
  failed(job: Job, error: unknown): void;
  /** `failed` follows when its promise ends, or it is abandoned. */
  timedOut(job: Job): void;
  /** Its promise is not waited for any longer; `failed` follows. */
  abandoned(job: Job): void;
}

const ENDED: Promise<void> = Promise.resolve();

export class JobRunner {
  readonly #env: Environment;
  readonly #limits: RunnerLimits;
  readonly #handler: JobHandler;
  readonly #owner: RunnerOwner;
  readonly #lanes: Lanes<Job>;
  readonly #running: RunningJobs;
  /** Attempts without effect whose promise is still waited for, each with the timer of that wait. */
  readonly #revoked = new Map<Job, Timer>();
  readonly #waits: RetryWaits;
  readonly #gates: StartGates;
  #dispatching = false;
  #paused = false;
  readonly #idle: (() => void)[] = [];

  constructor(
    env: Environment,
    limits: RunnerLimits,
    handler: JobHandler,
    owner: RunnerOwner,
    gates: readonly StartGate[] = [],
  ) {
    this.#env = env;
    this.#limits = limits;
    this.#handler = handler;
    this.#owner = owner;
    const { concurrency, timeoutMs } = limits;
    this.#lanes = new Lanes<Job>(concurrency);
    this.#running = new RunningJobs(env.clock, timeoutMs, concurrency, (job) =>
      this.#timedOut(job),
    );
    this.#waits = new RetryWaits(env.clock, () => this.dispatch());
    this.#gates = new StartGates(gates, env.clock, () => this.dispatch());
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Handlers under way, and attempts that wait for their next try. */
  get running(): number {
    return this.#lanes.running + this.#waits.size;
  }

  get waiting(): number {
    return this.#lanes.waiting;
  }

  /**
   * It runs when its turn comes, at once if it may, not after the whole batch: what ends at once leaves no lane
   * behind, and its marks and acks come in order.
   */
  push(job: Job): void {
    this.#lanes.push(job);
    this.dispatch();
  }

  /** There is a place, and nothing waits for one; gates are not asked. */
  get isFree(): boolean {
    if (this.#paused || this.#dispatching) return false;
    const lanes = this.#lanes;
    return lanes.running < this.#limits.concurrency && !lanes.isReady && this.#waits.due === 0;
  }

  /** Whether anything of this key is under way or waits. */
  isBusy(keyHash: number): boolean {
    return this.#lanes.isBusy(keyHash);
  }

  /** No gate holds back what may run. */
  get isOpen(): boolean {
    return this.#gates.areOpen();
  }

  /** When `isFree`: a handler is called outside of the lanes, and takes a place. Nothing else starts until it is back. */
  enter(): void {
    this.#lanes.begin();
    this.#dispatching = true;
  }

  /** It is back, and nothing is left of it. */
  leave(): void {
    this.#dispatching = false;
    this.#lanes.end();
    if (this.#lanes.isReady) this.dispatch();
    this.#tellIdle();
  }

  /** It is back with this, and goes on as this attempt. */
  adopt(job: Job, result: void | Promise<void>): void {
    this.#dispatching = false;
    this.#lanes.keep(job);
    this.#handled(job, result);
  }

  /** As `adopt`; it has thrown. */
  adoptFailed(job: Job, error: unknown): void {
    this.#dispatching = false;
    this.#lanes.keep(job);
    this.#owner.failed(job, error);
  }

  /** Takes out what has not started, of one key. */
  takeKey(keyHash: number, belongs: (job: Job) => boolean): Job[] {
    return this.#lanes.takeKey(keyHash, belongs);
  }

  /** Takes out what has not started. */
  takeAll(belongs: (job: Job) => boolean): Job[] {
    return this.#lanes.takeAll(belongs);
  }

  /** Takes out attempts that wait for their next try; the caller answers each with `done`. */
  takeWaits(belongs: (job: Job) => boolean): Job[] {
    const taken = this.#waits.take(belongs);
    for (const job of taken) this.#lanes.resume(job);
    return taken;
  }

  /** Attempts whose handler runs and may still have an effect. */
  *runningOf(opening: ConsumerOpening): IterableIterator<Job> {
    for (const job of this.#running.live()) if (job.opening === opening) yield job;
  }

  /** Attempts whose handler has not returned and was not given up. */
  underWay(belongs: (job: Job) => boolean): Job[] {
    return [...this.#revoked.keys(), ...this.#running.live()].filter(belongs);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.dispatch();
  }

  /** Calls `fn` once nothing is under way. Then no timer is left, which would keep ended attempts in memory. */
  whenIdle(fn: () => void): void {
    this.#idle.push(fn);
    this.#tellIdle();
  }

  /** What handlers still do has no effect; no timer is left. */
  revokeAll(reason: Error): void {
    for (const job of this.#running.live()) job.revoke(reason);
    this.#stopTimers();
  }

  /** The message was given to this member anew: what this attempt still does has no effect. */
  supersede(job: Job): void {
    this.#env.counters.count("handler.superseded");
    const message = "the message was with another member meanwhile and is handled anew";
    this.#revoke(job, new MeshError("PEER_LOST", message));
  }

  /** The key is another member's now, and the message went back to its producer. */
  surrender(job: Job): void {
    this.#env.counters.count("handler.surrendered");
    const message = "the key has another owner now";
    if (job.state === "running") this.#revoke(job, new MeshError("PEER_LOST", message));
  }

  /** Starts what may start. */
  dispatch(): void {
    if (this.#dispatching || this.#paused) return;
    this.#dispatching = true;
    for (let job = this.#next(); job !== undefined; job = this.#next()) this.#run(job);
    this.#dispatching = false;
  }

  /** The message of this attempt is over here; its key's next may run. */
  done(job: Job): void {
    job.state = "ended";
    this.#lanes.done(job);
    this.#tellIdle();
  }

  /** The next attempt of the same message starts after `delayMs`; its key waits. */
  again(job: Job, delayMs: number): Job {
    const next = job.nextAttempt();
    job.state = "ended";
    this.#lanes.suspend(job);
    this.#waits.add(next, delayMs);
    return next;
  }

  // --- inside --------------------------------------------------------------------------------

  #tellIdle(): void {
    if (this.#idle.length === 0 || this.running > 0) return;
    this.#stopTimers();
    this.#running.clear();
    for (const fn of this.#idle.splice(0)) fn();
  }

  #stopTimers(): void {
    this.#waits.stop();
    this.#running.stop();
    this.#gates.stop();
  }

  #clear(timer: Timer | undefined): void {
    if (timer !== undefined) this.#env.clock.clearTimer(timer);
  }

  #next(): Job | undefined {
    if (this.#lanes.running >= this.#limits.concurrency) return undefined;
    if (this.#lanes.waiting + this.#waits.due === 0 || !this.#gates.areOpen()) return undefined;
    const again = this.#waits.next();
    if (again === undefined) return this.#lanes.next();
    this.#lanes.resume(again);
    return again;
  }

  #run(job: Job): void {
    job.state = "running";
    this.#gates.started(job);
    let result: void | Promise<void>;
    try {
      result = this.#handler(job);
    } catch (error) {
      this.#owner.failed(job, error);
      return;
    }
    this.#handled(job, result);
  }

  /** Its handler has returned. */
  #handled(job: Job, result: void | Promise<void>): void {
    if (result === undefined && job.staging === undefined) {
      this.#owner.succeeded(job);
      return;
    }
    this.#running.add(job);
    this.#whenEnded(job, result ?? ENDED);
  }

  /** Reports the attempt when the promise and what the handler staged have ended. */
  #whenEnded(job: Job, result: PromiseLike<unknown>): void {
    result.then(
      () => {
        const { staging } = job;
        job.staging = undefined;
        if (staging === undefined) this.#returned(job, undefined, false);
        else this.#whenEnded(job, Promise.all(staging));
      },
      (error: unknown) => this.#returned(job, error, true),
    );
  }

  #returned(job: Job, error: unknown, threw: boolean): void {
    if (job.state === "ended") return; // abandoned before
    this.#clear(this.#revoked.get(job));
    this.#revoked.delete(job);
    if (job.state === "revoked") this.#owner.failed(job, this.#timeoutError());
    else if (threw) this.#owner.failed(job, error);
    else this.#owner.succeeded(job);
    this.dispatch();
  }

  #timedOut(job: Job): void {
    const { timeoutMs } = this.#limits;
    this.#env.counters.count("handler.timeouts");
    this.#env.logger.warn("handler timed out", { subscription: this.#owner.id, timeoutMs });
    this.#owner.timedOut(job);
    this.#revoke(job, this.#timeoutError());
  }

  /** Its key waits for the promise, but not for ever. */
  #revoke(job: Job, reason: MeshError): void {
    const { counters, clock } = this.#env;
    job.revoke(reason);
    const abandons = clock.setTimer(this.#limits.abandonMs, () => {
      if (job.state !== "revoked") return;
      counters.count("handler.abandoned");
      this.#revoked.delete(job);
      this.#owner.abandoned(job);
      this.#owner.failed(job, this.#timeoutError());
      this.dispatch();
    });
    this.#revoked.set(job, abandons);
  }

  #timeoutError(): MeshError {
    const { timeoutMs } = this.#limits;
    return new MeshError("TIMEOUT", `handler did not finish within timeoutMs ${timeoutMs}`);
  }
}
