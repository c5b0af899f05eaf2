/**
 * The frames of one connection on their way into libzmq.
 *
 * Problem: libzmq may refuse a frame (EAGAIN, its high-water mark), and zeromq.js tells so only through
 * a promise, one microtask after the attempt. Approach: with nothing waiting, a frame is offered at once,
 * in the caller's turn, since request latency counts; until its fate is known, later frames wait here.
 *
 * Invariants:
 * - at most one attempt is undecided, so a refused frame can never be overtaken by a later one;
 * - `bufferedBytes` = bytes of the frames waiting (not of the one whose first attempt is undecided);
 * - `drained` comes once for each time that `bufferedBytes` returned to zero by frames being taken.
 */

export type OutboxTarget = {
  /** Offers one frame to libzmq. Rejects with code EAGAIN at the high-water mark. May throw. */
  attempt(frame: Uint8Array): Promise<void>;
  /** The high-water mark was hit (`first` of a row of refusals): call `retry` when there may be room. */
  blocked(first: boolean): void;
  /** A frame was taken after `blocked`. */
  resumed(): void;
  /** Any other refusal: the peer is gone or the socket closed. */
  failed(error: unknown): void;
  drained(): void;
};

/** Frames sent in a row before timers and sockets get their turn. */
const BURST_FRAMES = 512;

type Attempt = "none" | "direct" | "queued";

export class ZeromqOutbox {
  readonly #target: OutboxTarget;
  #frames: Uint8Array[] = [];
  #head = 0;
  #bytes = 0;
  #attempt: Attempt = "none";
  /** The frame of a direct attempt; a queued one stays at the head until it is taken. */
  #direct: Uint8Array | undefined;
  #blocked = false;
  #yielding = false;
  #burst = 0;

  constructor(target: OutboxTarget) {
    this.#target = target;
  }

  get bufferedBytes(): number {
    return this.#bytes;
  }

  push(frame: Uint8Array): void {
    if (this.#attempt === "none" && !this.#blocked && !this.#yielding && this.#isEmpty()) {
      this.#direct = frame;
      this.#offer(frame, "direct");
      return;
    }
    this.#frames.push(frame);
    this.#bytes += frame.length;
  }

  /** Offers the refused frame again, if one was refused. */
  retry(): void {
    if (!this.#blocked || this.#attempt !== "none") return;
    this.#offerHead();
  }

  /** Forgets every frame that waits; returns how many. */
  clear(): number {
    const count = this.#frames.length - this.#head;
    this.#frames = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#blocked = false;
    if (this.#attempt === "queued") this.#attempt = "direct"; // its frame is no longer counted here
    this.#direct = undefined;
    return count;
  }

  #isEmpty(): boolean {
    return this.#head === this.#frames.length;
  }

  #offerHead(): void {
    const frame = this.#frames[this.#head];
    if (frame !== undefined) this.#offer(frame, "queued");
  }

  #offer(frame: Uint8Array, attempt: Attempt): void {
    this.#attempt = attempt;
    try {
      this.#target.attempt(frame).then(this.#taken, this.#refused);
    } catch (error) {
      this.#attempt = "none";
      this.#target.failed(error);
    }
  }

  readonly #taken = (): void => {
    const queued = this.#attempt === "queued";
    this.#attempt = "none";
    this.#direct = undefined;
    if (this.#blocked) {
      this.#blocked = false;
      this.#target.resumed();
    }
    if (queued) this.#removeHead();
    if (!this.#isEmpty()) {
      this.#next();
      return;
    }
    this.#burst = 0;
    if (queued) this.#target.drained();
  };

  readonly #refused = (error: unknown): void => {
    const direct = this.#attempt === "direct" ? this.#direct : undefined;
    const cleared = this.#attempt === "direct" && direct === undefined;
    this.#attempt = "none";
    this.#direct = undefined;
    if ((error as { code?: unknown }).code !== "EAGAIN") {
      this.#target.failed(error);
      return;
    }
    if (direct !== undefined) {
      this.#frames.splice(this.#head, 0, direct);
      this.#bytes += direct.length;
    }
    if (cleared && this.#isEmpty()) return;
    const first = !this.#blocked;
    this.#blocked = true;
    this.#target.blocked(first);
  };

  #next(): void {
    this.#burst += 1;
    if (this.#burst < BURST_FRAMES) {
      this.#offerHead();
      return;
    }
    this.#burst = 0;
    this.#yielding = true;
    setImmediate(() => {
      this.#yielding = false;
      if (this.#attempt === "none" && !this.#blocked) this.#offerHead();
    });
  }

  #removeHead(): void {
    const frame = this.#frames[this.#head] as Uint8Array;
    this.#bytes -= frame.length;
    this.#frames[this.#head] = EMPTY; // let go of the bytes
    this.#head += 1;
    if (this.#head === this.#frames.length) {
      this.#frames = [];
      this.#head = 0;
    } else if (this.#head >= 1024 && this.#head * 2 > this.#frames.length) {
      this.#frames.splice(0, this.#head);
      this.#head = 0;
    }
  }
}

const EMPTY = new Uint8Array(0);
