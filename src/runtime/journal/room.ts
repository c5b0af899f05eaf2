/**
 * Who waits for room in the journal, first come, first served.
 *
 * Invariants: nobody overtakes: while somebody waits, `hasRoom` is false for those who ask later; a
 * waiter's callback runs exactly once unless it was cancelled; at most `waitersMax` wait.
 */
import { MeshError } from "../../errors.ts";

export type RoomCallback = (error: MeshError | undefined) => void;

/** A place in the queue. */
export type RoomWaiter = {
  readonly bytes: number;
  /** Undefined once called or cancelled. */
  fn: RoomCallback | undefined;
};

const COMPACT_FROM = 64;

export class RoomQueue {
  readonly #fits: (bytes: number) => boolean;
  readonly #waitersMax: number;
  #queue: RoomWaiter[] = [];
  #head = 0;
  #waiting = 0;

  constructor(fits: (bytes: number) => boolean, waitersMax: number) {
    this.#fits = fits;
    this.#waitersMax = waitersMax;
  }

  get waiting(): number {
    return this.#waiting;
  }

  hasRoom(bytes: number): boolean {
    return this.#waiting === 0 && this.#fits(bytes);
  }

  /** Calls `fn` at once when there is room and nobody waits, else in turn; or with JOURNAL_FULL. */
  wait(bytes: number, fn: RoomCallback): RoomWaiter {
    const waiter: RoomWaiter = { bytes, fn: undefined };
    if (this.hasRoom(bytes)) {
      fn(undefined);
    } else if (this.#waiting >= this.#waitersMax) {
      const message = `${this.#waiting} calls wait for room; waitersMax is ${this.#waitersMax}`;
      fn(new MeshError("JOURNAL_FULL", message));
    } else {
      waiter.fn = fn;
      this.#queue.push(waiter);
      this.#waiting++;
    }
    return waiter;
  }

  /** The waiter's callback will not run. Those behind it may go on. */
  cancel(waiter: RoomWaiter): void {
    if (waiter.fn === undefined) return;
    waiter.fn = undefined;
    this.#waiting--;
    const length = this.#queue.length - this.#head;
    if (length > COMPACT_FROM && length > this.#waiting * 2) {
      this.#queue = this.#queue.slice(this.#head).filter((one) => one.fn !== undefined);
      this.#head = 0;
    }
    this.release();
  }

  /** Lets in whom there is room for; each is expected to take its room before it returns. */
  release(): void {
    while (this.#waiting > 0) {
      const waiter = this.#queue[this.#head] as RoomWaiter;
      if (waiter.fn !== undefined && !this.#fits(waiter.bytes)) return;
      this.#shift(waiter)?.(undefined);
    }
  }

  /** Everybody who waits now is told. */
  fail(error: MeshError): void {
    for (let left = this.#queue.length - this.#head; left > 0 && this.#waiting > 0; left--) {
      this.#shift(this.#queue[this.#head] as RoomWaiter)?.(error);
    }
  }

  #shift(waiter: RoomWaiter): RoomCallback | undefined {
    const fn = waiter.fn;
    if (fn !== undefined) this.#waiting--;
    waiter.fn = undefined;
    this.#head++;
    if (this.#waiting === 0) {
      this.#queue = [];
      this.#head = 0;
    } else if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return fn;
  }
}
