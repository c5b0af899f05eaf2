/**
 * Simulated time: one queue of events for a whole mesh, run as fast as the machine can, in one order.
 *
 * Problem: code under test uses promises, so "this event is over" means that every promise reaction it
 * caused has run. Approach: the loop runs one event, then hops through a microtask into the next tick;
 * Node.js drains all microtasks, those that microtasks add included, before it takes the next tick, so the
 * hop proves that nothing of the event is left. Then come the callbacks for the end of the turn, one by
 * one with the same hop, then the next event. `hold` may stop it between two events for something real.
 *
 * Invariants: events run in order of (time, order of scheduling); time is whole microseconds and never
 * falls; nothing here reads a real clock. While it runs, real clocks, timers and randomness throw, unless
 * it was told to leave them alone.
 * Bound: `eventsMax` of a run.
 */
import { setImmediate as breathe } from "node:timers";
import { trapRealTime } from "./real-time-traps.ts";

export type VirtualTimer = {
  readonly atUs: number;
  readonly order: number;
  fn: (() => void) | undefined;
};

/** Events after which real timers and I/O of the process get a turn. */
const EVENTS_PER_BREATH = 20_000;

export type RunLimits = {
  readonly untilMs: number;
  readonly done?: () => boolean;
  readonly eventsMax?: number;
  /** Asked between two events: the next one waits until the promise has settled. */
  readonly hold?: () => Promise<unknown> | undefined;
};

export class VirtualTime {
  readonly #heap: VirtualTimer[] = [];
  readonly #ends: (() => void)[] = [];
  readonly #onError: (error: unknown) => void;
  readonly #trap: () => () => void;
  #endsAt = 0;
  #nowUs = 0;
  #order = 0;
  #events = 0;
  #cancelled = 0;

  /** `onError` hears what an event threw: in a real process it would have ended it. */
  constructor(onError: (error: unknown) => void, options: { readonly traps?: boolean } = {}) {
    this.#onError = onError;
    this.#trap = options.traps === false ? () => () => {} : trapRealTime;
  }

  get nowMs(): number {
    return this.#nowUs / 1_000;
  }

  /** Events run so far. */
  get events(): number {
    return this.#events;
  }

  /** Calls `fn` after so many milliseconds, rounded up to microseconds. */
  after(delayMs: number, fn: () => void): VirtualTimer {
    const delayUs = Math.max(0, Math.ceil(delayMs * 1_000));
    const timer = { atUs: this.#nowUs + delayUs, order: this.#order++, fn };
    this.#push(timer);
    return timer;
  }

  /** At that time, or now if it has passed: of two in order of their calls, none before one of an earlier time. */
  at(ms: number, fn: () => void): void {
    const atUs = Math.max(this.#nowUs, Math.ceil(ms * 1_000));
    this.#push({ atUs, order: this.#order++, fn });
  }

  cancel(timer: VirtualTimer): void {
    if (timer.fn === undefined) return;
    timer.fn = undefined;
    if (++this.#cancelled > 1_024 && this.#cancelled * 2 > this.#heap.length) this.#compact();
  }

  /** Calls `fn` when all promise reactions of the present event have run. */
  endOfTurn(fn: () => void): void {
    this.#ends.push(fn);
  }

  /** Runs events until this time, until `done` says so, or until none is left. */
  run(limits: RunLimits): Promise<void> {
    const { untilMs, done = () => false, eventsMax = Number.POSITIVE_INFINITY } = limits;
    const { hold = () => undefined } = limits;
    const untilUs = Math.floor(untilMs * 1_000);
    const last = this.#events + eventsMax;
    return new Promise((resolve, reject) => {
      let left = EVENTS_PER_BREATH;
      let release = this.#trap();
      const step = (): void => {
        const real = this.#idle ? hold() : undefined;
        if (real !== undefined) {
          release();
          real.then(resume, reject);
          return;
        }
        const over = this.#events >= last || (this.#idle && done()) || !this.#step(untilUs);
        if (over) {
          release();
          resolve();
        } else if (--left > 0) {
          queueMicrotask(hop);
        } else {
          left = EVENTS_PER_BREATH;
          queueMicrotask(rest);
        }
      };
      const hop = (): void => process.nextTick(step);
      const resume = (): void => {
        release = this.#trap();
        hop();
      };
      const rest = (): void =>
        process.nextTick(() => {
          release();
          breathe(() => {
            release = this.#trap();
            step();
          });
        });
      hop();
    });
  }

  get #idle(): boolean {
    return this.#endsAt === this.#ends.length;
  }

  /** One callback. False when there is none left before the limit. */
  #step(untilUs: number): boolean {
    let fn = this.#ends[this.#endsAt];
    if (fn !== undefined) {
      if (++this.#endsAt === this.#ends.length) {
        this.#ends.length = 0;
        this.#endsAt = 0;
      }
    } else {
      fn = this.#next(untilUs);
      if (fn === undefined) {
        if (Number.isFinite(untilUs)) this.#nowUs = Math.max(this.#nowUs, untilUs);
        return false;
      }
      this.#events++;
    }
    try {
      fn();
    } catch (error) {
      this.#onError(error);
    }
    return true;
  }

  #next(untilUs: number): (() => void) | undefined {
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (first.fn !== undefined && first.atUs > untilUs) return undefined;
      this.#pop();
      const { fn } = first;
      if (fn === undefined) {
        this.#cancelled--;
        continue;
      }
      first.fn = undefined;
      this.#nowUs = first.atUs;
      return fn;
    }
    return undefined;
  }

  #push(timer: VirtualTimer): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(timer);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(timer, heap[parent] as VirtualTimer)) break;
      heap[at] = heap[parent] as VirtualTimer;
      at = parent;
    }
    heap[at] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as VirtualTimer;
    if (heap.length > 0) this.#sink(last, 0);
  }

  #sink(timer: VirtualTimer, from: number): void {
    const heap = this.#heap;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      const right = child + 1;
      if (right < heap.length && isBefore(heap[right] as VirtualTimer, heap[child] as VirtualTimer))
        child = right;
      if (!isBefore(heap[child] as VirtualTimer, timer)) break;
      heap[at] = heap[child] as VirtualTimer;
      at = child;
    }
    heap[at] = timer;
  }

  #compact(): void {
    const live = this.#heap.filter((timer) => timer.fn !== undefined);
    this.#heap.length = 0;
    this.#cancelled = 0;
    for (const timer of live) this.#push(timer);
  }
}

const isBefore = (a: VirtualTimer, b: VirtualTimer): boolean =>
  a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order);
