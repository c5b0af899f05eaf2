/**
 * One end of a connection inside a process; the other end is another of these.
 *
 * Invariants:
 * - frames arrive in order, never in the turn of their `send`, and before the close that followed them;
 * - one delivery is scheduled per direction at a time, and takes what was there when it began;
 * - `closed` is reported once, by a delivery, and nothing follows it;
 * - two nodes that answer one another endlessly still let timers and sockets have their turn: each so many
 *   deliveries of a direction, one goes through a timer of 0 ms.
 */
import { MeshError } from "../../errors.ts";
import type { Connection, ConnectionEvents, TransportContext } from "../../ports/transport.ts";

/** The end of a direction: what follows the last frame. */
type Ending = { readonly reason: MeshError | undefined };

export class MemoryConnection implements Connection {
  readonly remote: string;
  readonly #context: TransportContext;
  readonly #deliveriesAtOnce: number;
  readonly #ended: () => void;
  #peer: MemoryConnection | undefined;
  #events: ConnectionEvents | undefined;
  /** Frames on their way to this side. */
  #arriving: Uint8Array[] = [];
  #ending: Ending | undefined;
  #scheduled = false;
  #deliveries = 0;
  /** Bytes sent by this side that the peer has not been given. */
  #unread = 0;
  #open = true;
  #reported = false;

  constructor(
    remote: string,
    context: TransportContext,
    deliveriesAtOnce: number,
    ended: () => void,
  ) {
    this.remote = remote;
    this.#context = context;
    this.#deliveriesAtOnce = deliveriesAtOnce;
    this.#ended = ended;
  }

  get bufferedBytes(): number {
    return this.#open ? this.#unread : 0;
  }

  /** Joins the two ends, before either is handed to a user. */
  pair(peer: MemoryConnection): void {
    this.#peer = peer;
  }

  open(events: ConnectionEvents): void {
    this.#events = events;
    if (this.#arriving.length > 0 || this.#ending !== undefined) this.#schedule();
  }

  send(frame: Uint8Array): void {
    const peer = this.#peer;
    if (!this.#open || peer === undefined) return;
    const bytesMax = this.#context.frameBytesMax;
    if (frame.length === 0) {
      this.#context.count("transport.badFrame");
      const message = "frame of 0 B cannot be sent, the smallest is 1 B";
      this.#close(new MeshError("INVALID_OPTIONS", message));
    } else if (frame.length > bytesMax) {
      this.#context.count("transport.badFrame");
      const message = `frame ${frame.length} B exceeds frameBytesMax ${bytesMax}`;
      this.#close(new MeshError("PAYLOAD_TOO_LARGE", message));
    } else {
      this.#unread += frame.length;
      peer.#arriving.push(frame);
      peer.#schedule();
    }
  }

  close(): void {
    if (this.#open) this.#close(undefined);
  }

  /** The peer hears `closed` after the frames on their way; this side at the end of the turn. */
  #close(reason: MeshError | undefined): void {
    this.#open = false;
    this.#arriving = [];
    this.#ending = { reason };
    this.#schedule();
    if (this.#peer !== undefined) this.#peer.#endAfterFrames();
  }

  #endAfterFrames(): void {
    if (this.#ending !== undefined) return;
    this.#ending = { reason: undefined };
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#events === undefined || this.#reported) return;
    this.#scheduled = true;
    this.#deliveries += 1;
    const { clock } = this.#context;
    if (this.#deliveries % this.#deliveriesAtOnce === 0) clock.setTimer(0, this.#deliver);
    else clock.endOfTurn(this.#deliver);
  }

  readonly #deliver = (): void => {
    this.#scheduled = false;
    const events = this.#events;
    if (events === undefined || this.#reported) return;
    const frames = this.#arriving;
    const ending = this.#ending;
    this.#arriving = [];
    for (const frame of frames) {
      if (!this.#open) break;
      this.#give(events, frame);
    }
    if (this.#ending === undefined) {
      if (this.#peer !== undefined) this.#peer.#taken(frames);
    } else if (this.#ending === ending) this.#finish(events, ending);
    else this.#schedule();
  };

  #give(events: ConnectionEvents, frame: Uint8Array): void {
    const bytesMax = this.#context.frameBytesMax;
    if (frame.length > bytesMax) {
      this.#context.count("transport.malformed");
      const message = `frame ${frame.length} B exceeds frameBytesMax ${bytesMax}`;
      this.#close(new MeshError("PEER_LOST", `${this.remote} sent a ${message}`));
      return;
    }
    try {
      events.frame(frame);
    } catch (error) {
      this.#context.logger.error("receiver of frames threw", { remote: this.remote, error });
      this.#close(new MeshError("PEER_LOST", "the receiver of frames threw", { cause: error }));
    }
  }

  #taken(frames: readonly Uint8Array[]): void {
    if (frames.length === 0) return;
    for (const frame of frames) this.#unread -= frame.length;
    if (this.#unread === 0 && this.#open) this.#events?.drained();
  }

  #finish(events: ConnectionEvents, ending: Ending): void {
    this.#open = false;
    this.#reported = true;
    this.#ended();
    try {
      if (ending.reason === undefined) events.closed();
      else events.closed(ending.reason);
    } catch (error) {
      this.#context.logger.error("receiver of closed threw", { remote: this.remote, error });
    }
  }
}
