/**
 * Which of the messages waiting at a consumer may run now.
 *
 * Problem: parallel across keys, one at a time inside a key, at most `concurrency` at once, and no scan.
 * Approach: a lane per key that has work; lanes whose head may run stand in a ring; keyless jobs stand in
 * a ring of their own, and both rings are served in turn.
 *
 * Invariants: at most one job of a lane runs or is suspended; a lane that has jobs, none of which runs or is
 * suspended, stands in the ring of runnable lanes once; a lane without any leaves the map, at the latest when
 * the ring comes to it; `running <= concurrency` is kept by `next` and by who resumes, but for jobs that are
 * resumed to be given up, which end at once.
 */
import { Ring } from "./ring.ts";

/** What the lanes need to know of a job. */
export type Laned = {
  /** Hash of the key, or -1 for a job that may run beside any other. */
  readonly keyHash: number;
};

class Lane<J extends Laned> {
  readonly jobs = new Ring<J>();
  keyHash = 0;
  busy = false;
  queued = false;
}

export class Lanes<J extends Laned> {
  readonly #lanes = new Map<number, Lane<J>>();
  readonly #runnable = new Ring<Lane<J>>();
  readonly #free = new Ring<J>();
  #spare: Lane<J> | undefined;
  #waiting = 0;
  #running = 0;
  #suspended = 0;
  #turn = false;
  concurrency: number;

  constructor(concurrency: number) {
    this.concurrency = concurrency;
  }

  /** Jobs that wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Jobs that run; suspended ones do not. */
  get running(): number {
    return this.#running;
  }

  /** Jobs between two tries in place. */
  get suspended(): number {
    return this.#suspended;
  }

  /** Keys with work. */
  get keys(): number {
    return this.#lanes.size;
  }

  push(job: J): void {
    this.#waiting++;
    if (job.keyHash < 0) {
      this.#free.push(job);
      return;
    }
    const lane = this.#laneOf(job.keyHash);
    lane.jobs.push(job);
    this.#queue(lane);
  }

  /** The next job to run, which counts as running from now on; undefined when none may. */
  next(): J | undefined {
    if (this.#running >= this.concurrency) return undefined;
    this.#turn = !this.#turn;
    const job = this.#turn
      ? (this.#nextFree() ?? this.#nextKeyed())
      : (this.#nextKeyed() ?? this.#nextFree());
    if (job === undefined) return undefined;
    this.#waiting--;
    this.#running++;
    return job;
  }

  /** A job could start, if there were a place; others wait for one of their key. */
  get isReady(): boolean {
    return this.#runnable.length + this.#free.length > 0;
  }

  /** Whether anything of this key waits, runs or is suspended. */
  isBusy(keyHash: number): boolean {
    return this.#lanes.size > 0 && this.#lanes.has(keyHash);
  }

  /** What is no job runs: there was a place, and nothing was ready. */
  begin(): void {
    this.#running++;
  }

  /** It has ended. */
  end(): void {
    this.#running--;
  }

  /** It goes on as this job, whose key is busy from now on. */
  keep(job: J): void {
    if (job.keyHash >= 0) this.#laneOf(job.keyHash).busy = true;
  }

  /** A running job waits for its next try: its key stays busy, its place may serve another key. */
  suspend(_job: J): void {
    this.#running--;
    this.#suspended++;
  }

  /** A suspended job counts as running again: its next try starts, or it is given up and `done` follows. */
  resume(_job: J): void {
    this.#suspended--;
    this.#running++;
  }

  /** The job that ran has ended; its key's next may run. */
  done(job: J): void {
    this.#running--;
    if (job.keyHash < 0) return;
    const lane = this.#lanes.get(job.keyHash);
    if (lane === undefined) return;
    lane.busy = false;
    if (lane.jobs.length === 0) {
      this.#lanes.delete(job.keyHash);
      this.#spare = lane;
    } else {
      this.#queue(lane);
    }
  }

  /** Takes out the waiting jobs of this key that `belongs` accepts, in order. */
  takeKey(keyHash: number, belongs: (job: J) => boolean): J[] {
    const lane = this.#lanes.get(keyHash);
    if (lane === undefined) return [];
    return this.#filter(lane.jobs, belongs);
  }

  /** Takes out every waiting job that `belongs` accepts, in order within each key. */
  takeAll(belongs: (job: J) => boolean): J[] {
    const taken = this.#filter(this.#free, belongs);
    for (const [keyHash, lane] of this.#lanes) {
      for (const job of this.#filter(lane.jobs, belongs)) taken.push(job);
      if (lane.jobs.length === 0 && !lane.busy && !lane.queued) this.#lanes.delete(keyHash);
    }
    return taken;
  }

  #laneOf(keyHash: number): Lane<J> {
    let lane = this.#lanes.get(keyHash);
    if (lane === undefined) {
      lane = this.#spare ?? new Lane<J>();
      this.#spare = undefined;
      lane.keyHash = keyHash;
      this.#lanes.set(keyHash, lane);
    }
    return lane;
  }

  #queue(lane: Lane<J>): void {
    if (lane.busy || lane.queued || lane.jobs.length === 0) return;
    lane.queued = true;
    this.#runnable.push(lane);
  }

  #nextFree(): J | undefined {
    return this.#free.shift();
  }

  #nextKeyed(): J | undefined {
    for (let lane = this.#runnable.shift(); lane !== undefined; lane = this.#runnable.shift()) {
      lane.queued = false;
      if (lane.busy) continue; // what runs came before it; its end brings the lane back
      const job = lane.jobs.shift();
      if (job === undefined) {
        this.#lanes.delete(lane.keyHash); // emptied while it stood in the ring
        continue;
      }
      lane.busy = true;
      return job;
    }
    return undefined;
  }

  #filter(jobs: Ring<J>, belongs: (job: J) => boolean): J[] {
    const taken: J[] = [];
    for (let left = jobs.length; left > 0; left--) {
      const job = jobs.shift() as J;
      if (belongs(job)) taken.push(job);
      else jobs.push(job);
    }
    this.#waiting -= taken.length;
    return taken;
  }
}
