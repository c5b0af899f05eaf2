/**
 * Attempts that wait here for their next try, and those whose wait is over and that have no place yet. One timer
 * serves the earliest.
 *
 * Invariant: an attempt leaves by `next`, in the order in which waits end, or by `take`, once.
 */
import { DueHeap } from "../../core/due-heap.ts";
import { Ring } from "../../core/ring.ts";
import type { Clock, Timer } from "../../ports/clock.ts";
import type { Job } from "./job.ts";

export class RetryWaits {
  readonly #clock: Clock;
  readonly #over: () => void;
  readonly #waits = new DueHeap<Job>();
  readonly #due = new Ring<Job>();
  #timer: Timer | undefined;

  /** `over` is called when a wait has ended. */
  constructor(clock: Clock, over: () => void) {
    this.#clock = clock;
    this.#over = over;
  }

  /** All of them. */
  get size(): number {
    return this.#waits.size + this.#due.length;
  }

  /** Those whose wait is over. */
  get due(): number {
    return this.#due.length;
  }

  add(job: Job, delayMs: number): void {
    job.deadlineMs = this.#clock.monotonicMs() + delayMs;
    this.#waits.push(job.deadlineMs, job);
    this.#arm();
  }

  /** The first whose wait is over. */
  next(): Job | undefined {
    return this.#due.shift();
  }

  /** Takes out those that `belongs` accepts. */
  take(belongs: (job: Job) => boolean): Job[] {
    const taken: Job[] = [];
    this.#waits.retain((job) => {
      if (!belongs(job)) return true;
      taken.push(job);
      return false;
    });
    for (let left = this.#due.length; left > 0; left--) {
      const job = this.#due.shift() as Job;
      if (belongs(job)) taken.push(job);
      else this.#due.push(job);
    }
    return taken;
  }

  /** No timer is left; the attempts stay. */
  stop(): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    this.stop();
    const due = this.#waits.nextDueMs;
    if (due === undefined) return;
    this.#timer = this.#clock.setTimer(Math.max(0, due - this.#clock.monotonicMs()), () => {
      this.#timer = undefined;
      const now = this.#clock.monotonicMs();
      for (let job = this.#waits.popDue(now); job !== undefined; job = this.#waits.popDue(now)) {
        this.#due.push(job);
      }
      this.#arm();
      this.#over();
    });
  }
}
