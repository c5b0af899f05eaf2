/**
 * Copies of large payloads that are on their way, in memory that is used again.
 *
 * Problem: a payload may be changed when the call is over; new memory for a copy of 64 MiB costs several times the
 * copying, a page at a time, and makes the collector look through its whole heap; and the copying itself stops the
 * event loop. Approach: the room of a copy that its peer has taken serves the next one, and a copy may be filled a slice
 * at a time, ahead of what leaves.
 *
 * Invariant: a room serves one copy at a time; what nobody says is over is the collector's.
 * Bound: one room waits, for KEPT_MS, of the largest payload lately.
 */
import type { Clock, Timer } from "../../ports/clock.ts";

const KEPT_MS = 1_000;
const SLICE_BYTES = 256 * 1024;

export class LargeCopies {
  readonly #clock: Clock;
  readonly #lent = new WeakSet<ArrayBufferLike>();
  #spare: Uint8Array | undefined;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(payload: Uint8Array): Uint8Array {
    const copy = this.begin(payload);
    copy.fill(payload.length);
    return copy.bytes;
  }

  /** Its bytes are not there before they are filled, and must not have changed until then. */
  begin(payload: Uint8Array): LargeCopy {
    const bytes = payload.length;
    let room = this.#spare;
    if (room !== undefined && room.length >= bytes) this.#keep(undefined);
    else room = new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer);
    this.#lent.add(room.buffer);
    return new LargeCopy(payload, room.subarray(0, bytes));
  }

  /** Nobody reads these bytes any more; nothing happens when they are no copy of here. */
  over({ buffer }: Uint8Array): void {
    if (!this.#lent.delete(buffer)) return;
    if (this.#spare === undefined || buffer.byteLength >= this.#spare.length) {
      this.#keep(new Uint8Array(buffer));
    }
  }

  #keep(room: Uint8Array | undefined): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#spare = room;
    if (room !== undefined)
      this.#timer = this.#clock.setTimer(KEPT_MS, () => this.#keep(undefined));
  }
}

export class LargeCopy {
  readonly bytes: Uint8Array;
  #payload: Uint8Array;
  #filled = 0;

  constructor(payload: Uint8Array, bytes: Uint8Array) {
    this.#payload = payload;
    this.bytes = bytes;
  }

  /** At least so many of the first bytes are there from now on; the payload is not read again once all are. */
  fill(upTo: number): void {
    const { length } = this.bytes;
    if (upTo <= this.#filled) return;
    const end = Math.min(length, Math.max(upTo, this.#filled + SLICE_BYTES));
    this.bytes.set(this.#payload.subarray(this.#filled, end), this.#filled);
    this.#filled = end;
    if (end === length) this.#payload = this.bytes;
  }
}
