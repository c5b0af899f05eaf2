/**
 * A connection of a peer that has a quota: while the peer is paced, its frames are taken a few at a time.
 *
 * Problem: a peer that heeds nothing sends a thousand frames in one read, and everybody else waits until each is
 * refused. Approach: of a paced peer FRAMES frames, or BYTES, are taken every PAUSE_MS. What is above that waits here,
 * then in the peer's socket, which is not read meanwhile.
 *
 * Invariants: frames are taken in the order in which they came, and none is dropped while the connection is open; a
 * peer that is not paced waits for nothing. Bound: BYTES_MAX and one read wait here; where a transport cannot stop
 * reading, WAITING_MAX, then the connection is closed.
 */
import { MeshError } from "../../errors.ts";
import type { Clock, Timer } from "../../ports/clock.ts";
import type { Channel, Connection, ConnectionEvents } from "../../ports/transport.ts";

const PAUSE_MS = 10;
const FRAMES = 16;
const BYTES = 64 * 1024;
const BYTES_MAX = 1024 * 1024;
const WAITING_MAX = 64 * BYTES_MAX;

export class PacedConnection implements Connection {
  /** Whether its peer is. */
  isPaced: () => boolean = () => false;
  readonly channel: Channel | undefined;
  sendParts?: (parts: readonly Uint8Array[]) => void;
  sendCopy?: (parts: readonly Uint8Array[]) => void;
  readonly #connection: Connection;
  readonly #clock: Clock;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #isStopped = false;
  #timer: Timer | undefined;
  #events: ConnectionEvents | undefined;

  constructor(connection: Connection, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
    this.channel = connection.channel;
    const { sendParts, sendCopy } = connection;
    if (sendParts !== undefined) this.sendParts = sendParts.bind(connection);
    if (sendCopy !== undefined) this.sendCopy = sendCopy.bind(connection);
  }

  get remote(): string {
    return this.#connection.remote;
  }

  get bufferedBytes(): number {
    return this.#connection.bufferedBytes;
  }

  send(frame: Uint8Array): void {
    this.#connection.send(frame);
  }

  close(): void {
    this.#forget();
    if (this.#isStopped) this.#connection.resume?.();
    this.#connection.close();
  }

  open(events: ConnectionEvents): void {
    this.#events = events;
    this.#connection.open({
      frame: (bytes) => this.#came(bytes),
      drained: () => this.#events?.drained(),
      closed: (reason) => {
        const isOpen = this.#events !== undefined;
        this.#forget();
        if (isOpen) events.closed(reason);
      },
    });
  }

  #came(bytes: Uint8Array): unknown {
    if (this.#timer === undefined && !this.isPaced()) return this.#events?.frame(bytes);
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#timer === undefined) this.#goOn();
    else this.#bound();
    return false;
  }

  /** Takes what may be taken now, and comes back for the rest. */
  readonly #goOn = (): void => {
    this.#timer = undefined;
    let count = 0;
    let bytes = 0;
    for (const frame of this.#waiting) {
      if (count === FRAMES || bytes >= BYTES) break;
      count++;
      bytes += frame.length;
      this.#events?.frame(frame);
    }
    this.#waiting.splice(0, count);
    this.#waitingBytes -= bytes;
    if (this.#events === undefined || count === 0) return;
    this.#timer = this.#clock.setTimer(this.isPaced() ? PAUSE_MS : 0, this.#goOn);
    if (!this.#isStopped || this.#waitingBytes > BYTES_MAX / 2) return;
    this.#isStopped = false;
    this.#connection.resume?.();
  };

  #bound(): void {
    if (this.#waitingBytes > BYTES_MAX && !this.#isStopped) {
      this.#isStopped = true;
      this.#connection.pause?.();
    }
    if (this.#waitingBytes <= WAITING_MAX) return;
    const events = this.#events;
    this.close();
    events?.closed(new MeshError("PEER_LOST", `${WAITING_MAX} B of a paced peer wait here`));
  }

  #forget(): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#events = undefined;
    this.#waiting = [];
  }
}
