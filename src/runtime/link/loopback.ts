/** A node's connection with itself: what is sent comes back, in order, in the next turn. */
import type { Clock } from "../../ports/clock.ts";
import type { Connection, ConnectionEvents } from "../../ports/transport.ts";

export class LoopbackConnection implements Connection {
  readonly remote = "itself";
  readonly #clock: Clock;
  #events: ConnectionEvents | undefined;
  #frames: Uint8Array[] = [];
  #bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get bufferedBytes(): number {
    return this.#bytes;
  }

  open(events: ConnectionEvents): void {
    this.#events = events;
  }

  send(frame: Uint8Array): void {
    if (this.#events === undefined) return;
    this.#frames.push(frame);
    this.#bytes += frame.length;
    if (this.#frames.length === 1) this.#clock.setTimer(0, () => this.#deliver());
  }

  close(): void {
    this.#events = undefined;
    this.#frames = [];
    this.#bytes = 0;
  }

  #deliver(): void {
    const frames = this.#frames;
    this.#frames = [];
    this.#bytes = 0;
    for (const frame of frames) this.#events?.frame(frame);
    this.#events?.drained();
  }
}
