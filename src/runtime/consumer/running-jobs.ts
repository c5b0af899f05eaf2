/**
 * Attempts whose promise is under way, in order of their deadlines: all of one runner have the same time, so that one
 * timer serves the earliest.
 *
 * Bound: those that have ended are let go when they come to the front, and all of them when there are 4 x concurrency
 * + 64 in all.
 */
import { Ring } from "../../core/ring.ts";
import type { Clock, Timer } from "../../ports/clock.ts";
import type { Job } from "./job.ts";

export class RunningJobs {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #lengthMax: number;
  readonly #timedOut: (job: Job) => void;
  readonly #jobs = new Ring<Job>();
  #timer: Timer | undefined;

  /** @param concurrency how many can be under way at once */
  constructor(clock: Clock, timeoutMs: number, concurrency: number, timedOut: (job: Job) => void) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#lengthMax = 4 * concurrency + 64;
    this.#timedOut = timedOut;
  }

  add(job: Job): void {
    job.deadlineMs = this.#clock.monotonicMs() + this.#timeoutMs;
    const jobs = this.#jobs;
    if (jobs.length >= this.#lengthMax) {
      for (let left = jobs.length; left > 0; left--) {
        const other = jobs.shift() as Job;
        if (other.state === "running") jobs.push(other);
      }
    }
    jobs.push(job);
    if (this.#timer === undefined) this.#arm();
  }

  /** Those that may still have an effect. */
  *live(): IterableIterator<Job> {
    for (let at = 0; at < this.#jobs.length; at++) {
      const job = this.#jobs.at(at) as Job;
      if (job.state === "running") yield job;
    }
  }

  /** No timer is left; the attempts stay. */
  stop(): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  /** Keeps nothing and nobody in memory. */
  clear(): void {
    this.stop();
    this.#jobs.clear();
  }

  #arm(): void {
    this.#timer = undefined;
    const first = this.#first();
    if (first === undefined) return;
    const delayMs = Math.max(0, first.deadlineMs - this.#clock.monotonicMs());
    this.#timer = this.#clock.setTimer(delayMs, () => {
      const now = this.#clock.monotonicMs();
      for (let job = this.#first(); job !== undefined; job = this.#first()) {
        if (job.deadlineMs > now) break;
        this.#jobs.shift();
        this.#timedOut(job);
      }
      this.#arm();
    });
  }

  #first(): Job | undefined {
    for (let job = this.#jobs.peek(); job !== undefined; job = this.#jobs.peek()) {
      if (job.state === "running") return job;
      this.#jobs.shift();
    }
    return undefined;
  }
}
