/**
 * Lets simulated time pass while somebody waits for it, and stand still otherwise.
 *
 * Problem: a test awaits promises that settle only when time passes, and looks at a mesh that must not move
 * meanwhile. Approach: whoever waits sets a goal; one loop runs events until a goal is reached, lets those
 * who waited for it go on, and looks again. What a test does between two awaits therefore happens at one
 * moment of simulated time. Readers of endless streams set no goal: they keep time going only while the
 * mesh has something to do.
 *
 * Invariants: one loop at a time; it ends when there is no goal and no reader that may get something. Goals
 * are given up when EVENTS_MAX events ran and time did not move.
 */
import type { VirtualTime } from "./virtual-time.ts";

export type Goal = {
  readonly untilMs: number;
  readonly isReached: () => boolean;
  /** Called once, when it is reached or its time is over. */
  readonly over: (isReached: boolean) => void;
};

export type PacerHost = {
  /** See `RunLimits.hold`. */
  readonly hold: () => Promise<unknown> | undefined;
  /** Whether nothing more happens by itself. */
  readonly isAtRest: () => boolean;
};

/** Time is whole microseconds; sums of fractions of milliseconds are a little more or less. */
const GRAIN_MS = 0.001;
const EVENTS_MAX = 2_000_000;
/** How far time goes for readers before the mesh is asked again whether it is at rest. */
const READER_STEP_MS = 50;

export class Pacer {
  readonly #time: VirtualTime;
  readonly #host: PacerHost;
  readonly #goals = new Set<Goal>();
  readonly #readers = new Set<Promise<unknown>>();
  #running: Promise<void> | undefined;
  #isChanged = false;
  #isStopped = false;

  constructor(time: VirtualTime, host: PacerHost) {
    this.#time = time;
    this.#host = host;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Time passes until it is reached or over. */
  add(goal: Goal): void {
    this.#goals.add(goal);
    this.#isChanged = true;
    this.#start();
  }

  /** Time passes while the mesh is not at rest and this has not settled. */
  read(promise: Promise<unknown>): void {
    this.#readers.add(promise);
    const end = (): void => void this.#readers.delete(promise);
    promise.then(end, end);
    this.#start();
  }

  /** Gives up all goals: time stands still from now on. Resolves when it does. */
  stop(): Promise<void> {
    this.#isStopped = true;
    this.#isChanged = true;
    return this.#running ?? Promise.resolve();
  }

  #start(): void {
    this.#running ??= this.#loop();
  }

  async #loop(): Promise<void> {
    const { hold } = this.#host;
    const done = (): boolean => this.#isChanged || this.#hasReached();
    await drained();
    while (!this.#isStopped && this.#hasWork()) {
      this.#isChanged = false;
      const before = this.#time.events;
      const { nowMs } = this.#time;
      await this.#time.run({ untilMs: this.#untilMs(), done, hold, eventsMax: EVENTS_MAX });
      this.#tell();
      if (this.#time.events - before >= EVENTS_MAX && this.#time.nowMs === nowMs) this.#giveUp();
      await drained();
    }
    this.#running = undefined;
    if (this.#isStopped) this.#giveUp();
  }

  #giveUp(): void {
    for (const goal of this.#goals) goal.over(false);
    this.#goals.clear();
  }

  #hasWork(): boolean {
    return this.#goals.size > 0 || (this.#readers.size > 0 && !this.#host.isAtRest());
  }

  #hasReached(): boolean {
    for (const goal of this.#goals) if (goal.isReached()) return true;
    return false;
  }

  #untilMs(): number {
    let untilMs =
      this.#readers.size > 0 ? this.#time.nowMs + READER_STEP_MS : Number.POSITIVE_INFINITY;
    for (const goal of this.#goals) untilMs = Math.min(untilMs, goal.untilMs);
    return untilMs;
  }

  #tell(): void {
    const { nowMs } = this.#time;
    for (const goal of [...this.#goals]) {
      const isReached = goal.isReached();
      if (!isReached && nowMs < goal.untilMs - GRAIN_MS) continue;
      this.#goals.delete(goal);
      goal.over(isReached);
    }
  }
}

/** When every promise reaction of this turn has run. */
const drained = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));
